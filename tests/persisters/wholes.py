"""Strategies that draw whole databases: any records that can stand beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import hypothesis.strategies as st
from attrs import evolve

from dockerbroker.model.audit import AuditEntry, AuditHead, end_of
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.holdings import holdings
from dockerbroker.model.hosts import DockerHost, HostKey, HostState
from dockerbroker.model.instances import Operation, ServiceBinding, ServiceInstance
from dockerbroker.model.reservations import NOTHING, Reserved
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters import holding_records, records
from dockerbroker.persisters.archive import KEYS, Kind, Row
from dockerbroker.persisters.audit_rows import audit_row
from tests.persisters import strategies, values

#: No identifier has a control character, and none has more than 255 characters; most are short here, so that
#: they meet.
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=3) | st.text(
    st.characters(exclude_categories=("Cs", "Cc")), min_size=250, max_size=255
)
_TIMES = st.floats(0, 1e10)

_KEYS = strategies.KEYS.flatmap(
    lambda key: st.builds(
        lambda service, docker: evolve(key, service_host=service, docker_host=docker), IDS, IDS
    )
)


def _named(drawn: st.SearchStrategy[Any], **members: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return that strategy with other members."""
    return st.builds(lambda value, others: evolve(value, **others), drawn, st.fixed_dictionaries(members))


_IMAGES = st.lists(_named(strategies.IMAGES, name=IDS), max_size=4, unique_by=lambda one: one.name)
_HOSTS = st.lists(_named(strategies.HOSTS, key=_KEYS), max_size=4, unique_by=lambda one: one.key)
_INSTANCES = st.lists(
    _named(
        strategies.INSTANCES,
        id=IDS,
        host=_KEYS,
        definition=_named(strategies.NARROWED, name=IDS),
        operation_id=st.none() | IDS,
        last_operation_id=st.none() | IDS,
    ),
    max_size=6,
    unique_by=lambda one: one.id,
)
_OPERATIONS = st.lists(
    _named(
        strategies.OPERATIONS,
        id=IDS,
        instance_id=IDS,
        binding_id=st.none() | IDS,
        owner=st.none() | IDS,
        deadline=_TIMES,
        finished_at=st.none() | _TIMES,
    ),
    max_size=12,
    unique_by=lambda one: one.id,
)


@st.composite
def wholes(draw: st.DrawFn) -> dict[Kind, list[Row]]:
    """Draw all records of a database, in the order in which an archive has them."""
    instances = _apart(draw(_INSTANCES))
    ids = [one.id for one in instances]
    operations = _told(
        draw(_OPERATIONS), draw(st.lists(st.sampled_from(ids), max_size=12) if ids else st.just([]))
    )
    rows: dict[Kind, list[Row]] = {
        Kind.IMAGE: [records.image_row(one) for one in draw(_IMAGES)],
        Kind.HOST: [_host_row(draw, one) for one in draw(_HOSTS)],
        Kind.CERTIFICATE: [
            records.certificate_row(
                HostCertificate(
                    host=one, certificate=draw(st.text()), key=Secret(draw(st.text())), ca=draw(st.text())
                )
            )
            for one in draw(st.lists(IDS, max_size=4, unique=True))
        ],
        Kind.CREDENTIAL: [
            records.credential_row(values.credential(one, draw(st.sampled_from(Role)), host=draw(st.text())))
            for one in draw(st.lists(IDS, max_size=4, unique=True))
        ],
        Kind.INSTANCE: [_instance_row(one) for one in instances],
        Kind.BINDING: [records.binding_row(one) for one in draw(_bindings(ids))],
        Kind.PORT_LEASE: [lease for one in instances for lease in holding_records.leased_ports_of(one)],
        Kind.RESERVATION: _reservations(instances),
        Kind.CONDITION: [
            {"instance_id": one, "condition": draw(st.text(st.characters(exclude_categories=("Cs", "Cc"))))}
            for one in ids
            if draw(st.booleans())
        ],
    }
    ordered: dict[Kind, list[Row]] = {
        kind: sorted(some, key=lambda row: _key(kind, row)) for kind, some in rows.items()
    }
    return ordered | {
        Kind.OPERATION: _operation_rows(draw, operations, ids),
        Kind.TOMBSTONE: [],
        Kind.AUDIT: _audit_rows(draw),
    }


def _reservations(instances: Iterable[ServiceInstance]) -> list[Row]:
    """Return what the instances reserve on each host."""
    sums: dict[HostKey, Reserved] = {}
    for held in (held for one in instances for held in holdings(one)):
        sums[held.host] = sums.get(held.host, NOTHING) + held.reserved
    return [
        {**holding_records.host_columns(key), **holding_records.reserved_columns(reserved)}
        for key, reserved in sums.items()
        if reserved
    ]


def _host_row(draw: st.DrawFn, host: DockerHost) -> Row:
    return {
        **records.host_row(host),
        "engine_id": draw(st.just("") | IDS),
        "state": draw(st.sampled_from([state.value for state in HostState])),
        "is_cordoned": draw(st.booleans()),
        "is_draining": draw(st.booleans()),
    }


def _bindings(ids: Sequence[str]) -> st.SearchStrategy[list[ServiceBinding]]:
    if not ids:
        return st.just([])
    drawn = _named(strategies.BINDINGS, instance_id=st.sampled_from(ids), id=IDS)
    return st.lists(drawn, max_size=6, unique_by=lambda one: (one.instance_id, one.id))


def _apart(instances: Iterable[ServiceInstance]) -> list[ServiceInstance]:
    """Return those of the instances of which none has a port, or the place, of another one."""
    leased: set[tuple[Any, ...]] = set()
    found = []
    for one in instances:
        ports = {_key(Kind.PORT_LEASE, lease) for lease in holding_records.leased_ports_of(one)}
        ports |= {(held.lonely_place,) for held in holdings(one) if held.lonely_place is not None}
        if not ports & leased:
            leased |= ports
            found.append(one)
    return found


def _audit_rows(draw: st.DrawFn) -> list[Row]:
    head, rows = AuditHead(number=draw(st.integers(0, 99))), list[Row]()
    for subject in draw(st.lists(strategies.TEXT, max_size=3)):
        entry = AuditEntry(action="reap", subject=subject)
        record = head.append(entry.content(0.5))
        rows.append(audit_row(entry.id, record))
        head = end_of(record)
    return rows


def _told(operations: Sequence[Operation], ids: Sequence[str]) -> list[Operation]:
    """Return the operations, of which some are on instances that exist."""
    known = [evolve(one, instance_id=name) for one, name in zip(operations, ids, strict=False)]
    return [*known, *operations[len(known) :]]


def _instance_row(instance: ServiceInstance) -> Row:
    held = {"operation_id": instance.operation_id, "last_operation_id": instance.last_operation_id}
    return {**records.instance_row(instance), **held}


def _operation_rows(draw: st.DrawFn, operations: Sequence[Operation], ids: Sequence[str]) -> list[Row]:
    last = {one.instance_id: one.id for one in operations if one.binding_id is None}
    return [
        {
            **records.operation_row(one),
            "kept_for": one.instance_id
            if one.instance_id in ids and last.get(one.instance_id) == one.id
            else None,
            "epoch": one.epoch,
            "owner": None if one.is_over else one.owner,
            "lease_until": None if one.is_over else draw(_TIMES),
            "deadline": one.deadline,
            "is_cancelled": one.is_cancelled,
        }
        for one in operations
    ]


def _key(kind: Kind, row: Row) -> tuple[Any, ...]:
    values = (row[name] for name in KEYS[kind])
    return tuple(value.encode() if isinstance(value, str) else value for value in values)

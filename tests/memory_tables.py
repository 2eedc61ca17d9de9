"""The tables of the persister in memory, and the rules by which they change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import define, evolve, field

from dockerbroker.errors import AlreadyExists, Busy, HostFull, LostLease, NotFound, PortLeased
from dockerbroker.model.audit import AuditEntry, AuditHead, end_of
from dockerbroker.model.credentials import Credential
from dockerbroker.model.holdings import holdings
from dockerbroker.model.hosts import LONGEST_GAP, HostKey, HostState, Observation
from dockerbroker.model.instances import Change, Operation, OperationKind, Phase
from dockerbroker.model.reservations import NOTHING, Reserved
from dockerbroker.persisters import holding_records, records
from dockerbroker.persisters.audit_rows import audit_row, read_audit
from dockerbroker.persisters.sealed_records import SealedRecords

Row = dict[str, Any]


def held(row: Row) -> dict[HostKey, Reserved]:
    """Return what the instance of a row reserves on each host."""
    texts = (row["reserved"], row["reserved_there"])
    return dict(holding_records.read_reservation(text) for text in texts if text is not None)


def host_of(lease: Row) -> HostKey:
    """Return the host of a port that is leased."""
    return HostKey(**{name: lease[name] for name in ("service_host", "docker_host", "docker_port")})


@define(eq=False)
class Tables:
    """What several memory persisters share, as several brokers share a database.

    `operations` are in the order in which they were begun. `written` is what a move has written of
    reservations, which follow from the instances otherwise.
    """

    cluster_id: str = "0123456789abcdef0123456789abcdef"
    seeded: bool = False
    closed: str = ""
    moved_to: str = ""
    mover: str = ""
    created_at: float = 0.0
    sealing: str | None = None
    images: dict[str, Row] = field(factory=dict)
    hosts: dict[HostKey, Row] = field(factory=dict)
    certificates: dict[str, Row] = field(factory=dict)
    credentials: dict[str, Row] = field(factory=dict)
    credential_changes: int = 0
    instances: dict[str, Row] = field(factory=dict)
    bindings: dict[tuple[str, str], Row] = field(factory=dict)
    leases: dict[tuple[HostKey, int], str] = field(factory=dict)
    operations: dict[str, Row] = field(factory=dict)
    conditions: dict[str, str] = field(factory=dict)
    tombstones: dict[str, tuple[str, float]] = field(factory=dict)
    observation: Observation | None = None
    audit: list[Row] = field(factory=list)
    written: dict[HostKey, Row] = field(factory=dict)

    def known_credentials(self, seeds: Iterable[Credential]) -> list[Credential]:
        """Return the credentials; where there never were any these are stored before."""
        if not self.credential_changes:
            self.credentials = {one.id: records.credential_row(one) for one in seeds}
            self.credential_changes = 1
        return [records.read_credential(row) for row in self.credentials.values()]

    def append(self, entries: Iterable[AuditEntry], at: float) -> None:
        """Write records of what is changed."""
        for entry in entries:
            self.audit.append(audit_row(entry.id, self.audit_head().append(entry.content(at))))

    def audit_head(self) -> AuditHead:
        """Return where the audit log ends."""
        return end_of(read_audit(self.audit[-1])) if self.audit else AuditHead()

    def reserved(self) -> dict[HostKey, Reserved]:
        """Return what all instances of each host reserve."""
        sums: dict[HostKey, Reserved] = {}
        for row in self.instances.values():
            for key, reserved in held(row).items():
                if reserved:
                    sums[key] = sums.get(key, NOTHING) + reserved
        return sums

    def clamp_pings(self, now: float) -> None:
        """Let no host have been heard later than soon."""
        for key, row in self.hosts.items():
            if row["pinged_at"] is not None and row["pinged_at"] > now + LONGEST_GAP:
                self.hosts[key] = row | {"pinged_at": now}

    def check_room(self, change: Change) -> None:
        """Raise `HostFull` when the change lets more be reserved on a host than may be."""
        if change.instance is None or change.remove_instance:
            return
        wanted = {one.lonely_place for one in holdings(change.instance)} - {None}
        others = (row for one, row in self.instances.items() if one != change.instance.id)
        if any(wanted & {row["lonely_place"], row["lonely_place_there"]} for row in others):
            raise HostFull("The Docker host has a neighbour.")
        if change.most is None:
            return
        stored = self.instances.get(change.instance.id)
        before = {} if stored is None else held(stored)
        for one in holdings(change.instance):
            more = one.reserved - before.get(one.host, NOTHING)
            if not change.most.has_room(self.reserved().get(one.host, NOTHING), more):
                raise HostFull(f"The Docker host {one.host.service_host} is full.")

    def check_fit(self, change: Change) -> None:
        """Raise `HostFull` when the change places something on a host on which nothing may be placed."""
        key = change.placed_on
        row = None if key is None else self.hosts.get(key)
        if (
            key is not None
            and row is not None
            and (row["is_cordoned"] or row["state"] != HostState.ALIVE.value)
        ):
            raise HostFull(f"Nothing may be placed on the Docker host {key.service_host}.")

    def held(self, operation: Operation) -> Row:
        """Return the row of an operation that is not over, by whoever has its epoch; raises `LostLease`."""
        row = self.operations.get(operation.id)
        if row is None or row["lease_until"] is None or row["epoch"] != operation.epoch:
            raise LostLease(f"The operation {operation.id} is not held any more.")
        return row

    def known(self, operation_id: str) -> Operation:
        """Return the operation; raises `NotFound`."""
        if operation_id not in self.operations:
            raise NotFound(f"The operation {operation_id} does not exist.")
        return records.read_operation(self.operations[operation_id])

    def last_operation(self, instance_id: str, binding_id: str | None) -> Row | None:
        """Return the row of the operation on the instance itself, or on the binding, begun last."""
        rows = self.operations.values()
        found = [row for row in rows if (row["instance_id"], row["binding_id"]) == (instance_id, binding_id)]
        return found[-1] if found else None

    def earlier(self, operation_id: str | None) -> list[Row]:
        """Return the rows of all operations that were begun before that one, the last ones first."""
        rows = list(self.operations.values())
        if operation_id is None:
            return rows[::-1]
        ids = list(self.operations)
        return rows[: ids.index(operation_id)][::-1] if operation_id in ids else []

    def is_kept(self, row: Row) -> bool:
        """Whether the operation of the row is the last one on an instance that exists."""
        exists = row["instance_id"] in self.instances
        return exists and row is self.last_operation(row["instance_id"], None)

    def supersede(self, operation_id: str, now: float) -> Operation:
        """End an operation that another one replaces, and return it; `now` is in seconds since 1970."""
        row = self.operations[operation_id]
        failed = records.read_operation(row).over(Phase.FAILED, now)
        failed = evolve(failed, description="The creation was ended by a deletion.")
        row.update(records.operation_row(failed))
        row.update(epoch=failed.epoch + 1, owner=None, lease_until=None)
        return failed

    def check_begin(self, change: Change) -> None:
        """Raise what stands in the way of beginning the change's operation."""
        operation = change.operation
        if operation.kind is not OperationKind.PROVISION:
            self._check_free(change)
        elif operation.instance_id in self.instances:
            raise AlreadyExists(f"The service instance {operation.instance_id!r} exists already.")
        has_binding = (operation.instance_id, operation.binding_id) in self.bindings
        if operation.kind is OperationKind.BIND and has_binding:
            raise AlreadyExists(f"The binding {operation.binding_id!r} exists already.")
        if operation.kind is OperationKind.UNBIND and not has_binding:
            raise Busy(f"The binding {operation.binding_id!r} is gone.")
        if operation.id in self.operations:
            raise AlreadyExists(f"The operation {operation.id} exists already.")

    def _check_free(self, change: Change) -> None:
        instance_id = change.operation.instance_id
        stored = self.instances.get(instance_id)
        if stored is None or stored["operation_id"] != change.supersedes:
            raise Busy(f"The service instance {instance_id!r} is held or gone.")
        if change.supersedes is not None and self.operations[change.supersedes]["is_over"]:
            raise Busy(f"The operation {change.supersedes} is over.")
        if change.instance and change.instance.last_operation_id != stored["last_operation_id"]:
            raise Busy(f"The service instance {instance_id!r} was held meanwhile.")

    def check_ports(self, change: Change) -> None:
        """Raise `PortLeased` when another instance has one of the ports."""
        if change.instance is None or change.remove_instance:
            return
        for lease in holding_records.leased_ports_of(change.instance):
            holder = self.leases.get((host_of(lease), lease["port"]), change.instance.id)
            if holder != change.instance.id:
                raise PortLeased(f"The port {lease['port']} is leased to another service instance.")

    def write(self, change: Change, sealed: SealedRecords) -> None:
        """Write the records of the change."""
        operation, instance, binding = change.operation, change.instance, change.binding
        if change.remove_instance:
            self._remove(operation.instance_id)
            return
        if instance is not None:
            new = {"operation_id": operation.id, "last_operation_id": operation.id}
            before = self.instances.get(instance.id, new)
            self.instances[instance.id] = before | sealed.instance_row(instance)
            self._forget_leases(instance.id)
            for lease in holding_records.leased_ports_of(instance):
                self.leases[host_of(lease), lease["port"]] = instance.id
        if binding is not None:
            self.bindings[binding.instance_id, binding.id] = sealed.binding_row(binding)
        if change.remove_binding is not None:
            self.bindings.pop((operation.instance_id, change.remove_binding), None)
        held = self.instances.get(operation.instance_id)
        if operation.is_over and held is not None and held["operation_id"] == operation.id:
            held["operation_id"] = None

    def _remove(self, instance_id: str) -> None:
        self.instances.pop(instance_id, None)
        self.conditions.pop(instance_id, None)
        for key in [key for key in self.bindings if key[0] == instance_id]:
            del self.bindings[key]
        self._forget_leases(instance_id)

    def _forget_leases(self, instance_id: str) -> None:
        for key in [key for key, holder in self.leases.items() if holder == instance_id]:
            del self.leases[key]

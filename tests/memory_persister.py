"""A persister in memory, verified by the same contract suite as the real ones, that fails when told to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from attrs import define, evolve, field
from zope.interface import implementer

from dockerbroker.errors import Conflict, NotFound
from dockerbroker.model import auditing
from dockerbroker.model.audit import (
    ITSELF,
    Origin,
)
from dockerbroker.model.fleet import Fleet
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport, Observation, observed
from dockerbroker.model.instances import (
    Change,
    Operation,
    OperationKind,
    ServiceBinding,
    ServiceInstance,
)
from dockerbroker.model.liveness import Verdict
from dockerbroker.model.registrations import USUAL, HostLimits, Room
from dockerbroker.model.reservations import NOTHING, Reserved
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters import host_records, records
from dockerbroker.persisters.archive import obstacle
from dockerbroker.persisters.interfaces import DatabaseState, IPersister, KeysInUse
from tests.memory_administered import Fault, MemoryAdministered
from tests.memory_tables import Row, Tables, held

__all__ = ["Fault", "MemoryPersister", "Tables"]


@implementer(IPersister)
@define(eq=False)
class MemoryPersister(MemoryAdministered):
    """Keeps records in memory, by the rules of `IPersister`.

    Values are kept as the real persisters keep them, as JSON, so that what cannot be stored fails here too
    and nothing is shared with the caller.
    """

    _known_facts: host_records.KnownFacts = field(factory=host_records.KnownFacts, init=False)

    def another(self) -> MemoryPersister:
        """Return the persister of another broker on the same database."""
        return MemoryPersister(self.seconds, self.tables, self.vault)

    def history(self) -> list[Operation]:
        """Return all operations, the oldest first."""
        return [records.read_operation(row) for row in self.tables.operations.values()]

    async def cluster_id(self) -> str:
        """Return the identifier that this database was born with."""
        with self._call("cluster_id"):
            return self.tables.cluster_id

    async def state(self) -> DatabaseState:
        """Return whose records the tables hold; those of nobody without an identifier."""
        with self._call("state"):
            tables = self.tables
            why = obstacle(tables.closed, tables.moved_to)
            return DatabaseState(
                cluster_id=tables.cluster_id or None,
                obstacle=why,
                locked=self.vault.learn(tables.sealing),
                credentials=tables.credential_changes,
            )

    async def keys(self) -> KeysInUse:
        """Return the keys of the secrets."""
        with self._call("keys"):
            self.vault.learn(self.tables.sealing)
            return self.vault.in_use()

    async def record_pings(self, pings: Iterable[Ping], limits: HostLimits = USUAL) -> Mapping[HostKey, str]:
        """Store what the pings tell."""
        with self._call("record_pings"):
            refused: dict[HostKey, str] = {}
            known = self.tables.hosts
            room = Room(limits, len(known), [key.service_host for key in known])
            for ping in pings:
                key, before = ping.host.key, known.get(ping.host.key)
                if before is None and (full := room.refusal(ping)) is not None:
                    refused[key] = full
                    continue
                self.tables.hosts[key], refusal = host_records.pinged_row(before, ping, self.seconds())
                if refusal is not None:
                    refused[key] = refusal
                else:
                    self._tell(*host_records.told(before, ping))
            return refused

    async def observe(self) -> None:
        """Record that a broker is there now."""
        with self._call("observe"):
            now = self.seconds()
            self.tables.observation = observed(self.tables.observation, now)
            if self.tables.observation.since == now:
                self.tables.clamp_pings(now)

    async def hosts(self) -> list[HostReport]:
        """Return every host, in the order of the keys."""
        with self._call("hosts"):
            fleet = self._fleet()
            return [fleet.report(facts) for facts in fleet.hosts]

    async def host(self, key: HostKey) -> DockerHost | None:
        """Return the host."""
        with self._call("host"):
            row = self.tables.hosts.get(key)
            return None if row is None else records.read_host(row)

    async def fleet(self) -> Fleet:
        """Return what is known of every host."""
        with self._call("fleet"):
            return self._fleet()

    def _fleet(self) -> Fleet:
        reserved = self.tables.reserved()
        rows = [
            (key, row | {"reserved_sums": reserved.get(key, NOTHING)})
            for key, row in sorted(self.tables.hosts.items())
        ]
        found = self._known_facts.facts(rows, lambda row: row)
        return Fleet(hosts=found, now=self.seconds(), observation=self.tables.observation)

    async def judge(self, verdicts: Iterable[Verdict]) -> frozenset[HostKey]:
        """Change the states of hosts that are as they were when judged."""
        with self._call("judge"):
            changed = []
            for verdict in verdicts:
                row = self.tables.hosts.get(verdict.life.key)
                if row is not None and host_records.is_as_judged(row, verdict.life):
                    row.update(state=verdict.state.value, state_at=self.seconds())
                    changed.append(verdict.life.key)
            return frozenset(changed)

    async def cordon(self, key: HostKey, *, is_cordoned: bool, origin: Origin = ITSELF) -> None:
        """Let nothing be placed on the host, or let it again."""
        with self._call("cordon"):
            row = self._known_host(key)
            row["is_cordoned"] = is_cordoned
            row["is_draining"] = row["is_draining"] and is_cordoned
            self._tell(auditing.host_cordoned(key, origin, is_cordoned=is_cordoned))

    async def drain(self, key: HostKey, *, is_draining: bool, origin: Origin = ITSELF) -> None:
        """Let the instances of the host move, or let them stay."""
        with self._call("drain"):
            row = self._known_host(key)
            row["is_draining"] = is_draining
            row["is_cordoned"] = row["is_cordoned"] or is_draining
            self._tell(auditing.host_drained(key, origin, is_draining=is_draining))

    async def complain(self, key: HostKey, complaint: str) -> None:
        """Record why the Docker of the host cannot be used."""
        with self._call("complain"):
            if key in self.tables.hosts:
                self.tables.hosts[key]["complaint"] = complaint or None

    async def forget_host(self, key: HostKey, *, origin: Origin = ITSELF) -> None:
        """Delete what is known of the host."""
        with self._call("forget_host"):
            self._known_host(key)
            del self.tables.hosts[key]
            self._tell(auditing.host_forgotten(key, origin))

    def _known_host(self, key: HostKey) -> Row:
        if key not in self.tables.hosts:
            raise NotFound(f"The Docker host {key.service_host!r} is not known.")
        return self.tables.hosts[key]

    def forget_pings(self) -> None:
        """Make every ping infinitely old, though brokers were there to hear one all the time."""
        self.tables.observation = Observation(since=-math.inf, at=self.seconds())
        for row in self.tables.hosts.values():
            row["pinged_at"] = -math.inf

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the instance."""
        with self._call("instance"):
            row = self.tables.instances.get(instance_id)
            return None if row is None else self.sealed.read_instance(row)

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding."""
        with self._call("binding"):
            row = self.tables.bindings.get((instance_id, binding_id))
            return None if row is None else self.sealed.read_binding(row)

    async def bindings(
        self, instance_id: str, *, after: str = "", limit: int | None = None
    ) -> list[ServiceBinding]:
        """Return the instance's bindings, in the order of the ids."""
        with self._call("bindings"):
            found = sorted(self.tables.bindings.items())
            rows = [row for (owner, one), row in found if owner == instance_id and one > after]
            return [self.sealed.read_binding(row) for row in rows[:limit]]

    async def operation(self, operation_id: str) -> Operation | None:
        """Return the operation."""
        with self._call("operation"):
            row = self.tables.operations.get(operation_id)
            return None if row is None else records.read_operation(row)

    async def now(self) -> float:
        """Return the time of the clock of the leases."""
        with self._call("now"):
            return self.seconds()

    async def instances(self, after: str, limit: int) -> list[ServiceInstance]:
        """Return instances, in the order of the ids' bytes."""
        with self._call("instances"):
            later = [row for row in self.tables.instances.values() if row["id"].encode() > after.encode()]
            later.sort(key=lambda row: row["id"].encode())
            return self.sealed.read_instances(later[:limit])

    async def last_operation(self, instance_id: str, binding_id: str | None = None) -> Operation | None:
        """Return the last operation on the instance itself, or on the one binding."""
        with self._call("last_operation"):
            row = self.tables.last_operation(instance_id, binding_id)
            return None if row is None else records.read_operation(row)

    async def operations(self, *, unfinished: bool, limit: int, before: str | None = None) -> list[Operation]:
        """Return operations, those begun last first."""
        with self._call("operations"):
            rows = [row for row in self.tables.earlier(before) if not (unfinished and row["is_over"])]
            return [records.read_operation(row) for row in rows[:limit]]

    async def operations_on(
        self, instance_id: str, binding_id: str | None = None, *, limit: int, before: str | None = None
    ) -> list[Operation]:
        """Return operations on the instance itself, or on the one binding."""
        with self._call("operations_on"):
            on = {"instance_id": instance_id, "binding_id": binding_id}
            rows = [row for row in self.tables.earlier(before) if row.items() >= on.items()]
            return [records.read_operation(row) for row in rows[:limit]]

    async def port_leases(self, host: HostKey, *, after: int, limit: int) -> dict[int, str]:
        """Return leased ports of the host, and whose they are."""
        with self._call("port_leases"):
            held = self.tables.leases.items()
            found = sorted((port, holder) for (key, port), holder in held if key == host and port > after)
            return dict(found[:limit])

    async def known_operations(self, operation_ids: Iterable[str]) -> frozenset[str]:
        """Return which of these operations are known."""
        with self._call("known_operations"):
            return frozenset(operation_ids) & self.tables.operations.keys()

    async def conditions(self) -> dict[str, str]:
        """Return what was observed of instances that are not as they should be."""
        with self._call("conditions"):
            return dict(self.tables.conditions)

    async def set_condition(self, instance_id: str, condition: str | None) -> None:
        """Record what was observed of an instance."""
        with self._call("set_condition"):
            self.tables.conditions.pop(instance_id, None)
            if condition is not None and instance_id in self.tables.instances:
                self.tables.conditions[instance_id] = condition

    async def leased_ports(self, host: HostKey) -> frozenset[int]:
        """Return the host's leased ports."""
        with self._call("leased_ports"):
            return frozenset(port for key, port in self.tables.leases if key == host)

    async def reserved(self) -> dict[HostKey, Reserved]:
        """Return what is reserved on each host."""
        with self._call("reserved"):
            return self.tables.reserved()

    async def neighbours(self, neighbourhood: str) -> Mapping[HostKey, int]:
        """Return how many instances of a neighbourhood are on which host."""
        with self._call("neighbours"):
            rows = self.tables.instances.values()
            return Counter(key for row in rows if row["neighbourhood"] == neighbourhood for key in held(row))

    async def begin(self, change: Change, *, owner: str, ttl: float, within: float) -> Operation:
        """Write a new operation with what it needs."""
        with self._call("begin"):
            self._require_open()
            self.tables.check_begin(change)
            self.tables.check_ports(change)
            self.tables.check_fit(change)
            self.tables.check_room(change)
            now = self.seconds()
            holder = None if change.operation.is_over else owner
            operation = evolve(change.operation, epoch=1, owner=holder, deadline=now + within)
            superseded = None
            if change.supersedes is not None:
                superseded = self.tables.supersede(change.supersedes, operation.created_at)
            self.tables.operations[operation.id] = records.operation_row(operation) | {
                "epoch": 1,
                "owner": holder,
                "lease_until": None if operation.is_over else now + ttl,
                "deadline": operation.deadline,
                "is_cancelled": operation.is_cancelled,
            }
            if change.operation.kind is not OperationKind.PROVISION:
                held = {"operation_id": operation.id, "last_operation_id": operation.id}
                self.tables.instances[operation.instance_id].update(held)
            self.tables.write(change, self.sealed)
            self._tell(*auditing.of_beginning(change, superseded))
            return operation

    async def commit(self, change: Change) -> None:
        """Write progress or the outcome."""
        with self._call("commit"):
            row = self.tables.held(change.operation)
            self.tables.check_ports(change)
            self.tables.check_room(change)
            row.update(records.operation_row(change.operation))
            if change.operation.is_over:
                row.update(owner=None, lease_until=None)
            self.tables.write(change, self.sealed)
            self._tell(*auditing.of_commit(change))

    async def claim(self, owner: str, *, ttl: float) -> list[Operation]:
        """Take over what nobody holds."""
        with self._call("claim"):
            now = self.seconds()
            rows = self.tables.operations.values()
            lapsed = [row for row in rows if row["lease_until"] is not None and row["lease_until"] <= now]
            for row in lapsed:
                row.update(epoch=row["epoch"] + 1, owner=owner, lease_until=now + ttl)
            return [records.read_operation(row) for row in lapsed]

    async def renew(self, owner: str, *, ttl: float) -> frozenset[str]:
        """Prolong the owner's leases."""
        with self._call("renew"):
            held = [row for row in self.tables.operations.values() if row["owner"] == owner]
            for row in held:
                row["lease_until"] = self.seconds() + ttl
            return frozenset(row["id"] for row in held if row["is_cancelled"])

    async def release(self, operation: Operation, *, delay: float) -> None:
        """Let go of an operation."""
        with self._call("release"):
            self.tables.held(operation).update(owner=None, lease_until=self.seconds() + delay)

    async def cancel(self, operation_id: str, *, origin: Origin = ITSELF) -> None:
        """Ask whoever carries the operation to undo it."""
        with self._call("cancel"):
            self._require_open()
            operation = self.tables.known(operation_id)
            if operation.is_over or operation.kind in {OperationKind.UNBIND, OperationKind.DEPROVISION}:
                raise Conflict(f"The operation {operation_id} is over or a deletion.")
            self.tables.operations[operation_id]["is_cancelled"] = True
            self._tell(auditing.operation_cancelled(operation_id, origin))

    async def hasten(self, operation_id: str, *, origin: Origin = ITSELF) -> None:
        """Let an operation that waits be claimed at once."""
        with self._call("hasten"):
            self._require_open()
            operation, row, now = (
                self.tables.known(operation_id),
                self.tables.operations[operation_id],
                self.seconds(),
            )
            if operation.is_over or (operation.owner is not None and row["lease_until"] > now):
                raise Conflict(f"The operation {operation_id} is over or is being carried out.")
            row["lease_until"] = now
            self._tell(auditing.operation_hastened(operation_id, origin))

    async def entomb(self, instance_id: str, tombstone: str) -> None:
        """Record that what does not exist was to be deleted."""
        with self._call("entomb"):
            self._require_open()
            now = self.seconds()
            kept = {one: row for one, row in self.tables.tombstones.items() if row[1] >= now - 3600}
            self.tables.tombstones = kept | {instance_id: (tombstone, now)}

    async def tombstone(self, instance_id: str) -> str | None:
        """Return the tombstone that was recorded last."""
        with self._call("tombstone"):
            return self.tables.tombstones.get(instance_id, (None, 0))[0]

    async def forget(self, before: float, limit: int) -> int:
        """Delete operations that were over before that time, the oldest first."""
        with self._call("forget"):
            old = [
                row
                for row in self.tables.operations.values()
                if row["is_over"] and row["finished_at"] is not None and row["finished_at"] < before
            ]
            forgotten = [row for row in old if not self.tables.is_kept(row)]
            forgotten.sort(key=lambda row: row["finished_at"])
            for row in forgotten[:limit]:
                del self.tables.operations[row["id"]]
            return len(forgotten[:limit])

"""A persister in memory, verified by the same contract suite as the real ones, that fails when told to."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, evolve, field, frozen
from zope.interface import implementer

from dockerbroker.errors import AlreadyExists, Busy, Conflict, LostLease, NotFound, PortLeased
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport
from dockerbroker.model.instances import Change, Operation, OperationKind, ServiceBinding, ServiceInstance
from dockerbroker.persisters import records
from dockerbroker.persisters.interfaces import IPersister

Row = dict[str, Any]


@define(eq=False)
class Tables:
    """What several memory persisters share, as several brokers share a database."""

    cluster_id: str = "0123456789abcdef0123456789abcdef"
    seeded: bool = False
    images: dict[str, Row] = field(factory=dict)
    hosts: dict[HostKey, Row] = field(factory=dict)
    instances: dict[str, Row] = field(factory=dict)
    bindings: dict[tuple[str, str], Row] = field(factory=dict)
    leases: dict[tuple[HostKey, int], str] = field(factory=dict)
    operations: dict[str, Row] = field(factory=dict)


@frozen
class Fault:
    """An error that one call raises, before it did anything or after it wrote."""

    error: Exception
    written: bool


@implementer(IPersister)
@define(eq=False)
class MemoryPersister:
    """Keeps records in memory, by the rules of `IPersister`.

    `seconds` is the clock of the leases, such as `Clock().seconds`. `calls` holds the names of the methods
    that were called. Values are kept as the real persisters keep them, as JSON, so that what cannot be stored
    fails here too and nothing is shared with the caller.
    """

    seconds: Callable[[], float]
    tables: Tables = field(factory=Tables)
    calls: list[str] = field(factory=list, init=False)
    _faults: defaultdict[str, deque[Fault]] = field(factory=lambda: defaultdict(deque), init=False)

    def another(self) -> MemoryPersister:
        """Return the persister of another broker on the same database."""
        return MemoryPersister(self.seconds, self.tables)

    def fail_next(self, method: str, error: Exception, *, written: bool = False) -> None:
        """Let the next call of the method that has no fault yet raise the error.

        With `written` the call does its work first, as when the database's reply is lost.
        """
        self._faults[method].append(Fault(error, written))

    def operations(self) -> list[Operation]:
        """Return all operations, the oldest first."""
        return [records.read_operation(row) for row in self.tables.operations.values()]

    async def cluster_id(self) -> str:
        """Return the identifier that this database was born with."""
        with self._call("cluster_id"):
            return self.tables.cluster_id

    async def images(self) -> list[ImageDefinition]:
        """Return the catalog, in the order of the names."""
        with self._call("images"):
            return [records.read_image(row) for _, row in sorted(self.tables.images.items())]

    async def seed_images(self, definitions: Iterable[ImageDefinition]) -> bool:
        """Fill the catalog the first time."""
        with self._call("seed_images"):
            if self.tables.seeded:
                return False
            self.tables.images.update({d.name: records.image_row(d) for d in definitions})
            self.tables.seeded = True
            return True

    async def put_image(self, definition: ImageDefinition) -> bool:
        """Add or replace a definition."""
        with self._call("put_image"):
            for row in self.tables.images.values():
                records.read_image(row).require_room_for(definition)
            is_new = definition.name not in self.tables.images
            self.tables.images[definition.name] = records.image_row(definition)
            return is_new

    async def delete_image(self, name: str) -> None:
        """Remove a definition."""
        with self._call("delete_image"):
            if name not in self.tables.images:
                raise NotFound(f"The image {name!r} does not exist.")
            if any(row["image_name"] == name for row in self.tables.instances.values()):
                raise Conflict(f"The image {name!r} has service instances.")
            del self.tables.images[name]

    async def record_ping(self, host: DockerHost) -> None:
        """Store the host, alive now."""
        with self._call("record_ping"):
            self.tables.hosts[host.key] = records.host_row(host) | {"pinged_at": self.seconds()}

    async def hosts(self) -> list[HostReport]:
        """Return every host, in the order of the keys."""
        with self._call("hosts"):
            return [
                HostReport(host=records.read_host(row), age=self.seconds() - row["pinged_at"])
                for _, row in sorted(self.tables.hosts.items())
            ]

    def forget_pings(self) -> None:
        """Make every ping infinitely old."""
        for row in self.tables.hosts.values():
            row["pinged_at"] = -math.inf

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the instance."""
        with self._call("instance"):
            row = self.tables.instances.get(instance_id)
            return None if row is None else records.read_instance(row)

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding."""
        with self._call("binding"):
            row = self.tables.bindings.get((instance_id, binding_id))
            return None if row is None else records.read_binding(row)

    async def bindings(self, instance_id: str) -> list[ServiceBinding]:
        """Return the instance's bindings, in the order of the ids."""
        with self._call("bindings"):
            rows = sorted(self.tables.bindings.items())
            return [records.read_binding(row) for (owner, _), row in rows if owner == instance_id]

    async def operation(self, operation_id: str) -> Operation | None:
        """Return the operation."""
        with self._call("operation"):
            row = self.tables.operations.get(operation_id)
            return None if row is None else records.read_operation(row)

    async def leased_ports(self, host: HostKey) -> frozenset[int]:
        """Return the host's leased ports."""
        with self._call("leased_ports"):
            return frozenset(port for key, port in self.tables.leases if key == host)

    async def begin(self, change: Change, *, owner: str, ttl: float) -> Operation:
        """Write a new operation with what it needs."""
        with self._call("begin"):
            self._check_begin(change)
            self._check_ports(change)
            operation = evolve(change.operation, epoch=1, owner=None if change.operation.is_over else owner)
            self.tables.operations[operation.id] = records.operation_row(operation) | {
                "epoch": 1,
                "owner": operation.owner,
                "lease_until": None if operation.is_over else self.seconds() + ttl,
            }
            if change.operation.kind is not OperationKind.PROVISION:
                held = {"operation_id": operation.id, "last_operation_id": operation.id}
                self.tables.instances[operation.instance_id].update(held)
            self._write(change)
            return operation

    async def commit(self, change: Change) -> None:
        """Write progress or the outcome."""
        with self._call("commit"):
            row = self._held(change.operation)
            self._check_ports(change)
            row.update(records.operation_row(change.operation))
            if change.operation.is_over:
                row.update(owner=None, lease_until=None)
            self._write(change)

    async def claim(self, owner: str, *, ttl: float) -> list[Operation]:
        """Take over what nobody holds."""
        with self._call("claim"):
            now = self.seconds()
            rows = self.tables.operations.values()
            lapsed = [row for row in rows if row["lease_until"] is not None and row["lease_until"] <= now]
            for row in lapsed:
                row.update(epoch=row["epoch"] + 1, owner=owner, lease_until=now + ttl)
            return [records.read_operation(row) for row in lapsed]

    async def renew(self, owner: str, *, ttl: float) -> None:
        """Prolong the owner's leases."""
        with self._call("renew"):
            for row in self.tables.operations.values():
                if row["owner"] == owner:
                    row["lease_until"] = self.seconds() + ttl

    async def release(self, operation: Operation, *, delay: float) -> None:
        """Let go of an operation."""
        with self._call("release"):
            self._held(operation).update(owner=None, lease_until=self.seconds() + delay)

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        self.calls.append(method)
        fault = self._faults[method].popleft() if self._faults[method] else None
        if fault is not None and not fault.written:
            raise fault.error
        yield
        if fault is not None:
            raise fault.error

    def _held(self, operation: Operation) -> Row:
        row = self.tables.operations.get(operation.id)
        if row is None or row["lease_until"] is None or row["epoch"] != operation.epoch:
            raise LostLease(f"The operation {operation.id} is not held any more.")
        return row

    def _check_begin(self, change: Change) -> None:
        operation = change.operation
        stored = self.tables.instances.get(operation.instance_id)
        if operation.kind is OperationKind.PROVISION:
            if stored is not None:
                raise AlreadyExists(f"The service instance {operation.instance_id!r} exists already.")
        elif stored is None or stored["operation_id"] is not None:
            raise Busy(f"The service instance {operation.instance_id!r} is held or gone.")
        elif change.instance and change.instance.last_operation_id != stored["last_operation_id"]:
            raise Busy(f"The service instance {operation.instance_id!r} was held meanwhile.")
        has_binding = (operation.instance_id, operation.binding_id) in self.tables.bindings
        if operation.kind is OperationKind.BIND and has_binding:
            raise AlreadyExists(f"The binding {operation.binding_id!r} exists already.")
        if operation.kind is OperationKind.UNBIND and not has_binding:
            raise Busy(f"The binding {operation.binding_id!r} is gone.")
        if operation.id in self.tables.operations:
            raise AlreadyExists(f"The operation {operation.id} exists already.")

    def _check_ports(self, change: Change) -> None:
        if change.instance is None or change.remove_instance:
            return
        for lease in records.leased_ports_of(change.instance):
            holder = self.tables.leases.get((change.instance.host, lease["port"]), change.instance.id)
            if holder != change.instance.id:
                raise PortLeased(f"The port {lease['port']} is leased to another service instance.")

    def _write(self, change: Change) -> None:
        operation, instance, binding = change.operation, change.instance, change.binding
        if change.remove_instance:
            self._remove(operation.instance_id)
            return
        if instance is not None:
            new = {"operation_id": operation.id, "last_operation_id": operation.id}
            before = self.tables.instances.get(instance.id, new)
            self.tables.instances[instance.id] = before | records.instance_row(instance)
            self._forget_leases(instance.id)
            for lease in records.leased_ports_of(instance):
                self.tables.leases[instance.host, lease["port"]] = instance.id
        if binding is not None:
            self.tables.bindings[binding.instance_id, binding.id] = records.binding_row(binding)
        if change.remove_binding is not None:
            self.tables.bindings.pop((operation.instance_id, change.remove_binding), None)
        held = self.tables.instances.get(operation.instance_id)
        if operation.is_over and held is not None and held["operation_id"] == operation.id:
            held["operation_id"] = None

    def _remove(self, instance_id: str) -> None:
        self.tables.instances.pop(instance_id, None)
        for key in [key for key in self.tables.bindings if key[0] == instance_id]:
            del self.tables.bindings[key]
        self._forget_leases(instance_id)

    def _forget_leases(self, instance_id: str) -> None:
        for key in [key for key, holder in self.tables.leases.items() if holder == instance_id]:
            del self.tables.leases[key]

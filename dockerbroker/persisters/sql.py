"""A persister on a SQL database: each method is one transaction in a thread."""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import ClassVar, TypeVar, cast

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from dockerbroker.errors import BrokerError, Unavailable
from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Change, Operation, ServiceBinding, ServiceInstance
from dockerbroker.model.reservations import Reserved
from dockerbroker.persisters import changes, history, leases, queries, reservations
from dockerbroker.persisters.databases import PATIENCE, CommitUnknown, Database, Query, Write
from dockerbroker.persisters.grouping import Groups, RunInThread
from dockerbroker.persisters.host_records import KnownFacts
from dockerbroker.persisters.interfaces import DatabaseState, IPersister, KeysInUse
from dockerbroker.persisters.sealed_records import SealedRecords
from dockerbroker.persisters.sql_audit import SqlAudit
from dockerbroker.persisters.sql_catalog import SqlCatalog
from dockerbroker.persisters.sql_certificates import SqlCertificates
from dockerbroker.persisters.sql_credentials import SqlCredentials
from dockerbroker.persisters.sql_hosts import SqlHosts
from dockerbroker.persisters.sql_listings import SqlListings
from dockerbroker.persisters.vault import Vault

T = TypeVar("T")


@implementer(IPersister)
@define(eq=False)
class SqlPersister(SqlAudit, SqlCatalog, SqlCertificates, SqlCredentials, SqlHosts, SqlListings):
    """Keeps records in a SQL database.

    Writes that must wait for their turn wait here, in order, and occupy no thread; a database may do them
    together then. A call whose Deferred is cancelled goes on in its thread. With a clock, calls are given up
    when the database's limit has passed.
    """

    _log: ClassVar[Logger] = Logger()

    database: Database
    run: RunInThread
    _clock: IReactorTime | None = None
    vault: Vault = field(factory=Vault)
    sealed: SealedRecords = field(init=False, repr=False)
    wall: Callable[[], float] = time.time
    known_facts: KnownFacts = field(factory=KnownFacts, init=False, repr=False)
    _writing: DeferredSemaphore | None = field(init=False)
    _groups: Groups | None = field(init=False)

    @sealed.default
    def _new_sealed(self) -> SealedRecords:
        return SealedRecords(self.vault)

    @_writing.default
    def _new_turns(self) -> DeferredSemaphore | None:
        writers = self.database.writers
        return None if writers is None else DeferredSemaphore(writers)

    @_groups.default
    def _new_groups(self) -> Groups | None:
        write_all = self.database.write_all
        if write_all is None or self._writing is None:
            return None
        return Groups(write_all, self.run, self._writing)

    async def cluster_id(self) -> str:
        """Return the identifier that this database was born with."""
        return await self._read(queries.find_cluster_id)

    async def state(self) -> DatabaseState:
        """Return whose records the database holds."""
        return await self._read(lambda connection: queries.find_state(connection, self.sealed), is_told=False)

    async def keys(self) -> KeysInUse:
        """Return the keys of the secrets."""
        await self.state()
        return self.vault.in_use()

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the instance."""
        return await self._read(
            lambda connection: queries.find_instance(connection, self.sealed, instance_id)
        )

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding."""
        return await self._read(
            lambda connection: queries.find_binding(connection, self.sealed, instance_id, binding_id)
        )

    async def now(self) -> float:
        """Return the time of the database's clock."""
        return await self._read(self.database.now)

    async def instances(self, after: str, limit: int) -> list[ServiceInstance]:
        """Return instances, in the order of the ids."""
        return await self._read(
            lambda connection: queries.find_instances(connection, self.sealed, after, limit)
        )

    async def operation(self, operation_id: str) -> Operation | None:
        """Return the operation."""
        return await self._read(lambda connection: history.find_operation(connection, operation_id))

    async def last_operation(self, instance_id: str, binding_id: str | None = None) -> Operation | None:
        """Return the last operation on the instance itself, or on the one binding."""
        return await self._read(
            lambda connection: history.find_last_operation(connection, instance_id, binding_id)
        )

    async def known_operations(self, operation_ids: Iterable[str]) -> frozenset[str]:
        """Return which of these operations are known."""
        asked = list(operation_ids)
        return await self._read(lambda connection: history.find_known_operations(connection, asked))

    async def conditions(self) -> dict[str, str]:
        """Return the conditions of instances that are not as they should be."""
        return await self._read(queries.find_conditions)

    async def set_condition(self, instance_id: str, condition: str | None) -> None:
        """Record the condition of an instance."""
        await self._write(lambda connection: queries.set_condition(connection, instance_id, condition))

    async def leased_ports(self, host: HostKey) -> frozenset[int]:
        """Return the host's leased ports."""
        return await self._read(lambda connection: queries.find_leased_ports(connection, host))

    async def reserved(self) -> dict[HostKey, Reserved]:
        """Return what is reserved on each host."""
        return await self._read(reservations.find_reserved)

    async def neighbours(self, neighbourhood: str) -> Mapping[HostKey, int]:
        """Return how many instances of a neighbourhood are on which host."""
        return await self._read(lambda connection: reservations.find_neighbours(connection, neighbourhood))

    async def begin(self, change: Change, *, owner: str, ttl: float, within: float) -> Operation:
        """Write a new operation with what it needs."""
        return await self._write(
            lambda connection: changes.begin(
                connection,
                self.sealed,
                change,
                owner=owner,
                now=self.database.now(connection),
                ttl=ttl,
                within=within,
                at=self.wall(),
            ),
            done=lambda connection: changes.begun(connection, change, owner=owner),
        )

    async def commit(self, change: Change) -> None:
        """Write progress or the outcome."""

        def write(connection: Connection) -> bool:
            changes.commit(connection, self.sealed, change, self.wall())
            return True

        await self._write(write, done=lambda connection: changes.committed(connection, change))

    async def claim(self, owner: str, *, ttl: float) -> list[Operation]:
        """Take over what nobody holds, and what those hold that are known to have ended."""

        def take(deadline: float) -> list[Operation]:
            with self.database.ended_brokers() as ended:
                return self.database.write(
                    lambda connection: leases.claim(
                        connection, owner, now=self.database.now(connection), ttl=ttl, ended=ended
                    ),
                    deadline=deadline,
                )

        return await self._in_turn(take)

    async def renew(self, owner: str, *, ttl: float) -> frozenset[str]:
        """Prolong the owner's leases; returns which of the operations are cancelled."""
        return await self._write(
            lambda connection: leases.renew(
                connection, owner, lease_until=self.database.now(connection) + ttl
            )
        )

    async def release(self, operation: Operation, *, delay: float) -> None:
        """Let go of an operation."""
        await self._write(
            lambda connection: leases.release(
                connection, operation, lease_until=self.database.now(connection) + delay
            )
        )

    async def cancel(self, operation_id: str, *, origin: Origin = ITSELF) -> None:
        """Ask whoever carries the operation to undo it."""
        told = auditing.operation_cancelled(operation_id, origin)
        await self._change(told, lambda connection: leases.cancel(connection, operation_id))

    async def hasten(self, operation_id: str, *, origin: Origin = ITSELF) -> None:
        """Let an operation that waits be claimed at once."""
        await self._change(
            auditing.operation_hastened(operation_id, origin),
            lambda connection: leases.hasten(connection, operation_id, now=self.database.now(connection)),
        )

    async def entomb(self, instance_id: str, tombstone: str) -> None:
        """Record that what does not exist was to be deleted."""
        await self._write(
            lambda connection: queries.entomb(
                connection, instance_id, tombstone, now=self.database.now(connection)
            )
        )

    async def tombstone(self, instance_id: str) -> str | None:
        """Return the tombstone that was recorded last."""
        return await self._read(lambda connection: queries.find_tombstone(connection, instance_id))

    async def forget(self, before: float, limit: int) -> int:
        """Delete operations that were over before that time."""
        return await self._write(lambda connection: history.forget(connection, before, limit))

    async def close(self) -> None:
        """Close the database's connections; no call may be under way."""
        await self.run(self.database.close)

    async def _read(self, query: Query[T], *, is_told: bool = True) -> T:
        found = self.run(partial(self.database.read, query, deadline=self._deadline()))
        return await self._attempt(found, is_told=is_told)

    async def _write(
        self, query: Query[T], *, done: Query[T | None] | None = None, is_told: bool = True
    ) -> T:
        """Run the query when it is its turn.

        `done` finds what the query has returned, when it has already been made durable. With `is_told` the
        log is told when the database does not answer.
        """
        query = partial(queries.with_keys, sealed=self.sealed, query=query)
        if self._groups is not None:
            added = self._groups.add(Write(query, self._deadline()))
            return cast("T", await self._attempt(added, is_told=is_told))
        return await self._in_turn(lambda deadline: self._settled(query, done, deadline), is_told=is_told)

    def _settled(self, query: Query[T], done: Query[T | None] | None, deadline: float) -> T:
        is_settled = True
        while True:
            try:
                return self.database.write(query, deadline=deadline)
            except CommitUnknown:
                # Done once more it changes nothing, or is refused because it has been done.
                is_settled = False
            except BrokerError:
                stored = None if is_settled or done is None else self.database.read(done, deadline=deadline)
                if stored is None:
                    raise
                return stored

    async def _in_turn(self, writing: Callable[[float], T], *, is_told: bool = True) -> T:
        """Call that in a thread when it is its turn, with the time until which a write must have begun."""
        deadline = self._deadline()
        work = partial(writing, deadline)
        outcome = self.run(work) if self._writing is None else self._writing.run(self.run, work)
        return await self._attempt(outcome, is_told=is_told)

    def _deadline(self) -> float:
        return self.database.seconds() + PATIENCE

    async def _attempt(self, outcome: Deferred[T], *, is_told: bool = True) -> T:
        if self._clock is not None and self.database.limit is not None:
            outcome.addTimeout(self.database.limit, self._clock)
        try:
            return await outcome
        except DeadlinePassed:
            if is_told:
                self._log.warn("the database does not answer in time")
            raise Unavailable("The broker's database does not answer in time; try again later.") from None
        except Unavailable as error:
            if is_told:
                # Below the first line drivers tell of the row, and with it what is secret.
                cause = str(error.__cause__).partition("\n")[0]
                self._log.warn("{description} ({cause})", description=error.description, cause=cause)
            raise

"""The part of the persister on a SQL database that keeps hosts."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from sqlalchemy import Connection

from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, AuditEntry, Origin
from dockerbroker.model.fleet import Fleet
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport
from dockerbroker.model.liveness import Verdict
from dockerbroker.model.registrations import USUAL, HostLimits
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters import host_queries, tables
from dockerbroker.persisters.databases import Database, Query
from dockerbroker.persisters.host_records import KnownFacts

T = TypeVar("T")


class SqlHosts:
    """Keeps hosts, their pings and their states."""

    __slots__ = ()

    database: Database
    known_facts: KnownFacts
    wall: Callable[[], float]

    async def record_pings(self, pings: Iterable[Ping], limits: HostLimits = USUAL) -> Mapping[HostKey, str]:
        """Store what the pings tell."""
        pinged = list(pings)
        return await self._write(
            lambda connection: host_queries.record_pings(
                connection, pinged, limits, self.database.now, self.database.upsert(tables.hosts), self.wall()
            )
        )

    async def observe(self) -> None:
        """Record that a broker is there now."""
        await self._write(
            lambda connection: host_queries.observe(
                connection, self.database.now, self.database.upsert(tables.observation)
            ),
            is_told=False,
        )

    async def hosts(self) -> list[HostReport]:
        """Return every host, in the order of the keys."""
        fleet = await self.fleet()
        return [fleet.report(facts) for facts in fleet.hosts]

    async def host(self, key: HostKey) -> DockerHost | None:
        """Return the host."""
        return await self._read(lambda connection: host_queries.find_host(connection, key))

    async def fleet(self) -> Fleet:
        """Return what is known of every host."""
        return await self._read(
            lambda connection: host_queries.find_fleet(
                connection, self.database.now(connection), self.known_facts
            )
        )

    async def judge(self, verdicts: Iterable[Verdict]) -> frozenset[HostKey]:
        """Change the states of hosts that are as they were when judged."""
        judged = list(verdicts)
        return await self._write(lambda connection: host_queries.judge(connection, judged, self.database.now))

    async def cordon(self, key: HostKey, *, is_cordoned: bool, origin: Origin = ITSELF) -> None:
        """Let nothing be placed on the host, or let it again."""
        await self._change(
            auditing.host_cordoned(key, origin, is_cordoned=is_cordoned),
            lambda connection: host_queries.cordon(connection, key, is_cordoned=is_cordoned),
        )

    async def complain(self, key: HostKey, complaint: str) -> None:
        """Record why the Docker of the host cannot be used."""
        await self._write(lambda connection: host_queries.complain(connection, key, complaint))

    async def drain(self, key: HostKey, *, is_draining: bool, origin: Origin = ITSELF) -> None:
        """Let the instances of the host move, or let them stay."""
        await self._change(
            auditing.host_drained(key, origin, is_draining=is_draining),
            lambda connection: host_queries.drain(connection, key, is_draining=is_draining),
        )

    async def forget_host(self, key: HostKey, *, origin: Origin = ITSELF) -> None:
        """Delete what is known of the host."""

        def forget(connection: Connection) -> bool:
            host_queries.forget_host(connection, key)
            return True

        await self._change(
            auditing.host_forgotten(key, origin),
            forget,
            done=lambda connection: not host_queries.has_host(connection, key) or None,
        )

    async def _read(self, query: Query[T]) -> T:
        raise NotImplementedError

    async def _change(self, entry: AuditEntry, query: Query[T], *, done: Query[T | None] | None = None) -> T:
        raise NotImplementedError

    async def _write(
        self, query: Query[T], *, done: Query[T | None] | None = None, is_told: bool = True
    ) -> T:
        raise NotImplementedError

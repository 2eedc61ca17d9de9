"""The part of the persister on Redis that keeps hosts."""

from collections.abc import Iterable, Mapping
from typing import Any

from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.fleet import Fleet
from dockerbroker.model.hosts import LONGEST_GAP, ROUNDING, DockerHost, HostKey, HostReport, Observation
from dockerbroker.model.liveness import MOST_FORMER, Verdict
from dockerbroker.model.registrations import USUAL, HostLimits
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters import holding_records, host_records, records, refusals
from dockerbroker.persisters.host_records import KnownFacts
from dockerbroker.persisters.redis import rows
from dockerbroker.persisters.redis.database import RedisDatabase
from dockerbroker.persisters.redis.rows import texts


class RedisHosts(RedisDatabase):
    """Keeps hosts, their pings and their states."""

    __slots__ = ()

    known_facts: KnownFacts

    async def record_pings(self, pings: Iterable[Ping], limits: HostLimits = USUAL) -> Mapping[HostKey, str]:
        """Store what the pings tell."""
        pinged = {rows.host_id(ping.host.key): ping for ping in pings}
        told, refusals = [rows.ping(ping) for ping in pinged.values()], dict[HostKey, str]()
        while told:
            refused, unknown, changed = await self._ask(
                "ping",
                pings=told,
                most=MOST_FORMER,
                rounding=ROUNDING,
                in_all=limits.in_all,
                of_one=limits.of_one,
            )
            refusals.update((rows.host_key(identifier), why) for identifier, why in refused)
            # Only now it is known what is to be told; what was stored meanwhile is looked at once more.
            told = [self._registered(pinged[identifier]) for identifier in texts(unknown)]
            told += [self._changed(pinged[identifier], seen) for identifier, seen in changed]
        return refusals

    def _registered(self, ping: Ping) -> dict[str, Any]:
        """Return a ping for a host that is not known, with the record that tells of it."""
        return rows.new_ping(ping, self._told(auditing.host_registered(ping)))

    def _changed(self, ping: Ping, seen: str) -> dict[str, Any]:
        """Return a ping of other settings than those that were seen, with the record that tells of it."""
        before = {**holding_records.host_columns(ping.host.key), "document": seen}
        return rows.changing_ping(ping, self._told(*host_records.told(before, ping)), seen)

    async def observe(self) -> None:
        """Record that a broker is there now."""
        await self._answer("observe", {"gap": LONGEST_GAP, "rounding": ROUNDING})

    async def hosts(self) -> list[HostReport]:
        """Return every host, in the order of the keys."""
        fleet = await self.fleet()
        reports = [fleet.report(facts) for facts in fleet.hosts]
        return sorted(reports, key=lambda one: one.host.key)

    async def host(self, key: HostKey) -> DockerHost | None:
        """Return the host."""
        row = await self._record("host", rows.host_id(key))
        return None if row is None else records.read_host(row)

    async def fleet(self) -> Fleet:
        """Return what is known of every host."""
        found, now, since, at = await self._ask("fleet")
        return Fleet(
            hosts=self.known_facts.facts(((one[0], one) for one in found), rows.facts),
            now=float(now),
            observation=Observation(since=float(since), at=float(at)) if at else None,
        )

    async def judge(self, verdicts: Iterable[Verdict]) -> frozenset[HostKey]:
        """Change the states of hosts that are as they were when judged."""
        _, changed = await self._call("judge", verdicts=[rows.verdict(one) for one in verdicts])
        return frozenset(map(rows.host_key, texts(changed)))

    async def cordon(self, key: HostKey, *, is_cordoned: bool, origin: Origin = ITSELF) -> None:
        """Let nothing be placed on the host, or let it again."""
        told = self._told(auditing.host_cordoned(key, origin, is_cordoned=is_cordoned))
        answer = await self._call("cordon", id=rows.host_id(key), is_cordoned=is_cordoned, audit=told)
        if answer == ["unknown"]:
            raise refusals.host_unknown(key)

    async def complain(self, key: HostKey, complaint: str) -> None:
        """Record why the Docker of the host cannot be used."""
        await self._call("complain", id=rows.host_id(key), complaint=complaint)

    async def drain(self, key: HostKey, *, is_draining: bool, origin: Origin = ITSELF) -> None:
        """Let the instances of the host move, or let them stay."""
        told = self._told(auditing.host_drained(key, origin, is_draining=is_draining))
        answer = await self._call("drain", id=rows.host_id(key), is_draining=is_draining, audit=told)
        if answer == ["unknown"]:
            raise refusals.host_unknown(key)

    async def forget_host(self, key: HostKey, *, origin: Origin = ITSELF) -> None:
        """Delete what is known of the host."""
        told = self._told(auditing.host_forgotten(key, origin))
        if await self._call("forget_host", id=rows.host_id(key), audit=told) == ["unknown"]:
            raise refusals.host_unknown(key)

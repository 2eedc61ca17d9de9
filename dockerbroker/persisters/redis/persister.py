"""A persister on Redis: each method is one script; a few look first, and theirs sees what has changed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from attrs import define, field
from twisted.logger import Logger
from zope.interface import implementer

from dockerbroker.errors import Unavailable
from dockerbroker.model import auditing
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Change, Operation, ServiceBinding, ServiceInstance
from dockerbroker.model.reservations import Reserved
from dockerbroker.persisters import records, refusals
from dockerbroker.persisters.host_records import KnownFacts
from dockerbroker.persisters.interfaces import IPersister, KeysInUse
from dockerbroker.persisters.redis import operations, rows
from dockerbroker.persisters.redis.audit import RedisAudit
from dockerbroker.persisters.redis.catalog import RedisCatalog
from dockerbroker.persisters.redis.certificates import RedisCertificates
from dockerbroker.persisters.redis.credentials import RedisCredentials
from dockerbroker.persisters.redis.hosts import RedisHosts
from dockerbroker.persisters.redis.listings import RedisListings
from dockerbroker.persisters.redis.rows import texts, unpacked

#: How many identifiers one script is asked about: it holds up all others.
_AT_ONCE = 1000

#: Seconds for which it is kept that something was to be deleted which does not exist.
_ENTOMBED = 3600


@implementer(IPersister)
@define(eq=False)
class RedisPersister(
    RedisAudit, RedisCatalog, RedisCertificates, RedisCredentials, RedisHosts, RedisListings
):
    """Keeps records in a Redis database."""

    _log: ClassVar[Logger] = Logger()

    known_facts: KnownFacts = field(factory=KnownFacts, init=False, repr=False)

    async def cluster_id(self) -> str:
        """Return the identifier that this database was born with."""
        born, _ = await self._ask("deployment")
        return str(born)

    async def keys(self) -> KeysInUse:
        """Return the keys of the secrets."""
        await self.state()
        return self.vault.in_use()

    async def instance(self, instance_id: str) -> ServiceInstance | None:
        """Return the instance."""
        row = await self._record("instance", instance_id)
        return None if row is None else self.sealed.read_instance(row)

    async def binding(self, instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding."""
        row = await self._record("binding", instance_id, binding_id)
        return None if row is None else self.sealed.read_binding(row)

    async def now(self) -> float:
        """Return the time of the server's clock."""
        _, now = await self._ask("deployment")
        return float(now)

    async def instances(self, after: str, limit: int) -> list[ServiceInstance]:
        """Return instances, in the order of the ids."""
        [found] = await self._ask("instances", after=after, limit=limit)
        return self.sealed.read_instances(map(unpacked, found))

    async def operation(self, operation_id: str) -> Operation | None:
        """Return the operation."""
        row = await self._record("operation", operation_id)
        return None if row is None else records.read_operation(row)

    async def known_operations(self, operation_ids: Iterable[str]) -> frozenset[str]:
        """Return which of these operations are known."""
        asked, known = sorted(set(operation_ids)), set[str]()
        for start in range(0, len(asked), _AT_ONCE):
            [found] = await self._ask("known", ids=asked[start : start + _AT_ONCE])
            known.update(texts(found))
        return frozenset(known)

    async def conditions(self) -> dict[str, str]:
        """Return the conditions of instances that are not as they should be."""
        [found] = await self._ask("conditions")
        return dict(found)

    async def set_condition(self, instance_id: str, condition: str | None) -> None:
        """Record the condition of an instance."""
        await self._call("set_condition", id=instance_id, condition=condition)

    async def leased_ports(self, host: HostKey) -> frozenset[int]:
        """Return the host's leased ports."""
        [found] = await self._ask("ports", id=rows.host_id(host))
        return frozenset(map(int, found))

    async def reserved(self) -> dict[HostKey, Reserved]:
        """Return what is reserved on each host."""
        [found] = await self._ask("reserved")
        return {rows.host_key(host): rows.reserved(sums) for host, sums in found}

    async def neighbours(self, neighbourhood: str) -> Mapping[HostKey, int]:
        """Return how many instances of a neighbourhood are on which host."""
        [found] = await self._ask("neighbours", id=neighbourhood)
        return Counter(map(rows.host_key, texts(found)))

    async def begin(self, change: Change, *, owner: str, ttl: float, within: float) -> Operation:
        """Write a new operation with what it needs."""
        while True:
            superseded = None
            if change.supersedes is not None:
                superseded = await self._record("operation", change.supersedes)
                if superseded is None or superseded["lease_until"] is None:
                    raise refusals.superseded_ended(change.supersedes)
            sealed = await self._current()
            asked = operations.beginning(
                change, sealed, superseded, owner=owner, ttl=ttl, within=within, at=self.wall()
            )
            word, *stored = await self._call("begin", **asked)
            if word != operations.MOVED:
                break
        if (refusal := operations.refusal(word, change)) is not None:
            raise refusal
        [deadline] = stored
        return operations.begun(change, owner=owner, deadline=deadline)

    async def commit(self, change: Change) -> None:
        """Write progress or the outcome."""
        asked = operations.committing(change, await self._current(), self.wall())
        [word] = await self._call("commit", **asked)
        if (refusal := operations.refusal(word, change)) is not None:
            raise refusal

    async def claim(self, owner: str, *, ttl: float) -> list[Operation]:
        """Take over what nobody holds."""
        [lapsed] = await self._ask("lapsed")
        # One that cannot be read must not keep the others from being claimed.
        ids = [operation.id for operation in self._readable(lapsed)]
        if not ids:
            return []
        _, claimed = await self._call("claim", owner=owner, ttl=ttl, ids=ids)
        return self._readable(claimed)

    async def renew(self, owner: str, *, ttl: float) -> frozenset[str]:
        """Prolong the owner's leases; returns which of the operations are cancelled."""
        _, cancelled = await self._call("renew", owner=owner, ttl=ttl)
        return frozenset(texts(cancelled))

    async def release(self, operation: Operation, *, delay: float) -> None:
        """Let go of an operation."""
        answer = await self._call("release", id=operation.id, epoch=operation.epoch, delay=delay)
        if answer == ["lost"]:
            raise refusals.lease_lost(operation.id)

    async def cancel(self, operation_id: str, *, origin: Origin = ITSELF) -> None:
        """Ask whoever carries the operation to undo it."""
        operation = await self.operation(operation_id)
        if operation is None:
            raise refusals.operation_unknown(operation_id)
        if operation.kind in refusals.DELETIONS:
            raise refusals.deletion_stays(operation_id)
        told = self._told(auditing.operation_cancelled(operation_id, origin))
        if await self._call("cancel", id=operation_id, audit=told) == ["over"]:
            raise refusals.operation_over(operation_id)

    async def hasten(self, operation_id: str, *, origin: Origin = ITSELF) -> None:
        """Let an operation that waits be claimed at once."""
        told = self._told(auditing.operation_hastened(operation_id, origin))
        match await self._call("hasten", id=operation_id, audit=told):
            case ["unknown"]:
                raise refusals.operation_unknown(operation_id)
            case ["over"]:
                raise refusals.operation_over(operation_id)
            case ["carried"]:
                raise refusals.operation_carried(operation_id)

    async def entomb(self, instance_id: str, tombstone: str) -> None:
        """Record that what does not exist was to be deleted."""
        await self._call("entomb", id=instance_id, tombstone=tombstone, kept=_ENTOMBED)

    async def tombstone(self, instance_id: str) -> str | None:
        """Return the tombstone that was recorded last."""
        row = await self._record("tombstone", instance_id)
        return None if row is None else str(row["id"])

    async def forget(self, before: float, limit: int) -> int:
        """Delete operations that were over before that time."""
        _, forgotten = await self._call("forget", before=before, limit=limit)
        return int(forgotten)

    async def close(self) -> None:
        """Close all connections; no call may be under way."""
        await self.commands.close()

    def _readable(self, found: Iterable[Any]) -> list[Operation]:
        readable = []
        for row in found:
            try:
                readable.append(operations.read(row))
            except Unavailable as error:
                self._log.error("operation {id} is left: {why}", id=row.get("id"), why=error.description)
        return readable

"""The seam between the broker and its database: records, reservations and leases, not SQL."""

from collections.abc import Iterable, Mapping

from attrs import frozen

from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.fleet import Fleet
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport
from dockerbroker.model.instances import Change, Operation, ServiceBinding, ServiceInstance
from dockerbroker.model.liveness import Verdict
from dockerbroker.model.registrations import USUAL, HostLimits
from dockerbroker.model.reservations import Reserved
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters.administered import IAdministered


@frozen(kw_only=True)
class DatabaseState:
    """Whose records a database holds, None without any, and why no broker may use it: half a sentence.

    `locked` is why this broker may not, though others may: it lacks a key to the secrets, or has seen the
    database say of its keys what it does not say any more.
    `credentials` is another number after each change of the credentials, and 0 before the first one.
    """

    cluster_id: str | None
    obstacle: str | None = None
    locked: str | None = None
    credentials: int = 0


@frozen(kw_only=True)
class KeysInUse:
    """The keys of the secrets in a database.

    `primary` is the label of the one with which secrets are sealed, None when they are not; `labels` are
    those that may have sealed some, and whether this broker has each. With `is_plain` some may not be sealed,
    and without `is_settled` the key is being changed.
    """

    primary: str | None
    labels: Mapping[str, bool]
    is_plain: bool
    is_settled: bool


class IPersister(IAdministered):
    """Keeps the records of one deployment, which any number of brokers share.

    Every method is one transaction: it is durable when it returns, and has changed nothing when it raises.
    Any of them raises `Unavailable` when the database does not answer; `begin`, `cancel`, `hasten`, `entomb`
    and what changes the catalog, certificates or credentials do so also when its records were moved to
    another one (`archive.IArchive`).
    What somebody has asked for has a record in the audit log (`model.auditing`), which is written in the
    same transaction; operations know their origin, and other changes are told it. Identifiers are compared as
    exact bytes. The clock is the persister's own: it never goes back, and all brokers of the deployment see
    it.
    """

    async def cluster_id() -> str:
        """Return the random identifier that this database was born with: 32 hexadecimal digits."""

    async def state() -> DatabaseState:
        """Return whose records the database holds now, if there are any, and whether brokers may use it."""

    async def keys() -> KeysInUse:
        """Return with which keys the secrets in the database are sealed now."""

    async def record_pings(pings: Iterable[Ping], limits: HostLimits = USUAL) -> Mapping[HostKey, str]:
        """Store the hosts as their agents describe them, and that they were heard now.

        No two of them have the same key. Returns why some are refused (`liveness.heard`,
        `registrations.Room`): of those nothing is stored but that two agents claim to be one host. A host
        that was dead returns. Calls at the same moment may together make more hosts known than the `limits`
        say, each of them at most as many as it would alone.
        """

    async def observe() -> None:
        """Record that a broker is there now to hear the pings of hosts; each says so every second.

        A host is silent only while brokers are there: see `hosts`.
        """

    async def hosts() -> list[HostReport]:
        """Return every known host, the age of its last ping, and for how long it is known to be silent."""

    async def fleet() -> Fleet:
        """Return what is known of every host, and what is reserved there.

        As long as nothing else is known of a host, its facts are mostly the same object.
        """

    async def judge(verdicts: Iterable[Verdict]) -> frozenset[HostKey]:
        """Give hosts other states, but for those that have pinged or were judged since.

        Returns whose states have changed. So of many brokers that judge at once one does.
        """

    async def cordon(key: HostKey, *, is_cordoned: bool, origin: Origin = ITSELF) -> None:
        """Record whether an administrator wants nothing placed on the host; raises `NotFound`.

        One on which something may be placed is not drained any more.
        """

    async def drain(key: HostKey, *, is_draining: bool, origin: Origin = ITSELF) -> None:
        """Record whether the instances of the host shall move to others; raises `NotFound`.

        On one that is drained nothing may be placed either, and that stays so when it is not drained any
        more.
        """

    async def complain(key: HostKey, complaint: str) -> None:
        """Record why brokers cannot use the Docker of the host: a sentence, or nothing when they can.

        Nothing is recorded of a host that is not known.
        """

    async def forget_host(key: HostKey, *, origin: Origin = ITSELF) -> None:
        """Delete what is known of the host, until it pings again; raises `NotFound`."""

    async def host(key: HostKey) -> DockerHost | None:
        """Return the host with that key, alive or not, if it is known."""

    async def instance(instance_id: str) -> ServiceInstance | None:
        """Return the instance, if it exists."""

    async def binding(instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding of that instance, if it exists."""

    async def bindings(
        instance_id: str, *, after: str = "", limit: int | None = None
    ) -> list[ServiceBinding]:
        """Return the bindings of the instance, in the order of the ids; at most `limit` after that one."""

    async def now() -> float:
        """Return the time of the persister's clock, in seconds: by it leases and deadlines are judged."""

    async def instances(after: str, limit: int) -> list[ServiceInstance]:
        """Return at most `limit` instances whose ids come after that one, in the order of the ids.

        The order is that of the ids' bytes; every id comes after the empty one. They are those before the
        first one whose record cannot be read; when that is the very first, `Unreadable` tells its id.
        """

    async def operation(operation_id: str) -> Operation | None:
        """Return the operation; those that are over are kept until they are forgotten."""

    async def last_operation(instance_id: str, binding_id: str | None = None) -> Operation | None:
        """Return the operation on the instance itself, or on the one binding, that was begun last."""

    async def operations(*, unfinished: bool, limit: int, before: str | None = None) -> list[Operation]:
        """Return at most `limit` operations, those begun last first; all, or only those that are not over.

        They are those that were begun before the operation `before`; none when that is not known.
        """

    async def operations_on(
        instance_id: str, binding_id: str | None = None, *, limit: int, before: str | None = None
    ) -> list[Operation]:
        """Return operations on the instance itself, or on the one binding, otherwise as `operations`."""

    async def known_operations(operation_ids: Iterable[str]) -> frozenset[str]:
        """Return which of these operations the database knows, over or not."""

    async def conditions() -> dict[str, str]:
        """Return what was observed of instances that are not as they should be: id -> sentence."""

    async def set_condition(instance_id: str, condition: str | None) -> None:
        """Record what was observed of an instance; None when it is as it should be.

        No lease is needed. It goes with the instance; of one that does not exist nothing is recorded.
        """

    async def leased_ports(host: HostKey) -> frozenset[int]:
        """Return the host's ports that are leased to instances."""

    async def port_leases(host: HostKey, *, after: int, limit: int) -> dict[int, str]:
        """Return at most `limit` of the host's leased ports above that one, and the ids of their instances.

        They are in the order of the ports.
        """

    async def reserved() -> dict[HostKey, Reserved]:
        """Return what is reserved on each host that has instances; others may be absent."""

    async def neighbours(neighbourhood: str) -> Mapping[HostKey, int]:
        """Return how many instances of a `ServiceInstance.neighbourhood` are on which host."""

    async def begin(change: Change, *, owner: str, ttl: float, within: float) -> Operation:
        """Write a new operation with what it needs, and lease it to the owner for `ttl` seconds.

        Its deadline is `within` seconds from now.

        A provision inserts its instance, which holds the instance's ports by a unique (host, port), and
        raises `AlreadyExists` or `PortLeased`. When the instance reserves more on a host than before, and
        there would be more reserved than `change.most`, it raises `HostFull`; also when another one has a
        lonely place of its own, and when it is placed on a host that is known to be cordoned or not to be
        alive. An instance that moves holds ports and places on both hosts, and reserves on both
        (`model.holdings`). A bind inserts its binding. Everything but a provision takes the instance and
        raises `Busy` when another operation holds it, has held it since the change's instance was read, or it
        is gone, or the binding of an unbind is gone; for a bind also `AlreadyExists`. The other records of
        the change are written as they are, but for the ids of operations in the instance, which are the
        persister's. Returns the operation as stored: epoch 1, with its owner and its deadline.

        A change that supersedes an operation takes the instance from it, and raises `Busy` when that
        operation does not hold the instance or is over. The superseded operation is over: it has failed,
        with the description that a deletion has ended it, and whoever carried it has lost its lease.
        """

    async def commit(change: Change) -> None:
        """Write the operation's progress or outcome and the records that change with it.

        Raises `LostLease` when the operation's epoch is not the stored one, `PortLeased` when the instance
        has new ports and one is taken, and `HostFull` as `begin` does when it reserves more than before, be
        it on another host: then it gives up what it held of the former one. Whether something may be placed
        on a host is not looked at again. An operation that is over gives up its lease and its
        instance, and never changes again. Neither the deadline nor the cancellation of a stored operation
        is changed.
        """

    async def claim(owner: str, *, ttl: float) -> list[Operation]:
        """Take over all operations that are not over and whose lease has lapsed; each gets a new epoch.

        The leases of a broker that is known to have ended have lapsed.
        """

    async def renew(owner: str, *, ttl: float) -> frozenset[str]:
        """Prolong the leases of all operations that the owner holds, from now; returns those cancelled."""

    async def release(operation: Operation, *, delay: float) -> None:
        """Let go of an operation that is not over: it may be claimed after `delay` seconds.

        Raises `LostLease`.
        """

    async def cancel(operation_id: str, *, origin: Origin = ITSELF) -> None:
        """Ask whoever carries the operation to undo it.

        It is told of it by `renew`. Raises `NotFound`, or `Conflict` when the operation is over or is a
        deletion, which cannot be undone.
        """

    async def hasten(operation_id: str, *, origin: Origin = ITSELF) -> None:
        """Let an operation that waits to be tried again be claimed at once.

        Raises `NotFound`, or `Conflict` when it is over or somebody carries it.
        """

    async def entomb(instance_id: str, tombstone: str) -> None:
        """Record that a deletion of that instance was asked for while there was none.

        The tombstone is one that no other deletion has; it is kept for an hour, or until the next one.
        """

    async def tombstone(instance_id: str) -> str | None:
        """Return the tombstone that was recorded last for that instance."""

    async def forget(before: float, limit: int) -> int:
        """Delete at most `limit` operations that were over before that time, in seconds since 1970.

        Those that were over first go first. Returns how many. The last operation on an instance itself that
        exists is kept.
        """

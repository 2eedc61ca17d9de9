"""Compares rows with Docker: starts what has stopped, notes what is wrong, removes what is left over."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.broker.complaints import Complaints
from dockerbroker.broker.observing import Observer
from dockerbroker.broker.reaping import Reaped, Reaper
from dockerbroker.broker.resting import RestingPorts
from dockerbroker.broker.together import together
from dockerbroker.broker.turns import Turns
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import BrokerError, EngineUnreachable, OutcomeUnknown, Unavailable, Unreadable
from dockerbroker.model.holdings import holdings
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import ServiceInstance
from dockerbroker.model.orphans import Claims, claims_of, merged
from dockerbroker.model.world import (
    Action,
    Note,
    Place,
    Standing,
    Start,
    World,
    is_settled,
    place_of,
    plan_rows,
)
from dockerbroker.persisters.interfaces import IPersister

#: Seconds between two passes, and the longest random pause before each.
PERIOD = 30.0
JITTER = 3.0
#: A pass may take so much of a processor's time, as a share of what passes until the next one.
SHARE = 0.05
#: The longest time between two passes, in seconds, whatever they take.
LONGEST = 3600.0
#: A pass that takes longer hangs, and is given up; seconds.
PASS_DEADLINE = 1800.0
#: How long the record of an operation is kept after its end, in seconds: platforms poll so long at most.
KEPT = 7 * 86400.0
#: How long records of the audit log are kept unless it is configured, in seconds.
AUDIT_KEPT = 400 * 86400.0
#: How many records are deleted in a pass.
_MOST_FORGOTTEN = 1000
#: How many instances are read at once.
PAGE = 500
#: How many unfinished operations are read; rows tell by themselves, too, that an operation holds them.
_MOST_OPERATIONS = 10_000


@define(eq=False, kw_only=True)
class Comparer:
    """Compares all rows with all hosts, periodically.

    `wall` returns seconds since 1970; `spent` the seconds of a processor that this process has taken, so that
    passes become rarer when they take long; `jitter` a random part of a pause. Records of the audit log are
    kept for `audit_kept` seconds.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    clock: IReactorTime
    wall: Callable[[], float]
    spent: Callable[[], float]
    jitter: Callable[[float], float]
    resting: RestingPorts = field(factory=RestingPorts)
    audit_kept: float = AUDIT_KEPT
    observer: Observer = field(init=False)
    reaper: Reaper = field(init=False)
    complaints: Complaints = field(init=False)
    _turns: Turns = field(init=False)
    _cluster_id: str | None = field(default=None, init=False)
    _standings: dict[str, Standing] = field(factory=dict, init=False)
    _unread: set[str] = field(factory=set, init=False)
    _not_before: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        """Prepare what a pass needs."""
        self.observer = Observer(self.persister, self.engines, self.clock)
        self.reaper = Reaper(self.persister, self.engines, self.clock)
        self.complaints = Complaints(self.persister)
        self._turns = Turns(
            self._turn, PERIOD, "comparing the database with the Docker hosts", self.clock, self._log
        )

    def start(self) -> None:
        """Begin; the first pass comes after a period."""
        self._turns.start()

    def stop(self) -> None:
        """End; what a pass has asked of Docker may still be done, and nothing else is asked."""
        self._turns.stop()
        self._turns.cancel()

    async def _turn(self) -> None:
        if self.clock.seconds() >= self._not_before:
            await self._pass()

    async def _pass(self) -> None:
        before = self.spent()
        try:
            await deferLater(self.clock, self.jitter(JITTER))
            await Deferred.fromCoroutine(self.compare()).addTimeout(PASS_DEADLINE, self.clock)
        except Exception as error:
            self.reaper.begin_again()
            if isinstance(error, DeadlinePassed):
                raise Unavailable("It took longer than any pass may.") from None
            raise
        finally:
            pause = min((self.spent() - before) / SHARE, LONGEST)
            self._not_before = self.clock.seconds() + pause

    async def compare(self) -> Reaped:
        """Do one pass; raises `Unavailable` when the database does not answer."""
        cluster_id = await self.known_cluster()
        # The world first, then the rows: a row is written before its container is made, so what has none
        # when the rows are read is truly without.
        world = await self.observer.look(cluster_id)
        await self.complaints.note_sights(world)
        claims = await self._compare_rows(world)
        reaped = await self.reaper.reap(world, claims, cluster_id)
        await self.persister.forget(self.wall() - KEPT, _MOST_FORGOTTEN)
        await self.persister.forget_audit(self.wall() - self.audit_kept, _MOST_FORGOTTEN)
        return reaped

    async def compare_hosts(self, world: World, *, are_restarted: bool = False) -> bool:
        """Compare the rows of some hosts with what was seen of them; return whether all is as it should be.

        Their engines `are_restarted`: that what they have has stopped is not the containers' fault.
        """
        busy = await busy_instances(self.persister)
        conditions = await self.persister.conditions()
        is_well = True
        async for page in pages(self.persister, set()):
            rows = [row for row in page if place_of(row.host) in world]
            for row in rows if are_restarted else ():
                self._standings.pop(row.id, None)
            actions = self._judge(rows, busy, world, conditions)
            known = [self._standings.get(row.id) for row in rows]
            is_well = is_well and all(standing is None or standing.trouble is None for standing in known)
            await self._act(actions)
        return is_well

    async def known_cluster(self) -> str:
        """Return the database's identifier; raises `BrokerError` when it is not what it was."""
        found = await self.persister.cluster_id()
        if self._cluster_id is None:
            self._cluster_id = found
        if found != self._cluster_id:
            raise BrokerError("The database is not the one with which the broker was started.")
        return found

    async def _compare_rows(self, world: World) -> Claims:
        busy = await busy_instances(self.persister)
        conditions = await self.persister.conditions()
        claims: list[Claims] = []
        actions: list[Action] = []
        unread: set[str] = set()
        gone = set(self._standings)
        leased: dict[HostKey, set[int]] = {}
        async for page in pages(self.persister, unread):
            for held in (held for row in page for held in holdings(row)):
                leased.setdefault(held.host, set()).update(held.ports)
            claims.append(claims_of(page, busy, world))
            gone -= {row.id for row in page}
            actions += self._judge(page, busy, world, conditions)
        for instance_id in gone:
            self._standings.pop(instance_id, None)
        self.resting.see_all(leased, self.clock.seconds())
        self._tell_unread(unread)
        await self._act(actions)
        return merged([*claims, claimed(unread)])

    def _judge(
        self,
        rows: Sequence[ServiceInstance],
        busy: AbstractSet[str],
        world: World,
        conditions: Mapping[str, str],
    ) -> Sequence[Action]:
        # At once: several may compare, and what one has noted must not be lost to the other.
        judgement = plan_rows(rows, busy, world, self._standings, conditions, self.clock.seconds())
        for row in rows:
            self._standings.pop(row.id, None)
        self._standings.update(judgement.standings)
        return judgement.actions

    def _tell_unread(self, unread: set[str]) -> None:
        for instance_id in sorted(unread - self._unread):
            self._log.error(
                "the record of {instance} cannot be read: it is not compared, and nothing of it is touched",
                instance=instance_id,
            )
        self._unread = unread

    async def _act(self, actions: Iterable[Action]) -> None:
        starts: dict[Place, list[Start]] = {}
        for action in actions:
            match action:
                case Note():
                    await self._note(action)
                case Start():
                    starts.setdefault(place_of(action.host.key), []).append(action)
        await together(self._start_all(one) for one in starts.values())

    async def _note(self, note: Note) -> None:
        self._log.info(
            "{instance}: {condition}",
            instance=note.instance_id,
            condition=note.condition or "it is as it should be again.",
        )
        await self.persister.set_condition(note.instance_id, note.condition)

    async def _start_all(self, starts: Iterable[Start]) -> None:
        """Start the containers of one host, one after the other, until it does not answer."""
        for start in starts:
            try:
                await self._start(start)
            except (EngineUnreachable, OutcomeUnknown) as error:
                self._log.warn(
                    "starting {instance}: {why}", instance=start.instance_id, why=error.description
                )
                return
            except BrokerError as error:
                self._log.warn(
                    "starting {instance}: {why}", instance=start.instance_id, why=error.description
                )

    async def _start(self, start: Start) -> None:
        # An operation may have begun meanwhile, and what it has stopped must not be started.
        instance = await self.persister.instance(start.instance_id)
        if instance is None or not is_settled(instance, frozenset()):
            return
        if instance.container_id == start.container_id:
            self._log.info("starting the stopped container of {instance}", instance=instance.id)
            engine = self.engines(start.host)
            await engine.start(start.container_id)
            # A stop that Docker carried out late has taken it away.
            await engine.keep_running(start.container_id, instance.plan.options.restart)


async def busy_instances(persister: IPersister) -> frozenset[str]:
    """Return the ids of the instances on which operations are not over."""
    operations = await persister.operations(unfinished=True, limit=_MOST_OPERATIONS)
    return frozenset(operation.instance_id for operation in operations)


async def pages(persister: IPersister, unread: set[str]) -> AsyncIterator[list[ServiceInstance]]:
    """Yield all instances, a page at a time, so that neither the database nor the broker stops for long.

    The ids of those whose records cannot be read are put into `unread`.
    """
    after = ""
    while True:
        try:
            page = await persister.instances(after, PAGE)
        except Unreadable as error:
            if not error.id or error.id == after:
                raise
            unread.add(error.id)
            after = error.id
            continue
        if not page:
            return
        yield page
        after = page[-1].id


def claimed(ids: AbstractSet[str]) -> Claims:
    """Return what rows that cannot be read lay claim to: nothing of their instances is touched."""
    return Claims(instances=frozenset(ids))


async def read_claims(persister: IPersister, world: World) -> Claims:
    """Return what all rows lay claim to; the world was seen before."""
    busy = await busy_instances(persister)
    unread: set[str] = set()
    claims = [claims_of(page, busy, world) async for page in pages(persister, unread)]
    return merged([*claims, claimed(unread)])

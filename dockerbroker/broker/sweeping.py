"""Looks by hand for what nobody owns, and removes it when an administrator says so."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from dockerbroker.broker.comparing import read_claims
from dockerbroker.broker.observing import Observer
from dockerbroker.broker.reaping import Reaped, Reaper
from dockerbroker.engines.interfaces import Engines
from dockerbroker.errors import BrokerError, Conflict
from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.orphans import Orphan, Verdict, excess
from dockerbroker.model.world import World
from dockerbroker.persisters.interfaces import IPersister

#: Something more than the grace, in seconds.
_LONGER = 1.0


@frozen(kw_only=True)
class Survey:
    """What has no owner, and what the database says about each; `excess` is why so much is suspicious.

    `unseen` tells of the hosts that could not be looked at, by their service hosts, why.
    """

    found: tuple[tuple[Orphan, Verdict], ...]
    unseen: Mapping[str, str]
    excess: str | None


def _nothing(sentence: str) -> None:
    del sentence


@define(eq=False)
class Sweeper:
    """Looks at all hosts; `tell` is told what is going on, a sentence at a time."""

    persister: IPersister
    engines: Engines
    clock: IReactorTime
    tell: Callable[[str], object] = _nothing
    origin: Origin = ITSELF

    async def survey(self) -> Survey:
        """Return all that nobody owns, be it ever so young; nothing is removed."""
        reaper = Reaper(self.persister, self.engines, self.clock)
        cluster_id = await self.persister.cluster_id()
        world = await self._look(cluster_id)
        claims = await read_claims(self.persister, world)
        found = await reaper.find(world, claims, cluster_id)
        verdicts = await reaper.examine(found, claims)
        return Survey(
            found=tuple(zip(found, verdicts, strict=True)),
            unseen=_unseen(world),
            excess=excess(found, world.values()),
        )

    async def sweep(self, *, forced: bool) -> Reaped:
        """Remove what nobody owns, after two looks with the grace between them; `forced` as of `Reaper`."""
        reaper = Reaper(self.persister, self.engines, self.clock, forced=forced, origin=self.origin)
        cluster_id = await self.persister.cluster_id()
        first = await self._pass(reaper, cluster_id)
        if not first.waiting:
            return first
        self.tell(f"{first.waiting} without an owner; looking again in {reaper.grace:g} s.")
        await deferLater(self.clock, reaper.grace + _LONGER)
        return await self._pass(reaper, cluster_id)

    async def _pass(self, reaper: Reaper, cluster_id: str) -> Reaped:
        world = await self._look(cluster_id)
        for host, complaint in _unseen(world).items():
            self.tell(f"{host} was not looked at: {complaint}")
        claims = await read_claims(self.persister, world)
        return await reaper.reap(world, claims, cluster_id)

    async def _look(self, cluster_id: str) -> World:
        return await Observer(self.persister, self.engines, self.clock).look(cluster_id)


def _unseen(world: World) -> dict[str, str]:
    return {
        sight.host.key.service_host: sight.complaint
        for sight in world.values()
        if sight.complaint is not None
    }


@frozen(kw_only=True)
class Sweep:
    """How a sweep stands, or how it has ended; times are in seconds since 1970.

    `trouble` is why it ended without an outcome, in a sentence.
    """

    forced: bool
    begun_at: float
    ended_at: float | None = None
    outcome: Reaped | None = None
    trouble: str = ""
    origin: Origin = ITSELF


@define(eq=False)
class Sweeps:
    """Sweeps that a broker does because administrators have asked for them: one at a time.

    However many ask for a survey at once, the hosts are looked at once. `wall` is seconds since 1970.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    engines: Engines
    clock: IReactorTime
    wall: Callable[[], float]
    #: The last sweep of this broker, under way or over.
    last: Sweep | None = field(default=None, init=False)
    _sweeping: Deferred[None] | None = field(default=None, init=False)
    _waiting: list[Deferred[Survey]] = field(factory=list, init=False)

    async def survey(self) -> Survey:
        """Return what nobody owns, as `Sweeper.survey`."""
        mine: Deferred[Survey] = Deferred()
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            Deferred.fromCoroutine(self._sweeper().survey()).addBoth(self._tell_all)
        return await mine

    def _tell_all(self, outcome: Survey | Failure) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            # Whoever has asked may be gone.
            if not one.called:
                one.callback(outcome)

    def start(self, *, forced: bool, origin: Origin = ITSELF) -> Sweep:
        """Begin a sweep; raises `Conflict` while another one is under way."""
        if self._is_under_way:
            raise Conflict("This broker is removing what nobody owns already; look how that goes.")
        self.last = begun = Sweep(forced=forced, begun_at=self.wall(), origin=origin)
        self._log.info("an administrator wants removed what nobody owns, by force: {forced}", forced=forced)
        self._sweeping = Deferred.fromCoroutine(self._sweep(begun))
        return self.last

    @property
    def _is_under_way(self) -> bool:
        return self.last is not None and self.last.ended_at is None

    def stop(self) -> None:
        """End the sweep that is under way; what it was about to remove stays."""
        if self._is_under_way and self._sweeping is not None:
            self._sweeping.cancel()

    async def _sweep(self, sweep: Sweep) -> None:
        try:
            sweep = evolve(sweep, outcome=await self._sweeper(sweep.origin).sweep(forced=sweep.forced))
        except CancelledError:
            sweep = evolve(sweep, trouble="The broker has ended.")
        except BrokerError as error:
            sweep = evolve(sweep, trouble=error.description)
        except Exception:  # noqa: BLE001 (whatever it is, the next one may be begun)
            self._log.failure("removing what nobody owns")
            sweep = evolve(sweep, trouble="The broker failed unexpectedly; its log tells more.")
        self.last = evolve(sweep, ended_at=self.wall())

    def _sweeper(self, origin: Origin = ITSELF) -> Sweeper:
        return Sweeper(self.persister, self.engines, self.clock, origin=origin)

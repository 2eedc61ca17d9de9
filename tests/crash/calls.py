"""Every call of database and Docker that an operation makes, and what may become of each.

The calls are counted at the crash points of a broker, so that none is missed. What may become of a call is
done at its points as well: before it, when it is never made; after it, when only its answer is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from dockerbroker.crashpoints import without_place
from dockerbroker.errors import BrokerError, EngineError, EngineUnreachable, OutcomeUnknown, Unavailable
from tests.crash.databases import Databases
from tests.crash.platform import Deed, Platform
from tests.crash.scenarios import Act
from tests.crash.world import World

#: How long a database may leave a call without an answer before its driver gives up, in seconds.
DATABASE_PATIENCE: Final = 10.0
#: The longest that anything waits for its answer, in seconds: what then has none is a breach.
ANSWERED_WITHIN: Final = 46.0


@frozen
class Fault:
    """What becomes of a call: an error, at once or after some time, with the call made or not.

    Without an error it never ends.
    """

    seam: str
    made: bool
    error: Callable[[], BrokerError] | None = None
    after: float = 0.0


FAULTS: Final[Mapping[str, Fault]] = {
    "the database fails": Fault("persister", False, lambda: Unavailable("The database does not answer.")),
    "the database hangs": Fault(
        "persister", False, lambda: Unavailable("The database does not answer."), DATABASE_PATIENCE
    ),
    "the database's reply is lost": Fault(
        "persister", True, lambda: Unavailable("The database does not answer.")
    ),
    "Docker refuses": Fault("engine", False, lambda: EngineError("Docker refused.")),
    "Docker is not reached": Fault("engine", False, lambda: EngineUnreachable("Docker is not reached.")),
    "Docker's request is lost": Fault("engine", False, lambda: OutcomeUnknown("Docker did not answer.")),
    "Docker's reply is lost": Fault("engine", True, lambda: OutcomeUnknown("Docker did not answer.")),
    "Docker hangs": Fault("engine", False),
    "Docker does it and hangs": Fault("engine", True),
}

#: Each operation: what comes before it, and the request.
_MADE: Final = Act(kind="provision", instance_id="i-1")
_BOUND: Final = Act(kind="bind", instance_id="i-1", binding_id="b-1")
OPERATIONS: Final[Mapping[str, tuple[tuple[Act, ...], Act]]] = {
    "provision": ((), _MADE),
    "update of parameters": (
        (_MADE,),
        Act(kind="update", instance_id="i-1", change={"parameters": {"size": 2}}),
    ),
    "update of the plan": (
        (_MADE, _BOUND),
        Act(kind="update", instance_id="i-1", change={"plan_id": "large"}),
    ),
    "bind": ((_MADE,), _BOUND),
    "unbind": ((_MADE, _BOUND), Act(kind="unbind", instance_id="i-1", binding_id="b-1")),
    "deprovision": ((_MADE, _BOUND), Act(kind="deprovision", instance_id="i-1")),
}


@define(eq=False)
class Calls:
    """Counts the calls of one seam from `arm` on; the one at a position meets the fault."""

    clock: Clock
    seam: str
    names: list[str] = field(factory=list)
    fault: Fault | None = None
    position: int = -1
    _struck: str = ""
    _counts: bool = False

    def arm(self, fault: Fault | None = None, position: int = -1) -> None:
        """Begin to count."""
        self.fault, self.position, self._counts = fault, position, True

    def disarm(self) -> None:
        """Count no more."""
        self._counts = False

    async def __call__(self, name: str) -> None:
        """Count a call at the point before it; let it meet its fault."""
        call, _, side = name.rpartition(":")
        if not self._counts or not without_place(call).startswith(f"{self.seam}."):
            return
        if side == "before":
            self.names.append(call)
            if len(self.names) - 1 == self.position and self.fault is not None:
                if not self.fault.made:
                    await self._strike(self.fault)
                self._struck = call
        elif self._struck == call and self.fault is not None and self.fault.made:
            self._struck = ""
            await self._strike(self.fault)

    async def _strike(self, fault: Fault) -> None:
        self._struck = ""
        if fault.error is None:
            await Deferred()
            return
        if fault.after:
            await deferLater(self.clock, fault.after)
        raise fault.error()


@define(eq=False)
class Experiment:
    """A world in which one operation is made, and one of its calls meets a fault."""

    world: World
    platform: Platform
    calls: Calls
    act: Act

    @classmethod
    def of(
        cls,
        operation: str,
        seam: str,
        *,
        asynchronous: bool,
        databases: Databases,
        database: str = "memory",
    ) -> Experiment:
        """Return a world in which what comes before the operation is there."""
        clock = Clock()
        calls = Calls(clock, seam)
        world = World(databases.new(database, clock.seconds), clock, also=calls)
        platform = Platform(world)
        before, act = OPERATIONS[operation]
        for one in before:
            deed = platform.perform(one)
            world.wait(deed, 600)
        act = Act(
            kind=act.kind,
            instance_id=act.instance_id,
            binding_id=act.binding_id,
            change=act.change,
            asynchronous=asynchronous,
        )
        return cls(world, platform, calls, act)

    def ask(self, fault: Fault | None = None, position: int = -1) -> Deed:
        """Send the request and wait for its first answer; the calls until then are counted."""
        self.calls.arm(fault, position)
        self.platform.perform(self.act)
        deed = self.platform.deeds[-1]
        end = self.world.clock.seconds() + ANSWERED_WITHIN
        while not deed.statuses and self.world.clock.seconds() < end:
            self.world.advance(0.5)
        return deed

    def finish(self, deed: Deed) -> None:
        """Let the platform poll and clean up to the end, and everything settle."""
        for _ in range(400):
            if deed.outcome is not None:
                break
            self.world.advance(10)
        self.calls.disarm()
        self.world.advance(400)

"""Every step of every operation, held while another request comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dockerbroker.crashpoints import without_place
from tests.asking import binding_path, instance_path
from tests.crash.calls import OPERATIONS
from tests.crash.databases import MemoryDatabase
from tests.crash.platform import Deed, Platform, request_of
from tests.crash.scenarios import Act
from tests.crash.world import World

#: The steps of each operation at which it asks something of Docker.
STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "provision": ("create", "start", "ready", "execute", "keep"),
    "update of parameters": ("execute",),
    "update of the plan": ("create", "halt", "start", "ready", "execute", "keep", "retire"),
    "bind": ("execute",),
    "unbind": ("execute",),
    "deprovision": ("unbind", "execute", "remove"),
}
#: The steps by which an operation is undone, and the executable whose failure leads there.
UNDOING: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "provision": ("provision", ("undo", "remove")),
    "update of the plan": ("update", ("discard", "restore")),
    "bind": ("bind", ("undo",)),
}

_INSTANCE: Final = Act(kind="provision", instance_id="i-1")
_BINDING: Final = Act(kind="bind", instance_id="i-1", binding_id="b-1")
_LARGER: Final = Act(kind="update", instance_id="i-1", change={"plan_id": "large"})
#: What comes meanwhile.
REQUESTS: Final[Mapping[str, tuple[str, str, Any]]] = {
    "same provision": request_of(_INSTANCE),
    "other provision": (
        "PUT",
        f"{instance_path('i-1')}?accepts_incomplete=true",
        {**request_of(_INSTANCE)[2], "parameters": {"size": 99}},
    ),
    "update of parameters": request_of(
        Act(kind="update", instance_id="i-1", change={"parameters": {"size": 2}})
    ),
    "update of the plan": request_of(_LARGER),
    "bind": request_of(_BINDING),
    "other bind": request_of(evolve(_BINDING, binding_id="b-2")),
    "unbind": request_of(evolve(_BINDING, kind="unbind")),
    "other unbind": request_of(evolve(_BINDING, kind="unbind", binding_id="b-2")),
    "deprovision": request_of(evolve(_INSTANCE, kind="deprovision")),
    "fetch": ("GET", instance_path("i-1"), None),
    "fetch of the binding": ("GET", binding_path("i-1", "b-1"), None),
    "poll": ("GET", f"{instance_path('i-1')}/last_operation", None),
    "poll of the binding": ("GET", f"{binding_path('i-1', 'b-1')}/last_operation", None),
}


@define(eq=False)
class Hold:
    """Holds the first call of Docker in a place, until it is released."""

    place: str
    reached: bool = False
    _released: Deferred[None] = field(factory=Deferred)

    async def __call__(self, name: str) -> None:
        """Wait, if this is the place."""
        is_here = name.startswith(f"{self.place}/") and without_place(name).startswith("engine.")
        if is_here and name.endswith(":before") and not self.reached:
            self.reached = True
            await self._released

    def release(self) -> None:
        """Let it go on."""
        self._released.callback(None)


@define(eq=False)
class Meeting:
    """An operation that is held at a step."""

    world: World
    platform: Platform
    hold: Hold
    deed: Deferred[Deed]

    @classmethod
    def of(cls, operation: str, step: str, *, failing: str | None = None) -> Meeting:
        """Begin the operation, and hold it at the step; `failing` is the executable that fails."""
        before, act = OPERATIONS[operation]
        hold = Hold(f"{act.kind}.{step}")
        clock = Clock()
        world = World(MemoryDatabase(clock.seconds), clock, also=hold)
        platform = Platform(world)
        for one in before:
            world.wait(platform.perform(one), 600)
        if failing is not None:
            world.service.failing[failing] = 1
        meeting = cls(world, platform, hold, platform.perform(act))
        world.advance(0)
        return meeting

    def status(self, request: str) -> int:
        """Send a request and return the status of its answer, for which the operation may be let go."""
        answered = self.world.ask(*REQUESTS[request])
        if not self.world.wait(answered, 0.2):
            # It waits for what is held: only then is it let go.
            self.world.wait(answered, 11)
        if not answered.called:
            self.hold.release()
            self.world.wait(answered, 60)
        assert answered.called, f"{request} is never answered"
        status: list[int] = []
        answered.addCallback(lambda answer: status.append(answer.status))
        return status[0]

    def finish(self) -> None:
        """Let the operation go on, and everything settle."""
        if not self.hold._released.called:
            self.hold.release()
        self.world.wait(self.deed, 4000)
        self.world.advance(400)

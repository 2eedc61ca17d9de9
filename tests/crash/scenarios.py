"""What platforms ask for in one trial, and what goes wrong meanwhile, all by chance."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final

from attrs import evolve, field, frozen

from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.plans import ContainerOptions, Plan

#: A service in containers of its own, with two plans that differ in their containers.
SERVICE: Final = ImageDefinition(
    name="redis",
    image="redis",
    plan_updateable=True,
    plans=(
        Plan(id="small", name="small", options=ContainerOptions(volumes={"data": "/data"})),
        Plan(id="large", name="large", options=ContainerOptions(memory=2**30, volumes={"data": "/data"})),
    ),
)

#: What follows what in the life of an instance: (has a binding, may come next).
_NEXT: Final = {
    False: ("bind", "bind", "bind", "parameters", "plan", "deprovision"),
    True: ("unbind", "unbind", "bind", "parameters", "plan", "deprovision"),
}
#: Steps after which nothing can be undone, or something is being undone, while the host is lost.
_LEAVES: Final = (
    "provision.remove",
    "provision.undo",
    "update.discard",
    "update.restore",
    "update.retire",
    "deprovision.remove",
)


@frozen(kw_only=True)
class Act:
    """One request of a platform.

    `after` is how many seconds after the previous one it is sent; None when that is over. `change` is what
    an update changes: parameters or the plan.
    """

    kind: str
    instance_id: str
    binding_id: str | None = None
    after: float | None = None
    change: Mapping[str, Any] = field(factory=dict)
    asynchronous: bool = True


@frozen(kw_only=True)
class Scenario:
    """The requests, and how service and host behave.

    `slow` and `failing` are those of the executables; `ends` is the exit status of containers that end at
    once; `away` is when the host cannot be reached: from, how long; `leaves` is the place of a broker's step
    at which it is lost for a while; `brokers` is how many live at once.
    """

    acts: tuple[Act, ...]
    slow: Mapping[str, float] = field(factory=dict)
    failing: Mapping[str, int] = field(factory=dict)
    ends: int | None = None
    taken_ports: bool = False
    away: tuple[float, float] | None = None
    leaves: str | None = None
    brokers: int = 1

    @property
    def is_calm(self) -> bool:
        """Whether nothing stands in the way of success but the death of a broker."""
        is_sound = not self.failing and self.ends is None
        return is_sound and self.away is None and self.leaves is None and self.is_sequential

    def has_time(self, act: Act) -> bool:
        """Whether a broker may die in the act, and another still end it in the time of the request."""
        return act.asynchronous or max(self.slow.values(), default=0.0) < 5.0

    @property
    def is_sequential(self) -> bool:
        """Whether every request is sent when the one before is over."""
        return all(act.after is None for act in self.acts)


def scenario(random: Random) -> Scenario:
    """Return a scenario by chance: most are calm, so that what goes wrong can be told apart."""
    acts = _life(random, "i-1")
    if random.random() < 0.2:
        acts += _life(random, "i-2")[: random.randint(1, 3)]
    if random.random() < 0.35:
        acts = _disturbed(random, acts)
    trouble = random.random()
    kinds = sorted({act.kind for act in acts})
    return Scenario(
        acts=tuple(acts),
        slow={action: random.choice((0.5, 3.0, 12.0)) for action in _some(random, 0.25)},
        failing={random.choice(kinds): random.choice((1, 1, 3))} if trouble < 0.3 else {},
        ends=1 if 0.25 <= trouble < 0.36 else None,
        away=(random.uniform(0, 20), random.choice((3.0, 30.0, 90.0))) if 0.36 <= trouble < 0.46 else None,
        leaves=random.choice(_LEAVES) if trouble < 0.3 or trouble > 0.95 else None,
        taken_ports=random.random() < 0.1,
        brokers=random.choice((1, 1, 2)),
    )


def _some(random: Random, share: float) -> list[str]:
    names = ("provision", "update", "bind", "unbind", "deprovision")
    return [name for name in names if random.random() < share]


def _life(random: Random, instance_id: str) -> list[Act]:
    """Return requests that follow each other sensibly."""
    acts = [Act(kind="provision", instance_id=instance_id)]
    bindings: list[str] = []
    made = 0
    for _ in range(random.randint(0, 3)):
        kind = random.choice(_NEXT[bool(bindings)])
        act = Act(kind=kind, instance_id=instance_id)
        if kind == "bind":
            made += 1
            bindings.append(f"b-{made}")
            act = evolve(act, binding_id=bindings[-1])
        elif kind == "unbind":
            act = evolve(act, binding_id=bindings.pop())
        elif kind == "parameters":
            act = evolve(act, kind="update", change={"parameters": {"size": random.randint(1, 9)}})
        elif kind == "plan":
            act = evolve(act, kind="update", change={"plan_id": "large"})
        acts.append(act)
        if kind == "deprovision":
            break
    return [evolve(act, asynchronous=random.random() < 0.7) for act in acts]


def _disturbed(random: Random, acts: list[Act]) -> list[Act]:
    """Return the requests, some of them sent while the one before is under way, some twice."""
    disturbed: list[Act] = []
    for act in acts:
        soon = random.choice((None, None, 0.0, 0.3, 2.0)) if disturbed else None
        disturbed.append(evolve(act, after=soon))
        if random.random() < 0.3:
            again = random.choice((act, evolve(act, kind="deprovision", binding_id=None, change={})))
            if act.kind == "bind" and random.random() < 0.5:
                again = evolve(act, kind="unbind")
            disturbed.append(evolve(again, after=random.choice((0.0, 0.2, 1.0, 5.0))))
    return disturbed

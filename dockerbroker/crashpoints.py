"""Named points before and after every await on the database and on Docker, at which tests let a broker die.

A point's name is `PLACE/SEAM.MEMBER:SIDE`, for instance `provision.create/engine.create:after`: the step that
an operation is doing, the call, and whether it was made. Calls that belong to no step have no place:
`persister.begin:before`. Why it is a proxy at the seams and not a call in every function:
docs/decisions/0010-crash-points.md.
"""

import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeVar, cast

from attrs import define, field
from zope.interface import directlyProvides
from zope.interface.interface import InterfaceClass

from dockerbroker.errors import InvalidConfiguration

T = TypeVar("T")

#: What is done at a point: it is given the point's name; it may raise, or never return.
Reach = Callable[[str], Awaitable[None]]

#: The environment variable that arms one point of a program: `NAME[:COUNT]:ACTION`.
VARIABLE: Final = "DOCKERBROKER_CRASHPOINT"
#: The exit status of a program that ended at a point: that of one that was killed.
EXIT_STATUS: Final = 137
#: How long `sleep` holds the whole program up, in seconds.
STALL: Final = 20.0

_SIDES: Final = ("before", "after")
#: Which step the running coroutine is doing. It belongs to a context, of which every operation has its own.
_place: Final[ContextVar[str]] = ContextVar("place", default="")


class Reached(Exception):
    """What the action `raise` raises at its point: a defect that nobody expects."""


def enter(place: str) -> None:
    """Name the place of all further points that this coroutine, run as a Deferred of its own, comes to."""
    _place.set(f"{place}/" if place else "")


def members(interface: Any) -> list[str]:
    """Return the names of an interface's members: before and after each of them there is a point."""
    return sorted(cast("InterfaceClass", interface).names(all=True))


def names(interface: Any, seam: str) -> list[str]:
    """Return the names, without places, of all points of an interface."""
    return [f"{seam}.{member}:{side}" for member in members(interface) for side in _SIDES]


def pointed(interface: Any, target: T, seam: str, reach: Reach) -> T:
    """Return what provides the interface by the target, with a point before and after every call.

    Nothing of the target but the members of the interface can be reached through it.
    """
    return cast("T", _Pointed(interface, target, seam, reach))


class _Pointed:
    """Provides an interface; made from its member names, so that none can be forgotten."""

    def __init__(self, interface: Any, target: Any, seam: str, reach: Reach) -> None:
        directlyProvides(self, interface)
        self._members = frozenset(members(interface))
        self._target = target
        self._seam = seam
        self._reach = reach

    def __getattr__(self, member: str) -> Any:
        if member.startswith("_") or member not in self._members:
            raise AttributeError(member)
        call = _between(getattr(self._target, member), f"{self._seam}.{member}", self._reach)
        setattr(self, member, call)
        return call


def _between(method: Callable[..., Awaitable[Any]], name: str, reach: Reach) -> Callable[..., Awaitable[Any]]:
    async def call(*arguments: Any, **options: Any) -> Any:
        await reach(f"{_place.get()}{name}:before")
        try:
            result = await method(*arguments, **options)
        except Exception:
            # A broker may die as well when it has just been told of a failure.
            await reach(f"{_place.get()}{name}:after")
            raise
        await reach(f"{_place.get()}{name}:after")
        return result

    return call


def without_place(name: str) -> str:
    """Return a point's name without the step."""
    return name.rpartition("/")[2]


def _end() -> None:
    os._exit(EXIT_STATUS)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _fail() -> None:
    raise Reached("a crash point was armed with the action 'raise'")


def _stall() -> None:
    time.sleep(STALL)


_ACTIONS: Final[Mapping[str, Callable[[], None]]] = {
    "exit": _end,
    "stop": _stop,
    "raise": _fail,
    "sleep": _stall,
}
_VALUE: Final = re.compile(
    rf"(?P<name>[^:]+:(?:{'|'.join(_SIDES)}))(?::(?P<count>[1-9][0-9]*))?:(?P<action>{'|'.join(_ACTIONS)})"
)


@define(eq=False)
class Armed:
    """One armed point: when it is reached for the `count`-th time, the action is done, and never again.

    A name without a place stands for that call in every place.
    """

    name: str
    count: int
    action: Callable[[], None]
    _seen: int = field(default=0, init=False)

    async def __call__(self, name: str) -> None:
        """Do the action if it is this point's turn."""
        if self.name not in {name, without_place(name)}:
            return
        self._seen += 1
        if self._seen == self.count:
            self.action()


def armed(environment: Mapping[str, str]) -> Armed | None:
    """Return the point that the environment arms, or None, as in every program but one under test.

    The value is `NAME[:COUNT]:ACTION`, such as `provision.create/engine.create:after:exit`. The actions are
    `exit` (at once, as if killed), `stop` (SIGSTOP), `raise` and `sleep`. Raises `InvalidConfiguration`.
    """
    text = environment.get(VARIABLE)
    if not text:
        return None
    found = _VALUE.fullmatch(text)
    if found is None:
        raise InvalidConfiguration(
            f"{VARIABLE} must be a point's name, an optional count and one of {', '.join(sorted(_ACTIONS))}, "
            f"such as 'engine.create:after:2:exit', not {text!r}."
        )
    return Armed(found["name"], int(found["count"] or 1), _ACTIONS[found["action"]])

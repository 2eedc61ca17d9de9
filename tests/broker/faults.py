"""Faults at any call that an operation makes, of Docker or of the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from attrs import define, frozen
from twisted.internet.defer import Deferred

from dockerbroker.errors import EngineError, EngineUnreachable, OutcomeUnknown, Unavailable
from tests.memory_engine import MemoryEngine
from tests.memory_faults import Fault
from tests.memory_persister import MemoryPersister
from tests.stack import (
    Asked,
    Stack,
    bind_body,
    binding_path,
    instance_path,
    provision_body,
    query,
)

Call = Callable[[], Awaitable[Any]]


async def _through(call: Call) -> Any:
    return await call()


async def refused(call: Call) -> Any:
    """Docker refuses."""
    del call
    raise EngineError("Docker refused.")


async def unreachable(call: Call) -> Any:
    """Docker is not reached."""
    del call
    raise EngineUnreachable("Docker is not reached.")


async def request_lost(call: Call) -> Any:
    """Docker has not seen the request, and the broker does not know it."""
    del call
    raise OutcomeUnknown("Docker did not answer.")


async def reply_lost(call: Call) -> Any:
    """Docker has done it, and the broker does not know it."""
    await call()
    raise OutcomeUnknown("Docker did not answer.")


async def hanging(call: Call) -> Any:
    """Docker never does it and never answers."""
    del call
    await Deferred()


async def done_and_hanging(call: Call) -> Any:
    """Docker does it and never answers."""
    await call()
    await Deferred()


@frozen
class Scenario:
    """A request of a platform, and what there is before it."""

    name: str
    prepare: Callable[[Stack], object]
    ask: Callable[[Stack], Asked]


def _bound(stack: Stack) -> None:
    stack.provision("i-1")
    stack.bind("i-1", "b-1")


PROVISION: Final = Scenario(
    "provision", lambda _stack: None, lambda stack: stack.ask("PUT", instance_path("i-1"), provision_body())
)
BIND: Final = Scenario(
    "bind",
    lambda stack: stack.provision("i-1"),
    lambda stack: stack.ask("PUT", binding_path("i-1", "b-1"), bind_body()),
)
UNBIND: Final = Scenario(
    "unbind", _bound, lambda stack: stack.ask("DELETE", binding_path("i-1", "b-1") + query())
)
DEPROVISION: Final = Scenario(
    "deprovision", _bound, lambda stack: stack.ask("DELETE", instance_path("i-1") + query())
)
SCENARIOS: Final = (PROVISION, BIND, UNBIND, DEPROVISION)


def arrange(engine: MemoryEngine, calls: list[str], position: int, fault: Fault) -> None:
    """Let the call at this position of the calls to come meet the fault."""
    method = calls[position]
    engine.faults[method] = [_through] * calls[:position].count(method) + [fault]


@define(eq=False)
class BreakingPersister(MemoryPersister):
    """A persister of which one call, counted from 0, finds that the database does not answer.

    With `written` the call has done its work before; with `dead` the database never answers again.
    """

    breaks_at: int | None = None
    written: bool = False
    dead: bool = False
    _seen: int = 0

    def arm(self, breaks_at: int, *, written: bool, dead: bool = False) -> None:
        """Count from now on."""
        self.breaks_at, self.written, self.dead, self._seen = breaks_at, written, dead, 0

    @contextmanager
    def _call(self, method: str) -> Iterator[None]:
        seen, self._seen = self._seen, self._seen + 1
        broken = seen == self.breaks_at
        gone = self.dead and self.breaks_at is not None and seen > self.breaks_at
        error = Unavailable("The database does not answer.")
        if gone or (broken and not self.written):
            self.calls.append(method)
            raise error
        with MemoryPersister._call(self, method):
            yield
        if broken:
            raise error

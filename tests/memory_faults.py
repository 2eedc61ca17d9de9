"""Faults of the calls of a fake: an error instead, a late answer, a call that hangs until it is released."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred

from dockerbroker.errors import EngineError, EngineUnreachable

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Faulty")


@define(eq=False)
class Hang:
    """A call that does not answer until it is released; `reached` tells whether it was made."""

    reached: bool = False
    _released: Deferred[None] = field(factory=Deferred)

    def release(self) -> None:
        """Let the call go on."""
        self._released.callback(None)

    def fail(self, error: EngineError) -> None:
        """Let the call raise the error, having done nothing."""
        self._released.errback(error)

    async def wait(self) -> None:
        """Wait for the release."""
        self.reached = True
        await self._released


#: What happens instead of a plain call: it is given the call.
Fault = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


@define(eq=False)
class Faulty:
    """Has methods that can be made to fail, by name; `calls` lists every call with its arguments.

    While `reachable` is false every call raises `EngineUnreachable`.
    """

    calls: list[tuple[Any, ...]] = field(factory=list, init=False)
    reachable: bool = field(default=True, init=False)
    faults: dict[str, list[Fault]] = field(factory=dict, init=False)

    def fail_next(self, method: str, error: EngineError, times: int = 1) -> None:
        """Let the next calls of the method raise the error, having done nothing."""

        async def fault(_call: Callable[[], Awaitable[Any]]) -> Any:
            raise error

        self.faults.setdefault(method, []).extend([fault] * times)

    def hang_next(self, method: str) -> Hang:
        """Let the next call of the method wait, having done nothing, until the result is released."""
        hang = Hang()

        async def fault(call: Callable[[], Awaitable[Any]]) -> Any:
            await hang.wait()
            return await call()

        self.faults.setdefault(method, []).append(fault)
        return hang

    def hang_reply(self, method: str) -> Hang:
        """Let the next call of the method be done, and its answer wait until the result is released."""
        hang = Hang()

        async def fault(call: Callable[[], Awaitable[Any]]) -> Any:
            answer = await call()
            await hang.wait()
            return answer

        self.faults.setdefault(method, []).append(fault)
        return hang


def with_faults(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Let the method of a `Faulty` be recorded, and be subject to its faults."""
    name = method.__name__

    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.calls.append((name, *args))
        if not self.reachable:
            raise EngineUnreachable("The Docker host memory cannot be reached.")
        if faults := self.faults.get(name):
            result: T = await faults.pop(0)(lambda: method(self, *args, **kwargs))
            return result
        return await method(self, *args, **kwargs)

    return call

"""The model of Cloud Controller on a broker in memory: both on one clock."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred

from tests.platform.cloud_controller import CloudController
from tests.stack import PASSWORD, USER, Stack

T = TypeVar("T")

#: How long a job of the platform may take, in seconds of the clock: a week of polls, and a time-out.
_PATIENCE: Final = 8 * 86_400.0


def platform_of(stack: Stack) -> CloudController:
    """Return a platform that talks to the broker, and waits on its clock."""
    return CloudController(
        client=stack.client, clock=stack.clock, base_url="http://broker", auth=(USER, PASSWORD)
    )


def settle(stack: Stack, job: Coroutine[Any, Any, T]) -> T:
    """Let time pass until the platform is done; return what it says."""
    outcomes: list[T] = []
    failures: list[Any] = []
    Deferred.fromCoroutine(job).addCallbacks(outcomes.append, failures.append)
    ends = stack.clock.seconds() + _PATIENCE
    while not outcomes and not failures:
        assert stack.clock.seconds() < ends, "the platform is never done"
        due = [call.getTime() for call in stack.clock.getDelayedCalls()]
        stack.advance(max(min(due, default=0.0) - stack.clock.seconds(), 0.001))
    for failure in failures:
        failure.raiseException()
    return outcomes[0]

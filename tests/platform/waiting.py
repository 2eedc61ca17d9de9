"""How Cloud Controller waits: polls of last operations, and the tries of orphan mitigation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from tests.platform.exchange import Exchange, Request
from tests.platform.verdicts import Reply, Verdict

#: The shortest and the longest time between two polls, in seconds.
INTERVAL: Final = 60.0
_LONGEST_INTERVAL: Final = 86_400.0
#: How long is polled at most, in seconds: `broker_client_max_async_poll_duration_minutes`, 10080.
LONGEST_POLLING: Final = 10_080 * 60.0
#: How often the DELETE of an orphan is tried.
ATTEMPTS: Final = 11

_LEADING_NUMBER: Final = re.compile(r"\s*[-+]?\d+")


def next_interval(answer: object, interval: float) -> float:
    """Return the time until the next poll, in seconds; one that says nothing keeps the last one.

    A `Retry-After` is read as Ruby's `to_i` reads it: a date is no number, and counts as 0.
    """
    if not isinstance(answer, Reply) or answer.status != 200 or answer.retry_after is None:
        return interval
    number = _LEADING_NUMBER.match(answer.retry_after)
    return min(max(INTERVAL, float(number[0]) if number else 0.0), _LONGEST_INTERVAL)


def longest_polling(plan_limit: float | None) -> float:
    """Return how long is polled at most, in seconds; a plan can only shorten it."""
    return LONGEST_POLLING if plan_limit is None else min(plan_limit, LONGEST_POLLING)


@define(eq=False, kw_only=True)
class Polling:
    """Polls until the operation is over: at once, and then at intervals.

    `started` is when the user asked. `limit` is how long after that no further poll is made, in seconds.
    """

    exchange: Exchange
    clock: IReactorTime
    request: Request
    started: float
    limit: float

    async def outcome(self, is_wanted: Callable[[], bool]) -> Verdict | None:
        """Return the final verdict, or None when the time is up or nobody wants it any more."""
        interval = INTERVAL
        while is_wanted():
            answered = await self.exchange.ask(self.request)
            if answered.verdict.state in {"succeeded", "failed"}:
                return answered.verdict
            interval = next_interval(answered.answer, interval)
            if self.clock.seconds() + interval > self.started + self.limit:
                return None
            await pause(self.clock, interval)
        return None


@define(eq=False, kw_only=True)
class Mitigation:
    """Deletes what may have been made: at once, and again after 2, 4, 8 ... minutes, 11 times in all (R3).

    A 202 is not polled. `attempts` counts; `is_done` is None while it goes on.
    """

    exchange: Exchange
    clock: IReactorTime
    request: Request
    attempts: int = field(default=0, init=False)
    is_done: bool | None = field(default=None, init=False)

    async def run(self, done: Callable[[], None]) -> None:
        """Try until the broker accepts it or the tries are used up."""
        while True:
            self.attempts += 1
            answered = await self.exchange.ask(self.request)
            if answered.verdict.state in {"succeeded", "in progress"}:
                self.is_done = True
                done()
                return
            if self.attempts == ATTEMPTS:
                self.is_done = False
                return
            await pause(self.clock, 60.0 * 2**self.attempts)


def pause(clock: IReactorTime, seconds: float) -> Deferred[None]:
    """Return a Deferred that fires after so long."""
    return deferLater(clock, seconds)

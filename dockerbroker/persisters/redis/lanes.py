"""Asking a Redis server: several calls at once, each answered in time and no change made twice."""

import json
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from attrs import Factory, define, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.databases import unavailable
from dockerbroker.persisters.redis import troubles
from dockerbroker.persisters.redis.connections import Connection
from dockerbroker.persisters.redis.lines import Line
from dockerbroker.persisters.redis.rows import packed
from dockerbroker.persisters.redis.scripts import Effect, Script
from dockerbroker.persisters.redis.troubles import Failed

#: Seconds within which a call is answered or given up, with all that is tried: Cloud Foundry is to get its
#: answer within 5.
LIMIT: Final = 4.5
#: An attempt that has less time, in seconds, says nothing of the server when it fails for want of more.
_HURRY: Final = 1.0

#: Pauses before something is tried again, in seconds: the first, the longest.
_SHORTEST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.5


@define(eq=False)
class Lane:
    """One call after the other, mostly over the same connection.

    `number` is that of the last call. The server keeps the answer to the last change of each lane, so that a
    change whose answer was lost is not made again; see `lua/changing.lua`.
    """

    name: str
    number: int = 0
    connection: Connection | None = None


def _lanes(commands: "Lanes") -> list[Lane]:
    # Nobody else ever has these names.
    born = secrets.token_hex(8)
    return [Lane(f"{born}/{number}") for number in range(commands.configuration.pool_size)]


@define(eq=False)
class Lanes:
    """As many calls at once as the configuration allows connections; the others wait for their turn.

    What the server refuses for a while, and what is lost with a connection, is tried again until the call's
    time is up. A connection on which an answer does not come in time is given up, so that it holds up nobody
    else.
    """

    line: Line
    configuration: ServerConfiguration
    _all: list[Lane] = field(default=Factory(_lanes, takes_self=True), init=False)
    _free: list[Lane] = field(default=Factory(lambda self: self._all[::-1], takes_self=True), init=False)
    _waiting: deque[Deferred[Lane]] = field(factory=deque, init=False)

    @property
    def base(self) -> str:
        """What all keys begin with: the braces keep them in one slot of a cluster."""
        return f"{{{self.configuration.prefix}}}:"

    async def call(self, script: Script, request: Any) -> list[Any]:
        """Return what the script answers; raises `Unavailable`."""
        deadline = self.line.seconds() + LIMIT
        asked = json.dumps(packed(request))
        lane = await self._take(deadline)
        try:
            lane.number += 1
            return await self._answered(lane, script, asked, deadline)
        finally:
            self._give_back(lane)

    async def close(self) -> None:
        """Close all connections; no call may be under way."""
        for lane in self._all:
            if lane.connection is not None:
                await lane.connection.close()
        # Those that were given up end in the next turn of the reactor.
        await self.line.pause(0)

    async def _answered(self, lane: Lane, script: Script, asked: str, deadline: float) -> list[Any]:
        pause, last = _SHORTEST_PAUSE, None
        while True:
            is_hurried = self.line.seconds() + _HURRY > deadline
            try:
                return await self._attempt(lane, script, asked, deadline)
            except Failed as failed:
                if failed.trouble.is_lost:
                    self._drop(lane)
                if last is None or not is_hurried or failed.trouble is not troubles.SLOW:
                    last = failed
                if not failed.trouble.passes or self.line.seconds() + pause > deadline:
                    raise unavailable(last.trouble) from last.__cause__ or last
            await self.line.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _attempt(self, lane: Lane, script: Script, asked: str, deadline: float) -> list[Any]:
        connection = lane.connection
        if connection is None or not connection.is_alive:
            connection = await self._connect(lane, deadline)
        limit = min(deadline, self.line.seconds() + self.configuration.answer_within)
        arguments = self._arguments(lane, script, asked, deadline + connection.offset)
        answer: list[Any] = decoded(await connection.run(script, self.base, arguments, limit))
        if answer[0] == "absent":
            raise Failed(troubles.ABSENT)
        if answer[0] == "late":
            # The server's clock was set.
            connection.learn(float(answer[1]))
            raise Failed(troubles.LATE)
        return answer

    def _arguments(self, lane: Lane, script: Script, asked: str, until: float) -> Sequence[str]:
        if script.effect is not Effect.CHANGES:
            return [asked]
        return [asked, lane.name, str(lane.number), f"{until:.6f}"]

    async def _connect(self, lane: Lane, deadline: float) -> Connection:
        within = min(self.configuration.connect_within, deadline - self.line.seconds())
        lane.connection = await Connection.make(self.line, self.configuration, within)
        return lane.connection

    def _drop(self, lane: Lane) -> None:
        if lane.connection is not None:
            lane.connection.abort()
            lane.connection = None

    async def _take(self, deadline: float) -> Lane:
        if self._free:
            return self._free.pop()
        turn: Deferred[Lane] = Deferred(self._waiting.remove)
        self._waiting.append(turn)
        try:
            lane: Lane = await self.line.limited(turn, deadline - self.line.seconds())
        except DeadlinePassed as passed:
            raise unavailable(troubles.CROWDED) from passed
        return lane

    def _give_back(self, lane: Lane) -> None:
        if self._waiting:
            self._waiting.popleft().callback(lane)
        else:
            self._free.append(lane)


def decoded(answer: bytes) -> Any:
    """Return what a script answered; what is no text in it harms only its own record."""
    return json.loads(answer.decode(errors="replace"))

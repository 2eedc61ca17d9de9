"""One connection to a Redis server: making it, asking it, and telling what its failures mean."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import txredisapi
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.persisters.redis import troubles
from dockerbroker.persisters.redis.lines import Line, Wire
from dockerbroker.persisters.redis.scripts import Script
from dockerbroker.persisters.redis.troubles import Failed
from dockerbroker.persisters.troubles import LOST

_MICROSECONDS: Final = 1_000_000
_PRIMARY: Final = b"role:master"
#: Seconds in which a connection that was given up has ended.
_ENDING: Final = 5.0


@define(eq=False)
class Connection:
    """A connection that is asked one thing at a time.

    `offset` is by how many seconds the server's clock is before that of the line, or a little more.
    """

    line: Line
    _wire: Wire
    offset: float = field(default=0.0, init=False)
    _is_given_up: bool = field(default=False, init=False)

    @classmethod
    async def make(cls, line: Line, configuration: ServerConfiguration, within: float) -> "Connection":
        """Connect, say who the broker is, and see that the server takes changes; raises `Failed`."""
        deadline = line.seconds() + within
        try:
            wire = await line.connect(within)
        except CancelledError:
            raise
        except Exception as error:
            raise Failed(troubles.unreachable(error)) from error
        made = cls(line, wire)
        try:
            await made._greet(configuration, deadline)
        except BaseException as error:
            made.abort()
            if isinstance(error, Failed) and error.trouble is LOST:
                raise Failed(troubles.CLOSED) from error
            raise
        return made

    @property
    def is_alive(self) -> bool:
        """Whether it is not known to have been lost."""
        return bool(self._wire.connected) and not self._is_given_up

    def learn(self, server_time: float) -> None:
        """Remember what the server's clock shows now."""
        self.offset = server_time - self.line.seconds()

    async def command(self, *words: str, deadline: float) -> Any:
        """Return the answer to a command; raises `Failed`."""
        return await self._answer(lambda: self._wire.execute_command(*words), deadline)

    async def run(self, script: Script, base: str, arguments: Sequence[str], deadline: float) -> bytes:
        """Return the answer of a script, whether the server has seen it or not; raises `Failed`."""
        asked = ([base], list(arguments))
        try:
            answer = await self._answer(lambda: self._wire.evalsha(script.digest, *asked), deadline)
        except txredisapi.ScriptDoesNotExist:
            answer = await self._answer(lambda: self._wire.eval(script.source, *asked), deadline)
        return bytes(answer)

    def abort(self) -> None:
        """Close it at once."""
        if self.is_alive:
            self._is_given_up = True
            self._wire.transport.abortConnection()

    async def close(self) -> None:
        """Close it, and wait for its end."""
        self.abort()
        if self._wire.connected:
            await self.line.limited(self._wire.whenDisconnected(), _ENDING)

    async def _greet(self, configuration: ServerConfiguration, deadline: float) -> None:
        user, password = configuration.user, configuration.password.reveal()
        if user or password:
            await self._answer(lambda: self._wire.auth(password, user), deadline)
        if configuration.database != "0":
            await self.command("SELECT", configuration.database, deadline=deadline)
        if _PRIMARY not in await self.command("INFO", "replication", deadline=deadline):
            raise Failed(troubles.REPLICA)
        asked = self.line.seconds()
        seconds, microseconds = await self.command("TIME", deadline=deadline)
        self.offset = int(seconds) + int(microseconds) / _MICROSECONDS - asked

    async def _answer(self, ask: Callable[[], Deferred[Any]], deadline: float) -> Any:
        try:
            return await self.line.limited(ask(), deadline - self.line.seconds())
        except txredisapi.ScriptDoesNotExist:
            raise
        except txredisapi.ResponseError as error:
            # What was asked may be secret, and some errors repeat it.
            said = str(error).partition(", with args")[0]
            raise Failed(troubles.refused(said)) from txredisapi.ResponseError(said)
        except BaseException as error:
            # An answer that comes now would be taken for the one to the next question.
            self.abort()
            if isinstance(error, DeadlinePassed):
                raise Failed(troubles.SLOW) from error
            if isinstance(error, txredisapi.RedisError):
                raise Failed(troubles.unreachable(self._wire.lost_by)) from error
            raise

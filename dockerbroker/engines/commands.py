"""A process of the broker's own machine: its input, its bounded output, and its end."""

import contextlib
import os
import signal
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.interfaces import IDelayedCall, IProcessTransport, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from dockerbroker.errors import ExecutableOverrun
from dockerbroker.model.executables import OUTPUT_LIMIT, STDERR_TAIL
from dockerbroker.model.secrets import Secret

#: How long what is left behind by a command that has ended may still print, in seconds.
_DRAIN = 0.25
#: How long the end of a killed process is waited for, in seconds.
_REAP = 5.0
#: Added to a signal's number for the exit status of what it ended, as shells do.
_SIGNALLED = 128


@define(eq=False)
class Command(ProcessProtocol):
    """Writes a process its input, and keeps what it prints as far as the limits go.

    Its end counts, not that of its output, which something that it left behind may keep open.
    """

    reactor: IReactorTime
    stdin: Secret[bytes]
    stdout: bytearray = field(factory=bytearray, init=False)
    stderr_tail: bytearray = field(factory=bytearray, init=False)
    _outcome: Deferred[int] = field(factory=Deferred, init=False)
    _exited: Deferred[None] = field(factory=Deferred, init=False)
    _timers: list[IDelayedCall] = field(factory=list, init=False)

    async def end(self, deadline: float) -> int:
        """Return the exit status; raises `ExecutableOverrun` after `deadline` seconds or too much output."""
        sentence = f"The command did not end within {deadline:g} seconds."
        self._timers.append(self.reactor.callLater(deadline, self._overrun, sentence))
        return await self._outcome

    async def kill(self) -> None:
        """Kill the process and all that it started in its group, and wait until it is reaped."""
        transport = self._process()
        if transport.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                is_leader = os.getpgid(transport.pid) == transport.pid
                (os.killpg if is_leader else os.kill)(transport.pid, signal.SIGKILL)
        with contextlib.suppress(DeferredTimeoutError):
            await self._exited.addTimeout(_REAP, self.reactor)
        transport.loseConnection()

    def connectionMade(self) -> None:
        """Write the input and its end."""
        self._process().writeToChild(0, self.stdin.reveal())
        self._process().closeStdin()

    def outReceived(self, data: bytes) -> None:
        """Keep output up to the limit."""
        room = OUTPUT_LIMIT - len(self.stdout)
        self.stdout += data[:room]
        if len(data) > room:
            self._overrun(f"The command printed more than {OUTPUT_LIMIT} bytes.")

    def errReceived(self, data: bytes) -> None:
        """Keep the end of the log."""
        self.stderr_tail += data
        del self.stderr_tail[:-STDERR_TAIL]

    def processExited(self, reason: Failure) -> None:
        """Take what comes within a moment, then let go of what it left behind."""
        self._exited.callback(None)
        if not self._outcome.called:
            self._timers.append(self.reactor.callLater(_DRAIN, self._finish, reason))

    def processEnded(self, reason: Failure) -> None:
        """Everything has been read."""
        self._finish(reason)

    def _finish(self, reason: Failure) -> None:
        if self._outcome.called:
            return
        self._stop_timers()
        self._process().loseConnection()
        end: Any = reason.value
        code = end.exitCode if end.exitCode is not None else _SIGNALLED + (end.signal or 0)
        self._outcome.callback(code)

    def _overrun(self, sentence: str) -> None:
        if not self._outcome.called:
            self._stop_timers()
            self._outcome.errback(ExecutableOverrun(sentence, ended=False))

    def _stop_timers(self) -> None:
        for timer in self._timers:
            if timer.active():
                timer.cancel()

    def _process(self) -> IProcessTransport:
        assert self.transport is not None
        return self.transport

"""Starts an exec over a connection of its own, which becomes the exec's input and output.

docker-py cannot do it: it has no way of ending the input while the output goes on that works over TLS too.
"""

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from dockerbroker.engines import translation
from dockerbroker.engines.address import CONNECT, DockerAddress
from dockerbroker.engines.streams import (
    Codec,
    Connection,
    ConnectionCutError,
    Demultiplexer,
    PlainCodec,
    ProtocolError,
    TlsCodec,
)
from dockerbroker.errors import (
    BadCommand,
    EngineError,
    ExecutableOverrun,
    InvalidRequest,
    NotThere,
    OutcomeUnknown,
)
from dockerbroker.model.containers import ExecOutput
from dockerbroker.model.executables import STDERR_TAIL
from dockerbroker.model.secrets import Secret
from dockerbroker.wire import decode_object

#: How long the engine may take to begin, and an inspection may take, in seconds.
_ANSWER = 10.0
_HEAD_LIMIT = 16 * 1024
_BODY_LIMIT = 4096
_UPGRADED, _OK = 101, 200
_ORDINARY = re.compile(rb"\r\n(transfer-encoding|content-length):", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
#: How often a silent or endless exec is looked at, in seconds.
_LOOK = 0.5
#: How long what is left behind by an exec that has ended may still print, in seconds.
_DRAIN = 0.25
#: How long after the end of its output an exec's own end may be noticed, in seconds.
_SETTLE = 2.0
_PAUSE = 0.02
_CANNOT_RUN = (126, 127)

#: Returns what `GET /exec/{id}/json` answers; raises an `EngineError`.
Look = Callable[[str], Mapping[str, Any]]


@frozen(kw_only=True)
class _Head:
    """The head of the engine's answer, and what came after it."""

    status: int
    lines: bytes
    rest: bytes
    is_end: bool


def connect(address: DockerAddress, timeout: float) -> Connection:
    """Return a connection to the engine that is safe to use; raises `EngineUnreachable`."""
    plain = None
    try:
        context = address.context()
        plain = address.connect(timeout)
        codec: Codec = PlainCodec()
        if context is not None:
            codec = tls = TlsCodec(context, address.host)
            tls.handshake(plain)
    except (OSError, ValueError) as error:
        if plain is not None:
            plain.close()
        raise translation.unreachable(str(address), error) from error
    return Connection(plain, codec)


@define(eq=False)
class ExecStart:
    """One start of one exec, in one thread; `until` is its end by `time.monotonic`, in seconds."""

    address: DockerAddress
    version: str
    look: Look
    exec_id: str
    limit: int
    until: float
    deadline: float
    _output: Demultiplexer = field(init=False)
    _state: Mapping[str, Any] = field(factory=dict, init=False)
    _ended: bool = field(default=False, init=False)

    @_output.default
    def _empty(self) -> Demultiplexer:
        return Demultiplexer(self.limit, STDERR_TAIL)

    def run(self, stdin: Secret[bytes]) -> ExecOutput:
        """Run the exec and return its output; see `IEngine.start_exec`."""
        state = self.look(self.exec_id)
        if state["Running"] or state["ExitCode"] is not None:
            raise BadCommand("The exec was run before; an exec is run only once.")
        if (remaining := self.until - time.monotonic()) <= 0:
            raise translation.unreachable(str(self.address), TimeoutError("too slow to begin in time"))
        connection = connect(self.address, min(CONNECT, remaining))
        try:
            self._converse(connection, stdin)
        except (ConnectionCutError, ProtocolError) as error:
            raise OutcomeUnknown(
                f"The connection to the Docker host {self.address} broke while a command ran: {error}."
            ) from error
        finally:
            connection.close()
        return self._checked()

    def _converse(self, connection: Connection, stdin: Secret[bytes]) -> None:
        connection.write(self._request())
        head = self._head(connection)
        if head.status not in {_UPGRADED, _OK}:
            raise self._refused(connection, head)
        if head.status == _OK and _ORDINARY.search(head.lines):
            raise ProtocolError("an ordinary answer where a stream was expected")
        connection.write(stdin.reveal())
        connection.end()
        self._feed(head.rest)
        try:
            if not head.is_end:
                self._read(connection)
        except ConnectionCutError:
            # A command that ends without reading its input makes the engine reset the connection.
            if not self._output.is_whole:
                raise
        if not self._ended:
            self._await_end()

    def _request(self) -> bytes:
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        return (
            f"POST /v{self.version}/exec/{self.exec_id}/start HTTP/1.1\r\n"
            "Host: docker\r\nContent-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode("ascii") + body

    def _head(self, connection: Connection) -> _Head:
        until = min(self.until, time.monotonic() + _ANSWER)
        received, is_end = bytearray(), False
        while (end := received.find(b"\r\n\r\n")) < 0:
            if not is_end and time.monotonic() >= self.until:
                # Docker tells no more of a command that began, however late, than of one that hangs.
                raise self._overdue()
            if is_end or time.monotonic() > until:
                raise ConnectionCutError("it did not answer")
            if len(received) > _HEAD_LIMIT:
                raise ProtocolError("no end of the head of its answer")
            data, is_end = connection.exchange(until - time.monotonic())
            received += data
        match = _STATUS.match(received)
        if match is None:
            raise ProtocolError("its answer is not HTTP")
        rest = bytes(received[end + 4 :])
        return _Head(status=int(match.group(1)), lines=bytes(received[:end]), rest=rest, is_end=is_end)

    def _refused(self, connection: Connection, head: _Head) -> EngineError:
        body, is_end = bytearray(head.rest), head.is_end
        until = time.monotonic() + _SETTLE
        while not is_end and len(body) < _BODY_LIMIT and not body.rstrip().endswith(b"}"):
            if time.monotonic() > until:
                break
            data, is_end = connection.exchange(_SETTLE)
            body += data
        text = body.decode("utf-8", "replace")
        with contextlib.suppress(InvalidRequest, KeyError):
            text = str(decode_object(bytes(body))["message"])
        return translation.refusal(str(self.address), head.status, text)

    def _read(self, connection: Connection) -> None:
        """Read until the stream ends, or a moment after the command has: it may leave a daemon behind."""
        next_look, until = time.monotonic() + _LOOK, self.until
        is_end = False
        while not is_end:
            now = time.monotonic()
            if now >= until:
                if self._ended:
                    return
                raise self._overdue()
            if not self._ended and now >= next_look:
                next_look = now + _LOOK
                if self._has_ended():
                    until = min(self.until, time.monotonic() + _DRAIN)
            data, is_end = connection.exchange(min(until - now, _LOOK))
            self._feed(data)
        if not self._output.is_whole:
            raise ConnectionCutError("its output ended in the middle")

    def _feed(self, data: bytes) -> None:
        self._output.feed(data)
        if self._output.is_over:
            raise ExecutableOverrun(f"The command printed more than {self.limit} bytes.", ended=False)

    def _await_end(self) -> None:
        """Wait a moment for the end of the command, whose output has ended: that comes just after its end.

        If the command goes on, something between the engine and here has cut the output off.
        """
        settled = time.monotonic() + _SETTLE
        while not self._has_ended(must_know=True):
            if time.monotonic() > settled:
                raise ConnectionCutError("its output ended before the command did")
            time.sleep(_PAUSE)

    def _has_ended(self, *, must_know: bool = False) -> bool:
        try:
            self._state = state = self.look(self.exec_id)
        except EngineError as error:
            if must_know or isinstance(error, NotThere):
                raise ConnectionCutError(f"whether it has ended is unknown ({error.description})") from error
            return False
        self._ended = not state["Running"] and state["ExitCode"] is not None
        return self._ended

    def _checked(self) -> ExecOutput:
        """Return the output, unless it is Docker's own words about a command that it did not run."""
        output = bytes(self._output.stdout)
        text = output[:_BODY_LIMIT].decode("utf-8", "replace")
        never_ran = not self._state.get("Pid") and self._state["ExitCode"] in _CANNOT_RUN
        if never_ran and text.startswith(
            ("OCI runtime exec failed", "rpc error", "failed to", "cannot exec")
        ):
            raise translation.not_run(str(self.address), text)
        if text.startswith(f"Error: Exec command {self.exec_id} "):
            raise BadCommand("The exec was run before; an exec is run only once.")
        return ExecOutput(stdout=output, stderr_tail=bytes(self._output.stderr_tail))

    def _overdue(self) -> ExecutableOverrun:
        return ExecutableOverrun(f"The command did not end within {self.deadline:g} seconds.", ended=False)

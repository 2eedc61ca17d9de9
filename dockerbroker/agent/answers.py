"""What a broker's answer to a ping, or its absence, means in words."""

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed
from twisted.web.iweb import IResponse

from dockerbroker.errors import InvalidRequest
from dockerbroker.wire import decode_object

#: At most this much of an answer is read, in bytes; at most so many characters of its description are told.
LARGEST_ANSWER = 4096
_LONGEST_DESCRIPTION = 200

_SUCCESS = range(200, 300)


class DeadlinePassed(Exception):
    """The broker has not answered in time."""


class ProblemAnswer(Exception):
    """The broker answered a ping with something else than success."""


@define(eq=False)
class _Beginning(Protocol):
    """Collects the beginning of a body, and closes the connection when there is more of it."""

    finished: Deferred[bytes]
    _data: bytearray = field(factory=bytearray, init=False)

    def dataReceived(self, data: bytes) -> None:
        """Keep what fits."""
        self._data += data[: LARGEST_ANSWER - len(self._data)]
        if len(self._data) == LARGEST_ANSWER and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002
        """Hand out what has arrived: whether the body was whole does not matter."""
        if not self.finished.called:
            self.finished.callback(bytes(self._data))


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (ProblemAnswer, "{}"),
    (DeadlinePassed, "it did not answer in time"),
    (Refused, "the connection was refused"),
    (DNSLookupError, "its name is not known"),
    (ConnectionClosed, "the connection was closed before the answer"),
    (ConnectError, "no connection: {}"),
    (OSError, "no connection: {}"),
)


async def check_answer(response: IResponse) -> None:
    """Read the answer to a ping; raises `ProblemAnswer` unless it says that the host is registered."""
    finished: Deferred[bytes] = Deferred()
    response.deliverBody(_Beginning(finished))
    body = await finished
    if response.code not in _SUCCESS:
        raise ProblemAnswer(f"it answered {response.code}{_description_in(body)}")


def reason_of(error: Exception) -> str | None:
    """Return in words why a ping failed; None for an error that nobody expects."""
    if isinstance(error, ResponseFailed) and error.reasons:
        error = error.reasons[0].value
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words.format(error)
    return None


def _description_in(body: bytes) -> str:
    """Return the description of an answer in the form of the Open Service Broker API, if it has one."""
    try:
        description = decode_object(body).get("description")
    except InvalidRequest:
        return ""
    if not isinstance(description, str) or not description:
        return ""
    shown = "".join(character if character.isprintable() else " " for character in description)
    return f": {shown[:_LONGEST_DESCRIPTION]}"

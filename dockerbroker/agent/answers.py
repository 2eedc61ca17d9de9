"""What a broker's answer, or its absence, means in words."""

from typing import Any

from attrs import define, field
from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed
from twisted.web.iweb import IResponse

from dockerbroker.errors import InvalidRequest
from dockerbroker.wire import decode_object

#: At most this much of an answer is read, in bytes; at most so many characters of its description are told.
LARGEST_ANSWER = 16384
_LONGEST_DESCRIPTION = 400

_SUCCESS = range(200, 300)
#: The status by which a broker refuses an agent that is not, or not any more, the one of its host.
CONFLICT = 409


class DeadlinePassed(Exception):
    """The broker has not answered in time."""


class ProblemAnswer(Exception):
    """The broker answered with something else than success; `status` is that of HTTP."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


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


#: What OpenSSL says when a broker refuses the agent's certificate, or the lack of one, holds this.
_REFUSED_CERTIFICATE = (
    "alert certificate",
    "alert bad certificate",
    "alert unknown ca",
    "unsupported certificate",
)

#: What a broker with a certificate does to a request without TLS: it ends the connection without a word.
_PLAIN = '; if it wants HTTPS, give this agent "cacert" or "tls" in brokerservers'

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (ProblemAnswer, "{}"),
    (DeadlinePassed, "it did not answer in time"),
    (Refused, "the connection was refused"),
    (DNSLookupError, "its name is not known"),
    (ConnectionClosed, "the connection was closed before the answer"),
    (ConnectError, "no connection: {}"),
    (OSError, "no connection: {}"),
    (VerificationError, "its certificate is not for the name or address by which it is reached"),
    (CertificateError, "its certificate is not for the name or address by which it is reached"),
)


async def read_answer(response: IResponse) -> dict[str, Any]:
    """Return the object that a broker has answered, empty when it is none, or too long.

    Raises `ProblemAnswer` unless the answer is a success.
    """
    finished: Deferred[bytes] = Deferred()
    response.deliverBody(_Beginning(finished))
    answered = _object_in(await finished)
    if response.code not in _SUCCESS:
        verdict = "it refuses this agent" if response.code == CONFLICT else f"it answered {response.code}"
        raise ProblemAnswer(response.code, verdict + _description_in(answered))
    return answered


def deadline_passed(_: object, limit: float) -> Failure:
    """Return the failure of a request that took too long.

    What the cancellation of a request turns into depends on how far it was; this does not.
    """
    return Failure(DeadlinePassed(limit))


def reason_of(error: Exception, *, is_plain: bool = False) -> str | None:
    """Return in words why a ping failed, over plain HTTP or not; None for an error that nobody expects."""
    if isinstance(error, ResponseFailed | RequestTransmissionFailed) and error.reasons:
        error = error.reasons[0].value
    if isinstance(error, SSL.Error):
        return _reason_of_tls(error)
    for kind, words in _REASONS:
        if isinstance(error, kind):
            advice = _PLAIN if is_plain and kind is ConnectionClosed else ""
            return words.format(error) + advice
    return None


def _reason_of_tls(error: SSL.Error) -> str:
    """Return in words why there is no encrypted connection; OpenSSL's own are the last of three."""
    told = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = one_line("; ".join(str(one[-1]) for one in told)) or "it was closed"
    if "certificate verify failed" in words:
        return "its certificate is not trusted: it is of no authority in cacert, or not valid now"
    if any(refused in words for refused in _REFUSED_CERTIFICATE):
        return f"it wants another certificate of this agent, or one at all: {words}"
    if "wrong version number" in words:
        return "no encrypted connection: what answers there speaks no TLS"
    return f"no encrypted connection: {words}"


def one_line(text: str) -> str:
    """Return the beginning of somebody else's text as it can stand in a line of the log."""
    shown = "".join(character if character.isprintable() else " " for character in text)
    return shown[:_LONGEST_DESCRIPTION]


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        return decode_object(body)
    except InvalidRequest:
        return {}


def _description_in(answered: dict[str, Any]) -> str:
    """Return the description of an answer in the form of the Open Service Broker API, if it has one."""
    description = answered.get("description")
    if not isinstance(description, str) or not description:
        return ""
    return f": {one_line(description)}"

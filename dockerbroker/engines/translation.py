"""What Docker Engine and the way to it say, in the words of `dockerbroker.errors`.

The texts are those of Docker Engine 20.10 to 28; Docker has no error codes finer than HTTP's.
"""

import re
import ssl
from collections.abc import Iterator

import requests
import urllib3
from docker.errors import APIError, DockerException, InvalidVersion

from dockerbroker.errors import (
    BadCommand,
    DiskFull,
    EngineError,
    EngineUnreachable,
    HostPortTaken,
    NameTaken,
    NoImage,
    NotRunning,
    NotThere,
    OutcomeUnknown,
)
from dockerbroker.model.executables import printable

#: How much of Docker's own text goes into a description, in characters.
_TEXT_LIMIT = 300

#: What a refusal is, by its status (0 for any) and words of its text; the first that fits counts.
_REFUSALS: tuple[tuple[int, str, type[EngineError]], ...] = (
    (400, r"client version \S+ is too (new|old)|client is (newer|too (new|old))", EngineUnreachable),
    (404, r"no such image|image .* not found|manifest unknown", NoImage),
    (404, r"", NotThere),
    (409, r"name .* is already in use", NameTaken),
    (409, r"is not running|is paused|is restarting|is not started", NotRunning),
    (409, r"already run", BadCommand),
    (0, r"port is already allocated|address already in use", HostPortTaken),
    (0, r"no space left on device|disk quota exceeded", DiskFull),
    (0, r"cannot exec in a stopped|container .* is not running", NotRunning),
    (0, r"executable file not found|permission denied: unknown|exec format error", BadCommand),
    (0, r"exec: .*(no such file or directory|permission denied|not a directory)", BadCommand),
    (0, r"no command specified|unable to start container process", BadCommand),
    (0, r"starting container process caused", BadCommand),
)

#: Errors of the way to the engine in which it has not seen the request.
_NOT_SENT = (
    requests.ConnectTimeout,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    ssl.SSLCertVerificationError,
    ConnectionRefusedError,
    FileNotFoundError,
    PermissionError,
)
#: Alerts by which a TLS 1.3 server refuses the client after the client has sent its request.
_TLS_REFUSAL = re.compile(
    r"alert.*(certificate|unknown ca|access denied|handshake)|wrong version|record layer", re.IGNORECASE
)


def excerpt(text: str) -> str:
    """Return what of Docker's own text a person should see, on one line."""
    line = " ".join(printable(text).split())
    return line if len(line) <= _TEXT_LIMIT else line[: _TEXT_LIMIT - 1] + "…"


def refusal(address: str, status: int, text: str) -> EngineError:
    """Return the error for an answer of Docker that refuses; `text` is Docker's own explanation."""
    description = f"The Docker host {address} refused with status {status}: {excerpt(text) or 'no reason'}"
    for expected, words, error in _REFUSALS:
        if expected in {0, status} and re.search(words, text, re.IGNORECASE):
            return error(description)
    return EngineError(description)


def not_run(address: str, text: str) -> EngineError:
    """Return the error for an exec that Docker could not run, as its output says."""
    description = f"The Docker host {address} could not run the command: {excerpt(text)}"
    if re.search(r"stopped|not running|paused", text, re.IGNORECASE):
        return NotRunning(description)
    return BadCommand(description)


def unreachable(address: str, error: BaseException) -> EngineUnreachable:
    """Return the error for a connection that could not be made."""
    return EngineUnreachable(f"The Docker host {address} cannot be reached: {_reason(error)}")


def lost(address: str, error: BaseException) -> OutcomeUnknown:
    """Return the error for a request that may have been received, and whose answer was not."""
    return OutcomeUnknown(
        f"The Docker host {address} may have done it, but its answer was lost: {_reason(error)}"
    )


def malformed(address: str, reason: str) -> OutcomeUnknown:
    """Return the error for an answer that is not what Docker would say."""
    return OutcomeUnknown(f"The Docker host {address} answered with something else than Docker's: {reason}")


def translated(address: str, error: Exception) -> EngineError:
    """Return the error of ours for an exception that docker-py or the way to the engine raised."""
    if isinstance(error, EngineError):
        return error
    if isinstance(error, APIError):
        return refusal(address, error.status_code or 0, str(error.explanation or error))
    if _is_not_sent(error):
        return unreachable(address, error)
    if isinstance(error, requests.JSONDecodeError):
        return malformed(address, "no JSON")
    if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | OSError):
        return lost(address, error)
    return malformed(address, f"{type(error).__name__} {excerpt(str(error))}")


def not_connected(address: str, error: Exception) -> EngineError:
    """Return the error for a client that could not be made: nothing has been asked of the engine yet."""
    if isinstance(error, InvalidVersion):
        return EngineUnreachable(f"The Docker host {address} is too old: {excerpt(str(error))}")
    return unreachable(address, error)


def _is_not_sent(error: BaseException) -> bool:
    for cause in _causes(error):
        if isinstance(cause, _NOT_SENT):
            return True
        if isinstance(cause, ssl.SSLError) and _TLS_REFUSAL.search(str(cause)):
            return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all that it was made from: requests and urllib3 wrap each other's errors."""
    pending, seen = [error], set[int]()
    while pending:
        cause = pending.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        wrapped = [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
        pending.extend(item for item in wrapped if isinstance(item, BaseException))


def _reason(error: BaseException) -> str:
    """Return the reason in a few words: that of the innermost error, which is the least wrapped."""
    innermost = error
    for cause in _causes(error):
        if isinstance(cause, OSError) and not isinstance(cause, requests.RequestException):
            innermost = cause
            if isinstance(cause, ssl.SSLError):
                break
    if isinstance(innermost, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted, {innermost.verify_message}"
    if isinstance(innermost, TimeoutError | requests.Timeout | urllib3.exceptions.TimeoutError):
        return "it did not answer in time"
    text = innermost.strerror if isinstance(innermost, OSError) and innermost.strerror else str(innermost)
    if isinstance(innermost, DockerException):
        text = text.removeprefix("Error while fetching server API version: ")
    return excerpt(text) or type(innermost).__name__

"""How a Klein route answers: JSON always, and its work goes on when the client goes away."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from klein import Klein
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from dockerbroker import errors, wire
from dockerbroker.web import osb
from dockerbroker.web.auth import CHALLENGE
from dockerbroker.web.identity import printable

T = TypeVar("T")

_log = Logger()


def answer(request: IRequest, status: int, document: Any) -> bytes:
    """Set the status and return the body."""
    request.setResponseCode(status, osb.WORDS.get(status))
    return wire.encode(document)


def answer_error(request: IRequest, error: errors.BrokerError) -> bytes:
    """Set the status of the error and return the body that tells of it."""
    if isinstance(error, errors.Unauthenticated):
        request.setHeader(b"www-authenticate", CHALLENGE)
    if isinstance(error, errors.TooManyRequests):
        request.setHeader(b"retry-after", b"%d" % error.retry_after)
    return answer(request, *osb.failure(error))


def answer_failure(request: IRequest, failure: Failure) -> bytes:
    """Set the status of a failure that nobody expects, tell the log of it, and return the body."""
    asked = printable(b" ".join([request.method, request.path]).decode("ascii", "replace"))
    _log.failure("answering {asked!r}", failure, asked=asked)
    text = "The broker failed unexpectedly; its log tells more."
    return answer_error(request, errors.OperationFailed(text))


def without_body(request: Request, body: bytes) -> bytes:
    """Return the body, or none of it for HEAD, of which Twisted would write a line to the log."""
    if request.method != b"HEAD":
        return body
    request.setHeader(b"content-length", str(len(body)).encode("ascii"))
    return b""


def send(request: Request, body: bytes) -> None:
    """Send an answer that is complete."""
    request.setHeader(b"content-length", b"%d" % len(body))
    # Of an answer to HEAD, Twisted sends the head alone.
    request.write(body)
    request.finish()


def body_of(request: IRequest) -> bytes:
    """Return the body of the request."""
    content: bytes = request.content.read()
    return content


def detached(work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """Run the work so that it goes on when the request that waits for it is cancelled.

    Klein cancels a route when its client disconnects; an operation that has begun must not notice.
    """
    waiting: Deferred[T] = Deferred()

    def done(result: T | Failure) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure) and not result.check(errors.BrokerError):
            _log.failure("a request whose client is gone", result)

    Deferred.fromCoroutine(work).addBoth(done)
    return waiting


def new_app() -> Klein:
    """Return an application whose every error is JSON with a description."""
    app = Klein()
    # A doubled slash is a wrong path, not a redirect.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False

    @app.handle_errors(errors.BrokerError)
    def broker_error(self: Any, request: IRequest, failure: Failure) -> bytes:  # noqa: ARG001
        assert isinstance(failure.value, errors.BrokerError)
        return answer_error(request, failure.value)

    @app.handle_errors(HTTPException)
    def http_error(self: Any, request: IRequest, failure: Failure) -> bytes:  # noqa: ARG001
        if isinstance(failure.value, MethodNotAllowed):
            allowed = ", ".join(sorted(failure.value.valid_methods or ()))
            request.setHeader(b"allow", allowed.encode("ascii"))
            return answer_error(request, errors.MethodNotAllowed(f"This path supports {allowed} only."))
        return answer_error(request, errors.NotFound("There is nothing at this path."))

    @app.handle_errors(Exception)
    def any_error(self: Any, request: IRequest, failure: Failure) -> bytes:  # noqa: ARG001
        return answer_failure(request, failure)

    return app

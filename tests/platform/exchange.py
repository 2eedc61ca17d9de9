"""Cloud Controller's HTTP client: one request at a time to the broker, and the history of them all."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, NoReturn
from urllib.parse import quote, urlencode

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from tests.platform.verdicts import POLLS, REJECTIONS, Call, Lost, Reply, Verdict, judge

#: How long Cloud Controller waits for a status line, and then for the body, in seconds (R5).
TIMEOUT: Final = 60.0

_USER: Final = b64encode(b'{"user_id":"user-1"}').decode("ascii")
_METHODS: Final[Mapping[Call, str]] = {
    Call.PROVISION: "PUT",
    Call.BIND: "PUT",
    Call.UPDATE: "PATCH",
    Call.DEPROVISION: "DELETE",
    Call.UNBIND: "DELETE",
}


@frozen(kw_only=True)
class Request:
    """What is asked, of which instance and binding; `is_of_user` is False for what no user caused."""

    call: Call
    instance_id: str = ""
    binding_id: str | None = None
    query: Mapping[str, str] = field(factory=dict)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    is_of_user: bool = True

    @property
    def method(self) -> str:
        """The HTTP method."""
        return _METHODS.get(self.call, "GET")

    @property
    def path(self) -> str:
        """The path with its query, whose members are sorted."""
        if self.call is Call.CATALOG:
            return "/v2/catalog"
        path = f"/v2/service_instances/{quote(self.instance_id, safe='')}"
        if self.binding_id is not None:
            path += f"/service_bindings/{quote(self.binding_id, safe='')}"
        if self.call in POLLS:
            path += "/last_operation"
        return path + (f"?{urlencode(sorted(self.query.items()))}" if self.query else "")


@frozen(kw_only=True)
class Event:
    """A line of the history.

    Each transmission of a request begins with `invoke` and ends with one of `ok` (answered, and it is as
    the answer says), `fail` (nothing was changed) and `info` (nobody knows). `number` joins the two.
    """

    number: int
    kind: str
    request: Request
    at: float
    verdict: Verdict | None = None


@frozen(kw_only=True)
class Answered:
    """How a request ended; `was_resent` is whether its first transmission was lost on the way."""

    answer: Reply | Lost
    verdict: Verdict
    was_resent: bool = False

    @property
    def is_rejection(self) -> bool:
        """Whether the broker has certainly changed nothing."""
        never_arrived = self.answer is Lost.REFUSED and not self.was_resent
        return self.verdict.error in REJECTIONS and (never_arrived or isinstance(self.answer, Reply))


@define(eq=False, kw_only=True)
class Exchange:
    """Sends requests through `client`, which has treq's `request`, and keeps the history.

    A connection that ends before a status line makes the client send the same request once more by itself
    (R1). Redirects are not followed: a broker has none.
    """

    client: Any
    clock: IReactorTime
    base_url: str
    auth: tuple[str, str] = field(repr=False)
    history: list[Event] = field(factory=list)
    _numbers: int = field(default=0, init=False)
    _identities: int = field(default=0, init=False)

    async def ask(self, request: Request, requires: frozenset[str] = frozenset()) -> Answered:
        """Send the request and return what came of it; never raises for what a broker may do."""
        self._identities += 1
        identity = f"00000000-0000-4000-8000-{self._identities:012d}"
        first = await self._transmit(request, identity, requires)
        if first.answer is not Lost.DROPPED:
            return first
        second = await self._transmit(request, identity, requires)
        return Answered(answer=second.answer, verdict=second.verdict, was_resent=True)

    async def _transmit(self, request: Request, identity: str, requires: frozenset[str]) -> Answered:
        self._numbers += 1
        number = self._numbers
        self._record(number, "invoke", request)
        answer = await self._receive(request, identity)
        answered = Answered(answer=answer, verdict=judge(request.call, answer, requires))
        self._record(number, kind_of(answered), request, answered.verdict)
        return answered

    async def _receive(self, request: Request, identity: str) -> Reply | Lost:
        data = None if request.body is None else json.dumps(request.body).encode()
        sent = self.client.request(
            request.method,
            self.base_url + request.path,
            headers=_headers(request, identity),
            data=data,
            auth=self.auth,
            allow_redirects=False,
        )
        try:
            response = await within(sent, TIMEOUT, self.clock)
        except (DeferredTimeoutError, ConnectTimeoutError):
            return Lost.TIMEOUT
        except ConnectError:
            return Lost.REFUSED
        except (ConnectionClosed, RequestTransmissionFailed, ResponseFailed):
            return Lost.DROPPED
        return await self._read(response)

    async def _read(self, response: Any) -> Reply | Lost:
        chunks: list[bytes] = []
        try:
            await within(response.collect(chunks.append), TIMEOUT, self.clock)
        except DeferredTimeoutError:
            return Lost.TIMEOUT
        except (ConnectionClosed, ResponseFailed):
            # The client takes a body that was cut off for the whole body.
            pass
        retry = response.headers.getRawHeaders("retry-after", [None])[0]
        return Reply(status=response.code, body=b"".join(chunks), retry_after=retry)

    def _record(self, number: int, kind: str, request: Request, verdict: Verdict | None = None) -> None:
        event = Event(number=number, kind=kind, request=request, at=self.clock.seconds(), verdict=verdict)
        self.history.append(event)


def kind_of(answered: Answered) -> str:
    """Return how the transmission ends in the history."""
    status = answered.verdict.status
    if answered.is_rejection:
        return "fail"
    unknown = status is None or status >= 500 or answered.verdict.error is not None
    return "info" if unknown else "ok"


async def within(waiting: Deferred[Any], seconds: float, clock: IReactorTime) -> Any:
    """Wait so long at most; raises Twisted's `defer.TimeoutError`, whatever cancelling leads to."""

    def overdue(_result: Any, _seconds: float) -> NoReturn:
        raise DeferredTimeoutError

    return await waiting.addTimeout(seconds, clock, overdue)


def _headers(request: Request, identity: str) -> dict[str, str]:
    headers = {
        "Accept": "application/json",
        "X-Api-Info-Location": "api.example.com/v2/info",
        "X-Broker-Api-Request-Identity": identity,
        "X-Broker-Api-Version": "2.15",
        "X-Vcap-Request-Id": identity,
    }
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    if request.is_of_user:
        headers["X-Broker-Api-Originating-Identity"] = f"cloudfoundry {_USER}"
    return headers

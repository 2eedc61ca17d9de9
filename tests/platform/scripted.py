"""A broker that answers by a script, so that what the platform does can be foretold."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, Final

from attrs import Factory, define, field, frozen
from twisted.internet import error
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers

from tests.platform.cloud_controller import CloudController
from tests.platform.jobs import Outcome
from tests.platform.verdicts import Lost

USER: Final = ("user", "password")
#: An offering whose instances and bindings can be fetched, as the catalog has it.
OFFERING: Final[dict[str, Any]] = {
    "id": "service",
    "name": "service",
    "description": "A service.",
    "bindable": True,
    "instances_retrievable": True,
    "bindings_retrievable": True,
    "plan_updateable": True,
    "plans": [{"id": name, "name": name, "description": "A plan."} for name in ("small", "large")],
}
IN_PROGRESS: Final = (200, {"state": "in progress"})
SUCCEEDED: Final = (200, {"state": "succeeded"})
FAILED: Final = (200, {"state": "failed", "description": "No luck."})

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | Lost


@frozen
class Sent:
    """A request that arrived, and when."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@frozen
class Response:
    """What treq returns of an answer."""

    code: int
    body: bytes
    headers: Headers

    def collect(self, collector: Callable[[bytes], None]) -> Deferred[None]:
        """Deliver the body."""
        collector(self.body)
        return succeed(None)


@define(eq=False)
class ScriptedBroker:
    """A client as treq's, whose broker gives the answers of `script` one after the other.

    An answer is a status with a document and headers, or how it is lost.
    """

    clock: Clock
    script: list[Answer] = Factory(list)
    sent: list[Sent] = Factory(list)

    def request(self, method: str, url: str, **options: Any) -> Deferred[Response]:
        """Answer a request by the next line of the script."""
        data = options["data"]
        path = url.removeprefix("http://broker")
        body = None if data is None else json.loads(data)
        self.sent.append(Sent(self.clock.seconds(), method, path, options["headers"], body))
        assert options["auth"] == USER
        answer = self.script.pop(0)
        if answer is Lost.TIMEOUT:
            return Deferred()
        if answer is Lost.REFUSED:
            return fail(error.ConnectionRefusedError())
        if isinstance(answer, Lost):
            return fail(ResponseNeverReceived([Failure(error.ConnectionDone())]))
        status, document, *more = answer
        payload = document if isinstance(document, bytes) else json.dumps(document).encode()
        headers = Headers({name: [text] for name, text in (more[0] if more else {}).items()})
        return succeed(Response(status, payload, headers))


@define(eq=False)
class Scene:
    """A platform and a scripted broker on one clock; the platform knows the catalog already."""

    offering: dict[str, Any] = Factory(lambda: OFFERING)
    clock: Clock = Factory(Clock)
    broker: ScriptedBroker = field(init=False)
    platform: CloudController = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Let the platform read the catalog."""
        self.broker = ScriptedBroker(self.clock)
        self.platform = CloudController(
            client=self.broker, clock=self.clock, base_url="http://broker", auth=USER
        )
        self.run(self.platform.fetch_catalog(), (200, {"services": [self.offering]}))
        self.broker.sent.clear()
        self.platform.history.clear()

    def begin(self, job: Coroutine[Any, Any, Outcome], *answers: Answer) -> list[Outcome]:
        """Begin a job with these further answers; the list gets its outcome."""
        self.broker.script.extend(answers)
        outcomes: list[Outcome] = []
        Deferred.fromCoroutine(job).addCallback(outcomes.append)
        return outcomes

    def run(self, job: Coroutine[Any, Any, Outcome], *answers: Answer) -> Outcome:
        """Run a job to its end, with all the time that it takes, and return its outcome."""
        (outcome,) = self.through(self.begin(job, *answers))
        return outcome

    def through(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Let time pass until the job is over."""
        while not outcomes:
            self.advance()
        return outcomes

    def advance(self) -> None:
        """Let time pass until the next thing happens."""
        due = min(call.getTime() for call in self.clock.getDelayedCalls())
        self.clock.advance(due - self.clock.seconds())

    def settle(self) -> None:
        """Let time pass until nothing is waited for any more."""
        while self.clock.getDelayedCalls():
            self.advance()

    def created(self, instance_id: str = "i-1") -> None:
        """Make an instance, and forget that it was sent."""
        self.run(self.platform.create_service(instance_id, "service", "small"), (201, {}))
        self.broker.sent.clear()
        self.platform.history.clear()

    def bound(self, binding_id: str = "b-1") -> None:
        """Bind the instance, and forget that it was sent."""
        self.run(self.platform.bind("i-1", binding_id), (201, {"credentials": {}}))
        self.broker.sent.clear()
        self.platform.history.clear()

    @property
    def times(self) -> list[float]:
        """When requests arrived."""
        return [sent.at for sent in self.broker.sent]

    @property
    def lines(self) -> list[str]:
        """The methods and paths that arrived, without their queries."""
        return [f"{sent.method} {sent.path.partition('?')[0]}" for sent in self.broker.sent]

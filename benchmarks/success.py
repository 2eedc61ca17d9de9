"""The time until Cloud Foundry shows success, by the model of its polling rules in `tests.platform`.

Requests are real and take what they take. The 60 seconds between two polls are not waited for: the model's
clock is moved on instead, once the broker has done its work.
"""

import http.client
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from attrs import define, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from benchmarks.provisioning import SERVICE
from benchmarks.sides import Sides
from tests.platform.cloud_controller import CloudController
from tests.platform.jobs import Outcome
from tests.polling import PATIENCE, poll
from tests.real_engine import RealEngine
from tests.running import PASSWORD, USER, RunningBroker

#: Makes the broker answer 202 at once, as brokers do that cannot wait.
AT_ONCE: dict[str, Any] = {"answerwithin": 0}


def measure(engine: RealEngine, running: RunningBroker, rounds: int) -> Sides:
    """Measure the broker as it is and the same broker when it answers 202 at once, in turn."""
    ours: list[float] = []
    theirs: list[float] = []
    with _at_once(engine) as other:
        for number in range(rounds + 1):
            both = [(ours, running), (theirs, other)]
            for seconds, broker in both if number % 2 else reversed(both):
                taken = _until_success(broker)
                if number:  # the first round warms both up
                    seconds.append(taken)
    return Sides(ours, theirs)


@contextmanager
def _at_once(engine: RealEngine) -> Iterator[RunningBroker]:
    other = RunningBroker([SERVICE], engine.unix_url, settings=AT_ONCE)
    try:
        yield other.start()
    finally:
        other.stop()


def _until_success(running: RunningBroker) -> float:
    clock = Clock()
    url = f"http://127.0.0.1:{running.port}"
    platform = CloudController(client=_Client(clock), clock=clock, base_url=url, auth=(USER, PASSWORD))
    _done(clock, Deferred.fromCoroutine(platform.fetch_catalog()), lambda: None)
    instance_id, started = str(uuid4()), clock.seconds()
    service = SERVICE["name"]
    creating = platform.create_service(instance_id, service, f"{service}_{SERVICE['plan']}")
    outcome = _done(clock, Deferred.fromCoroutine(creating), lambda: _work_ends(running, instance_id))
    assert outcome.state == "succeeded", outcome
    taken = clock.seconds() - started
    answer = running.request("DELETE", _path(instance_id) + f"?service_id={service}&plan_id={service}_100")
    assert answer.status == 200, answer.document
    return taken


def _done(clock: Clock, job: Deferred[Outcome], work_ends: Callable[[], None]) -> Outcome:
    """Return what the platform's job came to; whenever the platform pauses the broker gets time to work."""
    outcomes: list[Any] = []
    job.addBoth(outcomes.append)
    while not outcomes:
        work_ends()
        due = min(call.getTime() for call in clock.getDelayedCalls())
        clock.advance(due - clock.seconds())
    assert isinstance(outcomes[0], Outcome), outcomes[0]
    return outcomes[0]


def _work_ends(running: RunningBroker, instance_id: str) -> None:
    """Wait until the operation is over, which the model's pause must outlast."""
    started = perf_counter()

    def is_over() -> bool:
        answer = running.request("GET", _path(instance_id) + "/last_operation")
        return bool(answer.document["state"] != "in progress")

    poll(is_over, lambda: "the provision does not end")
    assert perf_counter() - started < PATIENCE, "the platform would have polled once more"


def _path(instance_id: str) -> str:
    return f"/v2/service_instances/{instance_id}"


@frozen
class _Response:
    code: int
    headers: Headers
    body: bytes

    def collect(self, collector: Callable[[bytes], object]) -> Deferred[None]:
        """Hand the body over."""
        collector(self.body)
        return succeed(None)


@define(eq=False)
class _Client:
    """Has treq's `request`; when it returns the answer is there, and the clock has moved on by its time."""

    _clock: Clock

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], data: bytes | None, auth: Any, **_: Any
    ) -> Deferred[_Response]:
        """Make the request now."""
        started = perf_counter()
        parts = urlsplit(url)
        assert parts.hostname is not None, url
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
        try:
            credentials = {"Authorization": _basic(auth)}
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, path, data, {**headers, **credentials})
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        self._clock.advance(perf_counter() - started)
        told = Headers({name: [text] for name, text in answer.getheaders()})
        return succeed(_Response(answer.status, told, body))


def _basic(auth: tuple[str, str]) -> str:
    return "Basic " + b64encode(":".join(auth).encode()).decode("ascii")

"""Brokers for pingers: the real web resource in memory, and others that misbehave."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define, field
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from dockerbroker.agent.pinging import Pinger, Post
from dockerbroker.config import BrokerServer
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.secrets import Secret
from dockerbroker.web.agents import Agents
from dockerbroker.web.auth import Credentials
from dockerbroker.web.site import Gate, Gates, Root
from tests.memory_persister import MemoryPersister

PASSWORD = "correct horse"
HOST = DockerHost(
    key=HostKey(service_host="10.0.0.1", docker_host="10.0.0.2", docker_port=2375),
    perf_factor=1.22,
    keep_alive=4.0,
    exec_command="DockerCommandExec",
    exec_arguments=("ssh", "root@10.0.0.2"),
    portbind_min=20000,
    portbind_max=20010,
)


def broker_resource(persister: MemoryPersister) -> IResource:
    """The real resource that agents ping."""
    gate = Gate(Agents(persister).resource(), Credentials(user="admin", password=Secret(PASSWORD)))
    return Root(Gates(platform=gate, agents=gate, administrators=gate), health=gate)


@define(eq=False)
class Answering:
    """Posts to what is in `resource` at the moment, and writes down when."""

    clock: Clock
    resource: IResource
    times: list[float] = field(factory=list)

    def post(self, *arguments: Any, **options: Any) -> Deferred[Any]:
        """Post, as treq does."""
        self.times.append(self.clock.seconds())
        treq: Any = StubTreq(self.resource)
        answer: Deferred[Any] = treq.post(*arguments, **options)
        return answer


@define(eq=False)
class Leaf(Resource):
    """Answers every request in one way."""

    answer: Callable[[Request], Any]
    isLeaf = True

    def render(self, request: Request) -> Any:
        """Answer."""
        return self.answer(request)


def hanging() -> IResource:
    """A broker that takes requests and never answers."""
    return Leaf(lambda _: NOT_DONE_YET)


def answering(status: int, body: bytes) -> IResource:
    """A broker that answers always the same."""

    def answer(request: Request) -> bytes:
        request.setResponseCode(status)
        return body

    return Leaf(answer)


class PingingCase(SynchronousTestCase):
    """Pingers on a clock that the test turns."""

    def setUp(self) -> None:
        """Begin to listen to the log."""
        self.clock = Clock()
        self.persister = MemoryPersister(self.clock.seconds)
        self.events = self.enterContext(capturedLogs())

    def pinger(
        self, post: Post, *, password: str = PASSWORD, chance: float = 0.5, host: str = "broker"
    ) -> Pinger:
        """A pinger that is stopped when the test ends."""
        server = BrokerServer(host=host, port=9998, user="admin", password=Secret(password))
        pinger = Pinger(
            server=server,
            host=HOST,
            post=post,
            clock=self.clock,
            now=lambda: datetime(2026, 1, 2, tzinfo=UTC),
            chance=lambda: chance,
        )
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(pinger.stop())))
        return pinger

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds * 20)):
            self.clock.advance(0.05)

    def lines(self) -> list[str]:
        """What was logged by the agent."""
        return [
            formatEvent(event) or ""
            for event in self.events
            if event["log_namespace"].startswith("dockerbroker.agent")
        ]

"""Brokers for pingers: the real web resource in memory, and others that misbehave."""

import json
import time
from collections.abc import Callable, Sequence
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

from dockerbroker.agent.brokers import Broker
from dockerbroker.agent.pinging import Pinger
from dockerbroker.agent.requests import Requests, Send
from dockerbroker.agent.telling import Teller
from dockerbroker.agent.uploading import Uploader
from dockerbroker.broker.certificates import Certificates
from dockerbroker.broker.pings import Pings
from dockerbroker.config import BrokerServer
from dockerbroker.model.agent_commands import read_commands
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.docker_addresses import read_addresses
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from dockerbroker.model.vitals import Vitals
from dockerbroker.web.agents import Agents
from dockerbroker.web.certificates import CertificateRoutes
from dockerbroker.web.entrance import Entrance
from dockerbroker.web.site import Gate, Gates, Root
from tests.credentials import authenticator, credential
from tests.memory_persister import MemoryPersister
from tests.memory_trials import MemoryTrials

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


def broker_resource(
    persister: MemoryPersister, keep_alive: float | None = None, clock: Clock | None = None
) -> IResource:
    """The real resource that agents ping, and give certificates; it may ask for an interval."""
    known = authenticator(clock or Clock(), [credential(Role.AGENT, "admin", PASSWORD)])
    entrance = Entrance(known, Role.AGENT)
    pings = Pings(persister, Clock(), pace=0)
    commands = read_commands([",".join(HOST.exec_arguments)])
    gate = Gate(Agents(pings, read_addresses(["10.0.0.0/8"]), keep_alive, commands), entrance)
    stored = Certificates(persister, MemoryTrials(), time.time)
    certificates = Gate(CertificateRoutes(stored).resource(), entrance)
    return Root(
        Gates(platform=gate, agents=gate, certificates=certificates, sections=gate, administrators=gate),
        health=gate,
    )


@define(eq=False)
class Answering:
    """Sends to what is in `resource` at the moment, and writes down when it pings and what it puts."""

    clock: Clock
    resource: IResource
    times: list[float] = field(factory=list)
    pings: list[dict[str, Any]] = field(factory=list)
    puts: list[dict[str, Any]] = field(factory=list)

    def send(self, method: str, url: str, **options: Any) -> Deferred[Any]:
        """Send a request, as treq does."""
        body = json.loads(options["data"])
        if method == "POST":
            self.times.append(self.clock.seconds())
            self.pings.append(body)
        else:
            self.puts.append(body)
        treq: Any = StubTreq(self.resource)
        answer: Deferred[Any] = treq.request(method, url, **options)
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
        self.vitals = Vitals()
        self.certificate: HostCertificate | None = None
        self.teller = self.new_teller()

    def new_teller(self, session: str = "s-1") -> Teller:
        """What an agent says that is started now."""
        return Teller(
            host=HOST,
            session=session,
            vitals=lambda: self.vitals,
            now=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        )

    def broker(self, send: Send, *, password: str = PASSWORD, host: str = "broker") -> Broker:
        """A broker that is reached so."""
        server = BrokerServer(host=host, port=9998, user="admin", password=Secret(password))
        requests = Requests(server=server, send=send, clock=self.clock)
        uploader = Uploader(
            requests=requests,
            current=lambda: self.certificate,
            docker_host=HOST.key.docker_host,
            clock=self.clock,
        )
        return Broker(requests=requests, teller=self.teller, uploader=uploader)

    def pinger(
        self, send: Send, *, password: str = PASSWORD, chance: float = 0.5, host: str = "broker"
    ) -> Pinger:
        """A pinger of one broker, which is stopped when the test ends."""
        return self.pinger_of([self.broker(send, password=password, host=host)], lambda: chance)

    def pinger_of(self, brokers: Sequence[Broker], chance: Callable[[], float]) -> Pinger:
        """A pinger of equal brokers, which is stopped when the test ends."""
        pinger = Pinger(brokers=brokers, teller=self.teller, clock=self.clock, chance=chance)
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

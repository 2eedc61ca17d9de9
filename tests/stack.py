"""A whole broker in memory: the real web, broker, worker and reconciler over memory persister and engines.

    stack = Stack()
    answer = stack.provision("i-1")
    self.assertEqual((answer.status, answer.json), (201, {}))

A stack starts with one Docker host, `HOST`, and one service, `REDIS`, whose image has a HEALTHCHECK and the
executables `/bind` and `/unbind`. Nothing happens by itself: time passes only while a request is waited for,
and in `advance`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from attrs import Factory, define, field
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from dockerbroker.broker.administration import Administration
from dockerbroker.broker.authentication import Authenticator
from dockerbroker.broker.certificates import Certificates
from dockerbroker.broker.comparing import Comparer
from dockerbroker.broker.credentials import Admission, Credentials
from dockerbroker.broker.draining import Drainer
from dockerbroker.broker.heartbeat import Heartbeat
from dockerbroker.broker.judging import Judge
from dockerbroker.broker.limits import Limits
from dockerbroker.broker.reconcile import Reconciler
from dockerbroker.broker.restarts import Restarts
from dockerbroker.broker.seams import make_seams
from dockerbroker.broker.service import ServiceBroker
from dockerbroker.broker.sweeping import Sweeps
from dockerbroker.broker.watching import Watch
from dockerbroker.broker.worker import Worker
from dockerbroker.broker.workings import Machine, Policy, Workings, make_workings
from dockerbroker.crashpoints import Reach
from dockerbroker.engines.executors import DockerApiExecutor
from dockerbroker.engines.interfaces import Engines, Executors
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.containers import HealthCheck
from dockerbroker.model.credentials import Credential
from dockerbroker.model.docker_addresses import AllowedAddresses, read_addresses
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.web.agents import Agents
from dockerbroker.web.site import Apis, BrokerSite, make_apis
from tests.asking import (
    REDIS,
    Answer,
    Asked,
    bind_body,
    binding_path,
    instance_path,
    provision_body,
    query,
)
from tests.credentials import CHEAP, authenticator, everywhere
from tests.memory_copies import MemoryCopies
from tests.memory_engine import MemoryEngine, MemoryEngines, MemoryImage
from tests.memory_persister import MemoryPersister, Tables
from tests.memory_trials import MemoryTrials
from tests.pinging import pings

__all__ = [
    "CATALOG",
    "CREDENTIALS",
    "HOST",
    "PASSWORD",
    "REDIS",
    "USER",
    "Answer",
    "Asked",
    "Stack",
    "add_service",
    "bind_body",
    "binding_path",
    "in_order",
    "instance_path",
    "provision_body",
    "query",
]

T = TypeVar("T")

USER: Final = "admin"
PASSWORD: Final = "correct horse"
CATALOG: Final = "docker"

#: A host that sends no second ping during a test, and needs none.
HOST: Final = DockerHost(
    key=HostKey(service_host="10.0.0.1", docker_host="10.0.0.2", docker_port=2375), keep_alive=86400
)
#: What the `/bind` of the image `redis` prints.
CREDENTIALS: Final = {"username": "user", "password": "swordfish"}

#: What agents may announce: the hosts of the tests.
ANYWHERE: Final = read_addresses(["agent", "10.0.0.0/8", "*.example.org", "other"])

#: What lets platforms, agents and administrators in.
SEEDS: Final = everywhere(USER, PASSWORD)

#: Seconds of the broker's clock after which a request that has no answer will never get one.
PATIENCE: Final = 120.0
_EPOCH: Final = 1_700_000_000.0


def in_order(items: Sequence[T], count: int) -> list[T]:
    """Return the first items, where a broker takes random ones."""
    return list(items[:count])


def _whole(pause: float) -> float:
    return pause


def add_service(engine: MemoryEngine, definition: ImageDefinition = REDIS, **behaviour: Any) -> MemoryImage:
    """Give a host a healthy image of the service; `behaviour` goes to `MemoryEngine.add_image`."""
    settings = {"ports": ("6379/tcp",), "health_check": HealthCheck(command=("healthy",), timeout=5)}
    image = engine.add_image(definition.image, **{**settings, **behaviour})
    image.scripts.setdefault("healthy", lambda _stdin, _environment: (0, b"", b""))
    return image


@define(eq=False, kw_only=True)
class Stack:
    """One broker; `neighbour` and `successor` make other ones on the same database and engines.

    Its comparer, its drainer, its watch, its heartbeat and its judge are started by the tests that want one;
    without a heartbeat no host is ever silent.

    `limits`, `clock`, `persister` and `engines` may be given; `reach` is done at crash points, and
    `skew` is by how many seconds its wall clock is wrong. One that is not `is_open` has no database yet: its
    site can be opened with its `apis`. Agents may announce the `addresses`, and `trials` try certificates.
    `client` is a treq that talks to the broker. It looks at all hosts before each placement; with a `youth`
    it places for so many seconds by what it has seen.
    """

    clock: Clock = Factory(Clock)
    owner: str = "broker-1"
    limits: Limits = Factory(Limits)
    reach: Reach | None = None
    skew: float = 0.0
    is_open: bool = True
    addresses: AllowedAddresses = ANYWHERE
    youth: float = 0.0
    trials: MemoryTrials = Factory(MemoryTrials)
    persister: MemoryPersister = field()
    engines: MemoryEngines = field()
    copies: MemoryCopies = field(init=False)
    workings: Workings = field(init=False)
    broker: ServiceBroker = field(init=False)
    worker: Worker = field(init=False)
    reconciler: Reconciler = field(init=False)
    comparer: Comparer = field(init=False)
    restarts: Restarts = field(init=False)
    drainer: Drainer = field(init=False)
    heartbeat: Heartbeat = field(init=False)
    judge: Judge = field(init=False)
    sweeps: Sweeps = field(init=False)
    administration: Administration = field(init=False)
    watch: Watch = field(init=False)
    authenticator: Authenticator = field(init=False)
    credentials: Credentials = field(init=False)
    admission: Admission = field(init=False)
    apis: Apis = field(init=False)
    site: BrokerSite = field(init=False)
    client: Any = field(init=False)
    _identifiers: int = field(default=0, init=False)

    @persister.default
    def _new_persister(self) -> MemoryPersister:
        persister = MemoryPersister(self.clock.seconds)
        Deferred.fromCoroutine(persister.seed_images([REDIS]))
        Deferred.fromCoroutine(persister.record_pings(pings([HOST])))
        return persister

    @engines.default
    def _new_engines(self) -> MemoryEngines:
        engines = MemoryEngines(self.clock)
        binding = json.dumps(CREDENTIALS).encode()
        scripts = {
            "/bind": lambda _stdin, _environment: (0, binding, b""),
            "/unbind": lambda _stdin, _environment: (0, b"", b""),
        }
        add_service(engines(HOST), scripts=scripts)
        return engines

    def __attrs_post_init__(self) -> None:
        """Put the broker together as the program does, and start it."""
        clock, wall = self.clock, self._wall

        def executors(engines: Engines) -> Executors:
            return lambda host: DockerApiExecutor(clock, engines(host))

        self.copies = MemoryCopies(self.engines, clock)
        seams = make_seams(self.persister, self.engines, self.copies, executors, self.reach)
        machine = Machine(
            clock=clock,
            wall=wall,
            spent=lambda: 0.0,
            jitter=_whole,
            new_id=self._identifier,
            sample=in_order,
        )
        policy = Policy(limits=self.limits, youth=self.youth, pace=0)
        workings = make_workings(seams, machine, policy, owner=self.owner, reach=self.reach)
        self.workings, self.broker, self.worker = workings, workings.broker, workings.worker
        self.reconciler, self.comparer, self.restarts = (
            workings.reconciler,
            workings.comparer,
            workings.restarts,
        )
        self.drainer, self.heartbeat, self.judge = workings.drainer, workings.heartbeat, workings.judge
        self.sweeps = workings.sweeps
        self.administration = Administration(seams.persister, CATALOG)
        self.authenticator = authenticator(clock, self._seeded())
        self.credentials = Credentials(seams.persister, self.authenticator.run, wall, CHEAP)
        self.admission = Admission(self.credentials, self.authenticator)
        self.watch = Watch(seams.persister, clock, self._refuse, self.admission.refresh)
        self.apis = make_apis(
            clock,
            self.broker,
            self.administration,
            Certificates(seams.persister, self.trials, wall),
            Agents(workings.pings, self.addresses),
            self.sweeps,
            self.admission,
        )
        self.site = BrokerSite(clock, self.authenticator)
        if self.is_open:
            self.site.open(self.apis)
        self.client = StubTreq(self.site.resource)
        # Not its own kind of site but the guarded one, as in the program.
        self.client._agent._serverFactory = self.site
        self.reconciler.start()

    # The world of the broker.

    @property
    def engine(self) -> MemoryEngine:
        """The engine of `HOST`."""
        return self.engines(HOST)

    @property
    def image(self) -> MemoryImage:
        """The image of `REDIS` on `HOST`."""
        return self.engine.images[REDIS.image]

    def _seeded(self) -> Sequence[Credential]:
        """Return the credentials of the database, which has these where it had none."""
        tables: Tables | None = getattr(self.persister, "tables", None)
        return SEEDS if tables is None else tables.known_credentials(SEEDS)

    def _refuse(self, refusal: str | None) -> None:
        self.site.refuse(refusal)
        self.workings.pause(refusal is not None)

    def add_host(self, host: DockerHost) -> MemoryEngine:
        """Let a host's agent ping; return its engine, which has no image yet."""
        Deferred.fromCoroutine(self.persister.record_pings(pings([host])))
        return self.engines(host)

    def add_definition(self, definition: ImageDefinition) -> None:
        """Put a definition into the catalog, or replace the one of its name."""
        Deferred.fromCoroutine(self.persister.put_image(definition))

    def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next, as it passes in a running program."""
        end = self.clock.seconds() + seconds
        self._flush()
        while self.clock.seconds() < end:
            due = [call.getTime() for call in self.clock.getDelayedCalls()]
            self.clock.advance(max(min([end, *due]) - self.clock.seconds(), 0))
            self._flush()

    def successor(self) -> Stack:
        """Let the broker crash; return another one on its database and engines.

        The clock of the crashed broker stands still from now on: it neither renews a lease nor times out.
        """
        clock = Clock()
        clock.advance(self.clock.seconds())
        self.engines.clock = clock
        for engine in self.engines.engines.values():
            engine.clock = clock
        persister = MemoryPersister(clock.seconds, self.persister.tables)
        return Stack(
            clock=clock,
            owner=f"{self.owner}'",
            limits=self.limits,
            persister=persister,
            engines=self.engines,
        )

    def neighbour(self) -> Stack:
        """Return another living broker on the same database, engines and clock."""
        return Stack(
            clock=self.clock,
            owner=f"{self.owner}-neighbour",
            limits=self.limits,
            persister=self.persister.another(),
            engines=self.engines,
        )

    # Requests.

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str | None] | None = None,
        auth: tuple[str, str] | None = (USER, PASSWORD),
    ) -> Asked:
        """Send a request and return at once.

        A body that is not bytes is sent as JSON. `headers` replace those that platforms send; None leaves
        one out.
        """
        merged = {"X-Broker-API-Version": "2.17", "Content-Type": "application/json", **(headers or {})}
        sent = {name: value for name, value in merged.items() if value is not None}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        url = f"http://broker{path}"
        response = self.client.request(method, url, headers=sent, data=data, auth=auth)
        asked = Asked()
        asked.receive(self.client, response)
        self._flush()
        return asked

    def settle(self, asked: Asked) -> Answer:
        """Let time pass until the request is answered; return the answer."""
        started = self.clock.seconds()
        while asked.answer is None:
            assert self.clock.seconds() < started + PATIENCE, "the request is never answered"
            due = [call.getTime() for call in self.clock.getDelayedCalls()]
            self.advance(max(min(due, default=0.0) - self.clock.seconds(), 0.001))
        return asked.answer

    def request(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Send a request, with the options of `ask`, and return its answer."""
        return self.settle(self.ask(method, path, body, **options))

    def provision(self, instance_id: str, **changes: Any) -> Answer:
        """Provision an instance of `REDIS`, with changes of `provision_body`."""
        return self.request("PUT", instance_path(instance_id), provision_body(**changes))

    def deprovision(self, instance_id: str, definition: ImageDefinition = REDIS) -> Answer:
        """Deprovision an instance."""
        return self.request("DELETE", instance_path(instance_id) + query(definition))

    def bind(self, instance_id: str, binding_id: str, **changes: Any) -> Answer:
        """Bind an instance of `REDIS`, with changes of `bind_body`."""
        return self.request("PUT", binding_path(instance_id, binding_id), bind_body(**changes))

    def unbind(self, instance_id: str, binding_id: str, definition: ImageDefinition = REDIS) -> Answer:
        """Remove a binding."""
        return self.request("DELETE", binding_path(instance_id, binding_id) + query(definition))

    def _flush(self) -> None:
        self.client.flush()

    def _identifier(self) -> str:
        self._identifiers += 1
        return f"{self.owner}-{self._identifiers}"

    def _wall(self) -> float:
        return _EPOCH + self.clock.seconds() + self.skew

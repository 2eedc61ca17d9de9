"""Starts the broker as a twistd plugin."""

import os
import random
import secrets
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from attrs import define, field, frozen
from twisted.application.service import IService
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from dockerbroker.broker.administration import Administration
from dockerbroker.broker.beginning import Beginning
from dockerbroker.broker.comparing import Comparer
from dockerbroker.broker.executions import Executions
from dockerbroker.broker.limits import Limits
from dockerbroker.broker.placing import Placing
from dockerbroker.broker.readiness import Readiness
from dockerbroker.broker.reconcile import Reconciler
from dockerbroker.broker.removals import Removals
from dockerbroker.broker.seams import Seams, make_seams, placed
from dockerbroker.broker.service import ServiceBroker, make_broker
from dockerbroker.broker.steps import Steps
from dockerbroker.broker.worker import Worker
from dockerbroker.config import BrokerConfiguration, load_broker
from dockerbroker.crashpoints import Reach, armed
from dockerbroker.engines.docker import DockerEngines
from dockerbroker.engines.executors import HostExecutors
from dockerbroker.engines.interfaces import Engines, Executors
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.lifetime import (
    Lifetime,
    ProgramOptions,
    Stage,
    check_address,
    end_with_failure,
    in_child,
    make_or_refuse,
    names_stage,
    pool_stage,
    unusable_address,
    use_monotonic_clock,
)
from dockerbroker.model.placement import dispatcher_named
from dockerbroker.persisters.opening import check, open_persister
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import sqlite_url
from dockerbroker.threads import DaemonThreadPool
from dockerbroker.web.auth import Credentials
from dockerbroker.web.guard import GuardedSite
from dockerbroker.web.site import make_site

PROGRAM = "dockerbroker"

_DATABASE_THREADS = 8
_NAME_THREADS = 10
_BACKLOG = 128
#: Within this time every request is answered, and every operation that had begun is over; seconds.
_WORK_PATIENCE = 50.0
_DATABASE_PATIENCE = 5.0

_random = random.SystemRandom()


class Options(ProgramOptions):
    """The options of the broker."""

    program = PROGRAM


def makeService(options: Options) -> IService:
    """Return the broker; what stands in its way is one sentence on standard error and exit status 1."""
    from twisted.internet import reactor  # noqa: PLC0415 (twistd may choose another one before this)

    configuration = make_or_refuse(PROGRAM, lambda: load_broker(Path(options["config"]), os.environ))
    make_or_refuse(PROGRAM, lambda: check_address(configuration.listen_ip, configuration.port))
    make_or_refuse(PROGRAM, lambda: armed(os.environ))
    # Migrating needs Alembic, which would stay in memory.
    url = sqlite_url(configuration.persister.database)
    make_or_refuse(PROGRAM, lambda: in_child(lambda: check(url)))
    use_monotonic_clock(reactor)
    return build(reactor, configuration)


def build(reactor: Any, configuration: BrokerConfiguration) -> Lifetime:
    """Wire the broker: its parts in the order in which they start."""
    database_threads = DaemonThreadPool("database", _DATABASE_THREADS)
    docker_threads = DaemonThreadPool("docker", 1, leaves_busy=True)
    program = Program(
        reactor=reactor,
        configuration=configuration,
        database_threads=database_threads,
        docker_threads=docker_threads,
    )
    return Lifetime(
        clock=reactor,
        failed=partial(end_with_failure, reactor),
        stages=[
            names_stage(reactor, DaemonThreadPool("names", _NAME_THREADS)),
            pool_stage(reactor, docker_threads),
            pool_stage(reactor, database_threads),
            *program.stages(),
        ],
    )


@frozen(kw_only=True)
class Parts:
    """What the broker consists of while its database is open."""

    persister: SqlPersister
    engines: DockerEngines
    worker: Worker
    reconciler: Reconciler
    comparer: Comparer
    administration: Administration
    site: GuardedSite


@define(eq=False, kw_only=True)
class Program:
    """The broker's parts, from the opening of its database to its closing."""

    _log: ClassVar[Logger] = Logger()

    reactor: Any
    configuration: BrokerConfiguration
    database_threads: DaemonThreadPool
    docker_threads: DaemonThreadPool
    _parts: Parts | None = field(default=None, init=False)
    _port: IListeningPort | None = field(default=None, init=False)

    def stages(self) -> list[Stage]:
        """Return the parts in the order in which they start; they stop in the opposite one."""
        return [
            Stage(name="the database", start=self.open, stop=self.close, patience=_DATABASE_PATIENCE),
            Stage(name="the leases", start=self.keep_leases, stop=self.end_leases),
            Stage(name="the requests and their work", stop=self.finish, patience=_WORK_PATIENCE),
            Stage(name="the listener", start=self.listen, stop=self.stop_listening),
            Stage(name="taking over", stop=self.settle),
        ]

    async def open(self) -> None:
        """Open the database, seed it if it is new, and make what works on it."""
        for warning in self.configuration.warnings:
            self._log.warn("{warning}", warning=warning)
        url = sqlite_url(self.configuration.persister.database)
        # Made here, since the program may have become a daemon, which is another process.
        owner = f"{socket.gethostname()}-{os.getpid()}-{_new_id()}"
        persister = await open_persister(self.reactor, url, self.database_threads, broker=owner)
        images = self.configuration.services.images
        if await persister.seed_images(images):
            self._log.info(
                "The catalog is new, with {count} images from the configuration", count=len(images)
            )
        engines = DockerEngines(self.reactor, self.docker_threads, per_host=self.configuration.per_host)
        self._parts = make_parts(self.reactor, self.configuration, persister, engines, owner)
        await self._parts.administration.check_catalog()

    async def close(self) -> None:
        """Close the connections to the Docker hosts and to the database."""
        await self.parts.engines.close()
        await self.parts.persister.close()

    def keep_leases(self) -> None:
        """Begin to keep leases, to take over what nobody carries, and to compare rows with Docker."""
        self.parts.reconciler.start()
        self.parts.comparer.start()

    def end_leases(self) -> None:
        """End the keeping of leases, and the comparing where a start has failed half-way."""
        self.parts.comparer.stop()
        self.parts.reconciler.stop()

    def settle(self) -> None:
        """Take nothing over and compare nothing any more."""
        self.parts.reconciler.settle()
        self.parts.comparer.stop()

    async def finish(self) -> None:
        """Wait until all requests are answered, and all operations that this broker carries have ended."""
        await self.parts.site.drain()
        await self.parts.worker.finished()

    def listen(self) -> None:
        """Take requests."""
        host, port = self.configuration.listen_ip, self.configuration.port
        try:
            self._port = self.reactor.listenTCP(port, self.parts.site, backlog=_BACKLOG, interface=host)
        except CannotListenError as error:
            raise InvalidConfiguration(unusable_address(host, port, error.socketError)) from None

    async def stop_listening(self) -> None:
        """Take no new connections."""
        assert self._port is not None
        await maybeDeferred(self._port.stopListening)

    @property
    def parts(self) -> Parts:
        """What there is while the database is open."""
        assert self._parts is not None, "the database is not open"
        return self._parts


def make_parts(
    reactor: Any,
    configuration: BrokerConfiguration,
    persister: SqlPersister,
    engines: DockerEngines,
    owner: str,
) -> Parts:
    """Wire what works on an open database; `owner` is this broker's name, as the persister knows it."""
    limits = Limits(
        ready_within=configuration.ready_within,
        execute_within=configuration.execute_within,
        answer=configuration.answer_within,
    )
    reach = armed(os.environ)

    def executors(engines: Engines) -> Executors:
        return HostExecutors(reactor, engines, os.environ)

    seams = make_seams(persister, engines, executors, reach)
    worker = make_worker(reactor, limits, seams, reach, owner)
    administration = Administration(seams.persister, configuration.services.catalog)
    beginning = Beginning(seams.persister, worker, limits, reactor, _new_id, time.time)
    broker = make_broker(seams.persister, make_placing(reactor, configuration, seams), beginning)
    return Parts(
        persister=persister,
        engines=engines,
        worker=worker,
        reconciler=Reconciler(seams.persister, worker, reactor),
        comparer=make_comparer(reactor, seams),
        administration=administration,
        site=make_web(reactor, configuration, seams, broker, administration),
    )


def make_worker(reactor: Any, limits: Limits, seams: Seams, reach: Reach | None, owner: str) -> Worker:
    """Wire what carries operations."""
    steps = Steps(
        persister=seams.persister,
        engines=seams.engines,
        executors=seams.executors,
        executions=Executions(seams.persister, seams.engines, seams.executors, reactor),
        readiness=Readiness(reactor),
        removals=Removals(seams.persister, seams.engines, reactor),
        limits=limits,
        sample=_random.sample,
        clock=reactor,
    )
    return Worker(
        owner=owner,
        persister=seams.persister,
        steps=placed(steps, reach),
        reactor=reactor,
        wall=time.time,
        jitter=lambda longest: _random.uniform(0, longest),
    )


def make_comparer(reactor: Any, seams: Seams) -> Comparer:
    """Wire what compares rows with Docker."""
    return Comparer(
        persister=seams.persister,
        engines=seams.engines,
        clock=reactor,
        wall=time.time,
        spent=time.process_time,
        jitter=lambda longest: _random.uniform(0, longest),
    )


def make_placing(reactor: Any, configuration: BrokerConfiguration, seams: Seams) -> Placing:
    """Wire what finds hosts and ports."""
    return Placing(
        persister=seams.persister,
        engines=seams.engines,
        dispatcher=dispatcher_named(configuration.dispatcher, _random.sample),
        sample=_random.sample,
        clock=reactor,
    )


def make_web(
    reactor: Any,
    configuration: BrokerConfiguration,
    seams: Seams,
    broker: ServiceBroker,
    administration: Administration,
) -> GuardedSite:
    """Wire what listens."""
    services = configuration.services
    return make_site(
        reactor,
        broker,
        administration,
        seams.persister,
        Credentials(user=services.user, password=services.password),
    )


def _new_id() -> str:
    return secrets.token_hex(16)

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
from dockerbroker.broker.executions import Executions
from dockerbroker.broker.limits import Limits
from dockerbroker.broker.placing import Placing
from dockerbroker.broker.readiness import Readiness
from dockerbroker.broker.reconcile import Reconciler
from dockerbroker.broker.service import ServiceBroker
from dockerbroker.broker.steps import Steps
from dockerbroker.broker.worker import Worker
from dockerbroker.config import BrokerConfiguration, load_broker
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
from dockerbroker.persisters.interfaces import IPersister
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
        persister = await open_persister(self.reactor, url, self.database_threads)
        images = self.configuration.services.images
        if await persister.seed_images(images):
            self._log.info(
                "The catalog is new, with {count} images from the configuration", count=len(images)
            )
        engines = DockerEngines(self.reactor, self.docker_threads, per_host=self.configuration.per_host)
        self._parts = make_parts(self.reactor, self.configuration, persister, engines)

    async def close(self) -> None:
        """Close the connections to the Docker hosts and to the database."""
        await self.parts.engines.close()
        await self.parts.persister.close()

    def keep_leases(self) -> None:
        """Begin to keep leases, and to take over what nobody carries."""
        self.parts.reconciler.start()

    def end_leases(self) -> None:
        """End the keeping of leases."""
        self.parts.reconciler.stop()

    def settle(self) -> None:
        """Take nothing over any more."""
        self.parts.reconciler.settle()

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
    reactor: Any, configuration: BrokerConfiguration, persister: SqlPersister, engines: DockerEngines
) -> Parts:
    """Wire what works on an open database."""
    limits = Limits(ready_within=configuration.ready_within, execute_within=configuration.execute_within)
    executors = HostExecutors(reactor, engines, os.environ)
    worker = make_worker(reactor, limits, persister, engines, executors)
    broker = ServiceBroker(
        persister=persister,
        placing=make_placing(reactor, configuration, persister, engines),
        worker=worker,
        limits=limits,
        clock=reactor,
        new_id=_new_id,
        wall=time.time,
    )
    return Parts(
        persister=persister,
        engines=engines,
        worker=worker,
        reconciler=Reconciler(persister, worker, limits, reactor),
        site=make_web(reactor, configuration, persister, broker),
    )


def make_worker(
    reactor: Any, limits: Limits, persister: IPersister, engines: Engines, executors: Executors
) -> Worker:
    """Wire what carries operations."""
    steps = Steps(
        persister=persister,
        engines=engines,
        executors=executors,
        executions=Executions(persister, engines, executors),
        readiness=Readiness(reactor),
        limits=limits,
        sample=_random.sample,
        clock=reactor,
    )
    return Worker(
        owner=f"{socket.gethostname()}-{os.getpid()}-{_new_id()}",
        persister=persister,
        steps=steps,
        reactor=reactor,
        wall=time.time,
    )


def make_placing(
    reactor: Any, configuration: BrokerConfiguration, persister: IPersister, engines: Engines
) -> Placing:
    """Wire what finds hosts and ports."""
    return Placing(
        persister=persister,
        engines=engines,
        dispatcher=dispatcher_named(configuration.dispatcher, _random.sample),
        sample=_random.sample,
        clock=reactor,
    )


def make_web(
    reactor: Any, configuration: BrokerConfiguration, persister: IPersister, broker: ServiceBroker
) -> GuardedSite:
    """Wire what listens."""
    services = configuration.services
    return make_site(
        reactor,
        broker,
        Administration(persister, services.catalog),
        persister,
        Credentials(user=services.user, password=services.password),
    )


def _new_id() -> str:
    return secrets.token_hex(16)

"""Starts the broker as a twistd plugin."""

import os
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from attrs import define, evolve, field
from twisted.application.service import IService
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger

from dockerbroker.broker.authentication import Authenticator
from dockerbroker.broker_parts import Parts, open_parts
from dockerbroker.config import BrokerConfiguration, SqliteConfiguration, load_broker
from dockerbroker.config.listening import ListeningConfiguration
from dockerbroker.config.persister import PersisterConfiguration
from dockerbroker.crashpoints import armed
from dockerbroker.errors import Unavailable
from dockerbroker.lifetime import (
    Lifetime,
    Opening,
    ProgramOptions,
    Stage,
    check_endpoint,
    check_user,
    end_with_failure,
    in_child,
    keep_memory_private,
    keep_what_is_loaded,
    listen,
    make_or_refuse,
    names_stage,
    pool_stage,
    room_for,
    use_monotonic_clock,
)
from dockerbroker.persisters.opening import check
from dockerbroker.threads import DaemonThreadPool, run_in
from dockerbroker.tls.selfsigned import make_pair
from dockerbroker.tls.serving import CurrentCertificate, check_tls
from dockerbroker.tls.wrapping import wrapped
from dockerbroker.web.site import BrokerSite

PROGRAM = "dockerbroker"

_SQLITE_THREADS = 8
_NAME_THREADS = 10
#: Passwords are hashed by half of the processors at most, however many wrong ones come.
PASSWORD_THREADS = max(1, (os.cpu_count() or 1) // 2)
_KEY_BYTES = 32
#: Whoever waits for them is gone by then; in seconds.
_PASSWORD_PATIENCE = 1.0
#: Within this time every request is answered, and every operation that had begun is over; seconds.
_WORK_PATIENCE = 50.0
_DATABASE_PATIENCE = 5.0


class Options(ProgramOptions):
    """The options of the broker."""

    program = PROGRAM


def makeService(options: Options) -> IService:
    """Return the broker; what stands in its way is one sentence on standard error and exit status 1."""
    from twisted.internet import reactor  # noqa: PLC0415 (twistd may choose another one before this)

    make_or_refuse(PROGRAM, lambda: check_user(os.geteuid(), os.environ))
    keep_memory_private()
    configuration = make_or_refuse(PROGRAM, lambda: load_broker(Path(options["config"]), os.environ))
    make_or_refuse(PROGRAM, lambda: check_listening(configuration.listening))
    make_or_refuse(PROGRAM, lambda: armed(os.environ))
    make_or_refuse(PROGRAM, lambda: check_database(configuration.persister))
    use_monotonic_clock(reactor)
    return build(reactor, configuration)


def check_listening(listening: ListeningConfiguration) -> None:
    """Raise what keeps the broker from listening as it is told; a pair that it is to make is made."""
    listening.check()
    for endpoint in listening.endpoints:
        check_endpoint(endpoint)
    if listening.tls is not None:
        if listening.tls.is_self_signed:
            make_pair(listening.tls, listening.endpoints, time.time())
        check_tls(listening.tls, time.time())


def check_database(configuration: PersisterConfiguration) -> None:
    """Raise what an operator must mend; a server that does not answer is waited for when the broker runs."""
    with suppress(Unavailable):
        # Migrating needs Alembic, which would stay in memory.
        in_child(lambda: check(configuration))


def build(reactor: Any, configuration: BrokerConfiguration) -> Lifetime:
    """Wire the broker: its parts in the order in which they start."""
    limits = configuration.connections
    password_threads = DaemonThreadPool("passwords", PASSWORD_THREADS, leaves_busy=True)
    authenticator = make_authenticator(reactor, password_threads)
    program = Program(
        reactor=reactor,
        configuration=configuration,
        database_threads=database_threads(configuration.persister),
        docker_threads=DaemonThreadPool("docker", 1, leaves_busy=True),
        authenticator=authenticator,
        site=BrokerSite(reactor, authenticator, evolve(limits, in_all=room_for(limits.in_all))),
    )
    return Lifetime(
        clock=reactor,
        failed=partial(end_with_failure, reactor),
        stages=[
            names_stage(reactor, DaemonThreadPool("names", _NAME_THREADS)),
            pool_stage(reactor, password_threads, patience=_PASSWORD_PATIENCE),
            pool_stage(reactor, program.docker_threads),
            pool_stage(reactor, program.database_threads),
            *program.stages(),
        ],
    )


def make_authenticator(reactor: Any, threads: DaemonThreadPool) -> Authenticator:
    """Return what finds out who asks; it hashes passwords in the threads, one in each."""
    key = os.urandom(_KEY_BYTES)
    return Authenticator(reactor, partial(run_in, reactor, threads), key, at_once=threads.max)


def database_threads(configuration: PersisterConfiguration) -> DaemonThreadPool:
    """Return the threads in which the database is worked with: one for each connection to a server."""
    if isinstance(configuration, SqliteConfiguration):
        return DaemonThreadPool("database", _SQLITE_THREADS)
    return DaemonThreadPool("database", configuration.pool_size)


@define(eq=False, kw_only=True)
class Program:
    """The broker's parts: they are there when its database is open, which may be later than its start."""

    _log: ClassVar[Logger] = Logger()

    reactor: Any
    configuration: BrokerConfiguration
    database_threads: DaemonThreadPool
    docker_threads: DaemonThreadPool
    authenticator: Authenticator
    site: BrokerSite
    _opening: Opening = field(init=False)
    _parts: Parts | None = field(default=None, init=False)
    _certificate: CurrentCertificate | None = field(init=False)
    _ports: list[IListeningPort] = field(factory=list, init=False)

    @_certificate.default
    def _shown(self) -> CurrentCertificate | None:
        tls = self.configuration.listening.tls
        return (
            None if tls is None else CurrentCertificate(configuration=tls, clock=self.reactor, wall=time.time)
        )

    def __attrs_post_init__(self) -> None:
        """Prepare the opening of the database."""
        self._opening = Opening(name="the database", clock=self.reactor, attempt=self.open)

    def stages(self) -> list[Stage]:
        """Return the parts in the order in which they start; they stop in the opposite one."""
        return [
            Stage(name="the database", start=self.start, stop=self.close, patience=_DATABASE_PATIENCE),
            Stage(name="the leases", stop=self.end_leases),
            Stage(name="the requests and their work", stop=self.finish, patience=_WORK_PATIENCE),
            Stage(name="the listener", start=self.listen, stop=self.stop_listening),
            Stage(name="taking over", stop=self.settle),
        ]

    def start(self) -> None:
        """Begin to open the database."""
        for warning in self.configuration.warnings:
            self._log.warn("{sentence}", sentence=warning)
        self._opening.start()

    async def open(self) -> None:
        """Open the database, and begin what works on it; raises what stands in the way."""
        parts = await open_parts(
            self.reactor,
            self.configuration,
            self.database_threads,
            self.docker_threads,
            self.authenticator,
            self._certificate,
        )
        if not self._opening.is_wanted:
            await parts.close()
            return
        self._parts = parts
        parts.watch.tell = self.refuse
        parts.watch.start()
        parts.workings.start()
        self.site.open(parts.apis)

    async def close(self) -> None:
        """Close the connections to the Docker hosts and to the database."""
        await self._opening.stop()
        if self._parts is not None:
            await self._parts.close()

    def refuse(self, refusal: str | None) -> None:
        """Refuse every request with that sentence, and take nothing over, until it is None."""
        self.site.refuse(refusal)
        if self._parts is not None:
            self._parts.workings.pause(refusal is not None)

    def end_leases(self) -> None:
        """End the keeping of leases, and the rest where a start has failed half-way."""
        if self._parts is not None:
            self._parts.watch.stop()
            self._parts.workings.stop()

    async def settle(self) -> None:
        """Open nothing, take nothing over and compare nothing any more."""
        self._opening.settle()
        if self._parts is not None:
            # What it has just claimed is among the work that is waited for; no database is closed under it.
            await self._parts.workings.settle()

    async def finish(self) -> None:
        """Wait until all requests are answered, and all operations that this broker carries have ended."""
        await self.site.drain()
        if self._parts is not None:
            await self._parts.workings.worker.finished()

    async def listen(self) -> None:
        """Take requests, from when the database is open or does not answer: so a restart refuses none."""
        await self._opening.tried()
        keep_what_is_loaded()
        factory: IProtocolFactory = self.site
        if self._certificate is not None:
            self._certificate.start()
            factory = wrapped(self._certificate, self.site, self.reactor)
        for endpoint in self.configuration.listening.endpoints:
            try:
                self._ports.append(listen(self.reactor, endpoint, factory))
            except BaseException:
                await self.stop_listening()
                raise

    async def stop_listening(self) -> None:
        """Take no new connections."""
        ports, self._ports = self._ports, []
        await gatherResults([maybeDeferred(port.stopListening) for port in ports])
        if self._certificate is not None:
            self._certificate.stop()

"""Wires the broker's parts on an open database."""

import os
import random
import secrets
import socket
import time
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.logger import Logger

from dockerbroker.broker.administration import Administration
from dockerbroker.broker.authentication import Authenticator
from dockerbroker.broker.beginning import Beginning
from dockerbroker.broker.certificates import Certificates
from dockerbroker.broker.comparing import Comparer
from dockerbroker.broker.credentials import Admission, Credentials
from dockerbroker.broker.draining import Drainer
from dockerbroker.broker.executions import Executions
from dockerbroker.broker.fleet import FleetView
from dockerbroker.broker.heartbeat import Heartbeat
from dockerbroker.broker.judging import Judge
from dockerbroker.broker.limits import Limits
from dockerbroker.broker.moves import Moves
from dockerbroker.broker.moving import Moving
from dockerbroker.broker.pings import Pings
from dockerbroker.broker.placing import Placing
from dockerbroker.broker.readiness import Readiness
from dockerbroker.broker.reconcile import Reconciler
from dockerbroker.broker.relocating import Relocation
from dockerbroker.broker.removals import Removals
from dockerbroker.broker.restarts import Restarts
from dockerbroker.broker.resting import RestingPorts
from dockerbroker.broker.returning import Returning
from dockerbroker.broker.seams import Seams, make_seams, placed
from dockerbroker.broker.service import make_broker
from dockerbroker.broker.steps import Steps
from dockerbroker.broker.sweeping import Sweeps
from dockerbroker.broker.trusting import Trust
from dockerbroker.broker.watching import Watch
from dockerbroker.broker.worker import Worker
from dockerbroker.config import BrokerConfiguration
from dockerbroker.crashpoints import Reach, armed
from dockerbroker.engines.copies import DockerCopies
from dockerbroker.engines.docker import DockerEngines
from dockerbroker.engines.executors import HostExecutors
from dockerbroker.engines.interfaces import Engines, Executors
from dockerbroker.engines.trials import DockerTrials
from dockerbroker.persisters.opening import open_persister
from dockerbroker.threads import DaemonThreadPool
from dockerbroker.tls.serving import CurrentCertificate
from dockerbroker.web.agents import Agents
from dockerbroker.web.site import Apis, make_apis

if TYPE_CHECKING:
    from dockerbroker.persisters.opening import Persister

_random = random.SystemRandom()
_log = Logger()


@frozen(kw_only=True)
class Parts:
    """What the broker consists of while its database is open."""

    persister: "Persister"
    engines: DockerEngines
    worker: Worker
    reconciler: Reconciler
    comparer: Comparer
    restarts: Restarts
    drainer: Drainer
    heartbeat: Heartbeat
    judge: Judge
    watch: Watch
    admission: Admission
    administration: Administration
    sweeps: Sweeps
    apis: Apis

    async def close(self) -> None:
        """Close the connections to the Docker hosts and to the database."""
        await self.engines.close()
        await self.persister.close()


async def open_parts(
    reactor: Any,
    configuration: BrokerConfiguration,
    database_threads: DaemonThreadPool,
    docker_threads: DaemonThreadPool,
    authenticator: Authenticator,
    shown: CurrentCertificate | None,
) -> Parts:
    """Open the database, seed it if it is new, and make what works on it; raises as `open_persister`."""
    # Made here, since the program may have become a daemon, which is another process.
    owner = f"{socket.gethostname()}-{os.getpid()}-{_new_id()}"
    persister = await open_persister(reactor, configuration.persister, database_threads, broker=owner)
    engines = DockerEngines(
        reactor,
        docker_threads,
        per_host=configuration.per_host,
        trust=Trust(persister),
        allows_plain=configuration.plain_docker,
        narrow_ports=configuration.narrow_ports,
    )
    parts = make_parts(reactor, configuration, persister, engines, owner, authenticator, shown)
    try:
        # From now on this is the database that it is to be.
        await parts.watch.look()
        images = configuration.services.images
        if await persister.seed_images(images):
            _log.info("The catalog is new, with {count} images from the configuration", count=len(images))
        await parts.administration.check_catalog()
        await parts.admission.begin(configuration.services.logins)
        # From now on it is known that a broker is there, and since when.
        await persister.observe()
    except BaseException:
        await parts.close()
        raise
    return parts


def make_parts(
    reactor: Any,
    configuration: BrokerConfiguration,
    persister: "Persister",
    engines: DockerEngines,
    owner: str,
    authenticator: Authenticator,
    shown: CurrentCertificate | None = None,
) -> Parts:
    """Wire what works on an open database; `owner` is this broker's name, as the persister knows it."""
    limits, reach = _limits(configuration), armed(os.environ)

    def executors(engines: Engines) -> Executors:
        return HostExecutors(reactor, engines, os.environ, configuration.commands)

    copies = DockerCopies(reactor, engines, engines.threads)
    seams = make_seams(persister, engines, copies, executors, reach)
    worker = make_worker(reactor, limits, seams, reach, owner)
    worker.wait_for_host = configuration.wait_for_host
    administration = Administration(seams.persister, configuration.services.catalog)
    beginning = Beginning(seams.persister, worker, limits, reactor, _new_id, time.time)
    view = FleetView(seams.persister, reactor, configuration.overcommit)
    relocation = worker.steps.relocation
    placing = make_placing(reactor, configuration, seams, view, relocation)
    relocation.placing = placing
    broker = make_broker(seams.persister, placing, beginning)
    moving = Moving(seams.persister, seams.engines, placing, beginning)
    comparer = make_comparer(reactor, seams, relocation.resting)
    comparer.audit_kept = configuration.audit_days * 86400
    restarts = Restarts(comparer, reactor)
    returning = Returning(seams.persister, seams.engines, comparer)
    admission = Admission(Credentials(seams.persister, authenticator.run, time.time), authenticator)
    sweeps = Sweeps(seams.persister, seams.engines, reactor, time.time)
    pings = Pings(seams.persister, reactor, restarts.heard, limits=configuration.host_limits)
    return Parts(
        persister=persister,
        engines=engines,
        worker=worker,
        reconciler=Reconciler(seams.persister, worker, reactor),
        comparer=comparer,
        restarts=restarts,
        drainer=Drainer(persister=seams.persister, moving=moving, clock=reactor),
        heartbeat=Heartbeat(seams.persister, reactor),
        judge=Judge(
            seams.persister, view, reactor, returning.welcome, configuration.mass_guard, pings.settled
        ),
        watch=Watch(seams.persister, reactor, revise=admission.refresh),
        admission=admission,
        administration=administration,
        sweeps=sweeps,
        apis=make_apis(
            reactor,
            broker,
            administration,
            Certificates(seams.persister, DockerTrials(engines), time.time),
            Agents(
                pings,
                configuration.docker_addresses,
                configuration.agent_keep_alive,
                configuration.commands,
                refuses_outdated=configuration.refuses_outdated,
            ),
            sweeps,
            admission,
            shown,
        ),
    )


def _limits(configuration: BrokerConfiguration) -> Limits:
    return Limits(
        ready_within=configuration.ready_within,
        execute_within=configuration.execute_within,
        answer=configuration.answer_within,
        move=configuration.move_within,
    )


def make_worker(reactor: Any, limits: Limits, seams: Seams, reach: Reach | None, owner: str) -> Worker:
    """Wire what carries operations."""
    removals = Removals(seams.persister, seams.engines, reactor)
    steps = Steps(
        persister=seams.persister,
        engines=seams.engines,
        executors=seams.executors,
        executions=Executions(seams.persister, seams.engines, seams.executors, reactor),
        readiness=Readiness(reactor),
        removals=removals,
        moves=Moves(seams.persister, seams.engines, seams.copies, removals, reactor),
        relocation=Relocation(seams.persister, seams.engines, _random.sample, reactor.seconds),
        limits=limits,
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


def make_comparer(reactor: Any, seams: Seams, resting: RestingPorts) -> Comparer:
    """Wire what compares rows with Docker."""
    return Comparer(
        persister=seams.persister,
        engines=seams.engines,
        clock=reactor,
        wall=time.time,
        spent=time.process_time,
        jitter=lambda longest: _random.uniform(0, longest),
        resting=resting,
    )


def make_placing(
    reactor: Any, configuration: BrokerConfiguration, seams: Seams, view: FleetView, relocation: Relocation
) -> Placing:
    """Wire what finds hosts and ports."""
    return Placing(
        persister=seams.persister,
        view=view,
        engines=seams.engines,
        dispatcher=configuration.dispatcher,
        # What is chosen at random here is no secret; the system's own chance takes longer than the rest.
        sample=random.Random().sample,  # noqa: S311
        clock=reactor,
        blocked=relocation.blocked,
        resting=relocation.resting,
    )


def _new_id() -> str:
    return secrets.token_hex(16)

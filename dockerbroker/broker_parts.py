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
from dockerbroker.broker.certificates import Certificates
from dockerbroker.broker.credentials import Admission, Credentials
from dockerbroker.broker.limits import Limits
from dockerbroker.broker.seams import make_seams
from dockerbroker.broker.trusting import Trust
from dockerbroker.broker.watching import Watch
from dockerbroker.broker.workings import Machine, Policy, Workings, make_workings
from dockerbroker.config import BrokerConfiguration
from dockerbroker.crashpoints import armed
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
    workings: Workings
    watch: Watch
    admission: Admission
    administration: Administration
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
    reach = armed(os.environ)

    def executors(engines: Engines) -> Executors:
        return HostExecutors(reactor, engines, os.environ, configuration.commands)

    copies = DockerCopies(reactor, engines, engines.threads)
    seams = make_seams(persister, engines, copies, executors, reach)
    workings = make_workings(seams, _machine(reactor), _policy(configuration), owner=owner, reach=reach)
    administration = Administration(seams.persister, configuration.services.catalog)
    admission = Admission(Credentials(seams.persister, authenticator.run, time.time), authenticator)
    agents = Agents(
        workings.pings,
        configuration.docker_addresses,
        configuration.agent_keep_alive,
        configuration.commands,
        refuses_outdated=configuration.refuses_outdated,
    )
    certificates = Certificates(seams.persister, DockerTrials(engines), time.time)
    return Parts(
        persister=persister,
        engines=engines,
        workings=workings,
        watch=Watch(seams.persister, reactor, revise=admission.refresh),
        admission=admission,
        administration=administration,
        apis=make_apis(
            reactor, workings.broker, administration, certificates, agents, workings.sweeps, admission, shown
        ),
    )


def _machine(reactor: Any) -> Machine:
    return Machine(
        clock=reactor,
        wall=time.time,
        spent=time.process_time,
        jitter=lambda longest: _random.uniform(0, longest),
        new_id=_new_id,
        # Which hosts and ports are chosen is no secret; the system's own chance takes longer than the rest.
        sample=random.Random().sample,  # noqa: S311
    )


def _policy(configuration: BrokerConfiguration) -> Policy:
    return Policy(
        limits=Limits(
            ready_within=configuration.ready_within,
            execute_within=configuration.execute_within,
            answer=configuration.answer_within,
            move=configuration.move_within,
        ),
        dispatcher=configuration.dispatcher,
        overcommit=configuration.overcommit,
        host_limits=configuration.host_limits,
        is_guarded=configuration.mass_guard,
        wait_for_host=configuration.wait_for_host,
        audit_kept=configuration.audit_days * 86400,
    )


def _new_id() -> str:
    return secrets.token_hex(16)

"""Starts the agent as a twistd plugin."""

import os
import random
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from attrs import define, field
from treq.client import HTTPClient
from twisted.application.service import IService
from twisted.logger import Logger
from twisted.web.client import Agent, HTTPConnectionPool

from dockerbroker.agent.brokers import Broker
from dockerbroker.agent.material import Material
from dockerbroker.agent.observing import Observer
from dockerbroker.agent.pinging import Pinger
from dockerbroker.agent.requests import Requests, Send
from dockerbroker.agent.telling import Teller
from dockerbroker.agent.uploading import Uploader
from dockerbroker.config import AgentConfiguration, BrokerServer, load_agent
from dockerbroker.config.certificates import CERTIFICATE_OPTIONS, load_certificates
from dockerbroker.engines.address import address_of
from dockerbroker.engines.connections import Connections
from dockerbroker.engines.pool import Lane
from dockerbroker.engines.probing import EngineProbe
from dockerbroker.lifetime import (
    Lifetime,
    ProgramOptions,
    Stage,
    check_user,
    end_with_failure,
    keep_memory_private,
    make_or_refuse,
    names_stage,
    pool_stage,
    use_monotonic_clock,
)
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.docker_addresses import UNIX
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.vitals import Vitals
from dockerbroker.threads import DaemonThreadPool
from dockerbroker.tls.verifying import BrokerPolicy

PROGRAM = "dockeragent"

#: A lookup that hangs keeps a thread for up to half a minute, while its broker is tried again and again;
#: so many threads for each broker keep the others from waiting.
_THREADS_PER_BROKER = 6

_log = Logger()


class Options(ProgramOptions):
    """The options of the agent."""

    program = PROGRAM
    optParameters: ClassVar[list[list[Any]]] = [
        *ProgramOptions.optParameters,
        ["clientcert", None, None, "The client certificate for Docker (PEM)."],
        ["clientkey", None, None, "The key of the client certificate (PEM)."],
        ["cacert", None, None, "The certificate of Docker's authority (PEM)."],
    ]


def makeService(options: Options) -> IService:
    """Return the agent; what stands in its way is one sentence on standard error and exit status 1."""
    from twisted.internet import reactor  # noqa: PLC0415 (twistd may choose another one before this)

    make_or_refuse(PROGRAM, lambda: check_user(os.geteuid(), os.environ))
    keep_memory_private()
    files = {option: options[option] for option in CERTIFICATE_OPTIONS}
    make_or_refuse(PROGRAM, lambda: load_certificates(files, ""))
    configuration = make_or_refuse(PROGRAM, lambda: load_agent(Path(options["config"])))
    for server in configuration.brokers:
        if server.tls is not None:
            make_or_refuse(PROGRAM, BrokerPolicy(host=server.host, tls=server.tls).load)
    use_monotonic_clock(reactor)
    # twistd may go to another folder before they are read again.
    kept = {option: str(Path(path).absolute()) if path else None for option, path in files.items()}
    return build(reactor, configuration, kept)


def build(reactor: Any, configuration: AgentConfiguration, files: Mapping[str, str | None]) -> Lifetime:
    """Wire the agent; `files` are those of its client certificate."""
    names = DaemonThreadPool("names", _THREADS_PER_BROKER * len(configuration.brokers))
    connections = HTTPConnectionPool(reactor)
    parts = Parts(
        reactor=reactor,
        configuration=configuration,
        files=files,
        sender=partial(_sender, reactor, connections),
    )
    return Lifetime(
        clock=reactor,
        failed=lambda failure: end_with_failure(reactor, failure),
        stages=[
            Stage(name="the log", start=lambda: _tell(configuration, files)),
            names_stage(reactor, names, patience=2.0),
            Stage(name="the connections", stop=connections.closeCachedConnections, patience=2.0),
            *_docker_stages(reactor, parts),
            *(
                Stage(name="the pings", start=pinger.start, stop=pinger.stop, patience=5.0)
                for pinger in parts.pingers
            ),
        ],
    )


def _sender(reactor: Any, connections: HTTPConnectionPool, server: BrokerServer) -> Send:
    if server.tls is None:
        return HTTPClient(Agent(reactor, pool=connections)).request
    policy = BrokerPolicy(host=server.host, tls=server.tls)
    return HTTPClient(Agent(reactor, policy, pool=connections)).request


def _docker_stages(reactor: Any, parts: "Parts") -> list[Stage]:
    if parts.observer is None:
        return []
    return [
        pool_stage(reactor, parts.threads, patience=2.0),
        Stage(name="the looks at Docker", start=parts.observer.start, stop=parts.observer.stop),
    ]


@define(eq=False, kw_only=True)
class Parts:
    """The parts of an agent, as they are put together; `sender` returns what sends requests to a broker.

    There is a pinger for each broker, or one for all when they are equals.
    """

    reactor: Any
    configuration: AgentConfiguration
    files: Mapping[str, str | None]
    sender: Callable[[BrokerServer], Send]
    threads: DaemonThreadPool = field(init=False)
    material: Material = field(init=False)
    teller: Teller = field(init=False)
    observer: Observer | None = field(init=False)
    pingers: list[Pinger] = field(init=False)

    @threads.default
    def _threads(self) -> DaemonThreadPool:
        # A look that hangs must not keep the program from ending.
        return DaemonThreadPool("Docker", 1, leaves_busy=True)

    @material.default
    def _material(self) -> Material:
        docker_host = self.configuration.host.key.docker_host
        return Material({} if docker_host.startswith(UNIX) else self.files, docker_host)

    @teller.default
    def _teller(self) -> Teller:
        return Teller(
            host=self.configuration.host,
            session=secrets.token_hex(16),
            vitals=lambda: Vitals() if self.observer is None else self.observer.vitals(),
            now=lambda: datetime.now().astimezone(),
        )

    @observer.default
    def _observer(self) -> Observer | None:
        if not self.configuration.watches_docker:
            return None
        probe = EngineProbe(
            connections=Connections(self.configuration.host, self._trust, allows_plain=True),
            lane=Lane(self.reactor, self.threads, 1, str(address_of(self.configuration.host))),
        )
        return Observer(
            probe=probe,
            interval=lambda: self.teller.keep_alive,
            changed=self._hurry,
            clock=self.reactor,
        )

    def _hurry(self) -> None:
        for pinger in self.pingers:
            pinger.hurry()

    async def _trust(self, _host: DockerHost) -> HostCertificate | None:
        return self.material.current()

    @pingers.default
    def _pingers(self) -> list[Pinger]:
        brokers = [self._broker(server) for server in self.configuration.brokers]
        groups = [brokers] if self.configuration.pings_any else [[broker] for broker in brokers]
        return [
            Pinger(brokers=group, teller=self.teller, clock=self.reactor, chance=random.random)
            for group in groups
        ]

    def _broker(self, server: BrokerServer) -> Broker:
        requests = Requests(server=server, send=self.sender(server), clock=self.reactor)
        uploader = Uploader(
            requests=requests,
            current=self.material.current,
            docker_host=self.configuration.host.key.docker_host,
            clock=self.reactor,
        )
        return Broker(requests=requests, teller=self.teller, uploader=uploader)


def _tell(configuration: AgentConfiguration, files: Mapping[str, str | None]) -> None:
    for warning in configuration.warnings:
        _log.warn("{sentence}", sentence=warning)
    if any(files.values()) and configuration.host.key.docker_host.startswith(UNIX):
        _log.warn("The client certificate is not used: Docker is reached by its socket, which has no TLS.")

"""Starts the agent as a twistd plugin."""

import random
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from treq.client import HTTPClient
from twisted.application.service import IService
from twisted.logger import Logger
from twisted.web.client import Agent, HTTPConnectionPool

from dockerbroker.agent.pinging import Pinger, Post
from dockerbroker.config import AgentConfiguration, load_agent
from dockerbroker.config.certificates import CERTIFICATE_OPTIONS, check_certificates
from dockerbroker.lifetime import (
    Lifetime,
    ProgramOptions,
    Stage,
    end_with_failure,
    make_or_refuse,
    names_stage,
    use_monotonic_clock,
)
from dockerbroker.threads import DaemonThreadPool

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

    has_certificates = make_or_refuse(
        PROGRAM, lambda: check_certificates({option: options[option] for option in CERTIFICATE_OPTIONS})
    )
    configuration = make_or_refuse(PROGRAM, lambda: load_agent(Path(options["config"])))
    use_monotonic_clock(reactor)
    return build(reactor, configuration, has_certificates=has_certificates)


def build(reactor: Any, configuration: AgentConfiguration, *, has_certificates: bool) -> Lifetime:
    """Wire the agent."""
    threads = DaemonThreadPool("names", _THREADS_PER_BROKER * len(configuration.brokers))
    connections = HTTPConnectionPool(reactor)
    pingers = pingers_of(reactor, configuration, HTTPClient(Agent(reactor, pool=connections)).post)
    return Lifetime(
        clock=reactor,
        failed=lambda failure: end_with_failure(reactor, failure),
        stages=[
            Stage(name="the log", start=lambda: _tell(configuration, has_certificates=has_certificates)),
            names_stage(reactor, threads, patience=2.0),
            Stage(name="the connections", stop=connections.closeCachedConnections, patience=2.0),
            *(
                Stage(name="the pings", start=pinger.start, stop=pinger.stop, patience=5.0)
                for pinger in pingers
            ),
        ],
    )


def pingers_of(reactor: Any, configuration: AgentConfiguration, post: Post) -> list[Pinger]:
    """Return a pinger for each broker."""
    return [
        Pinger(
            server=server,
            host=configuration.host,
            post=post,
            clock=reactor,
            now=lambda: datetime.now().astimezone(),
            chance=random.random,
        )
        for server in configuration.brokers
    ]


def _tell(configuration: AgentConfiguration, *, has_certificates: bool) -> None:
    for warning in configuration.warnings:
        _log.warn("{warning}", warning=warning)
    if has_certificates:
        _log.warn(
            "The client certificate is not sent to the brokers: they learn to take it in a later version. "
            "Until then Docker hosts are reached over unix:// or plain TCP."
        )

"""A whole broker on loopback, with Docker and database in memory: `python -m tests.platform.serve`.

Prints the address as its only line, and serves until its standard input ends. Work that the platform allows
to be asynchronous is asynchronous, since no request waits for long.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import time
from typing import Any, Final, cast

from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.internet.task import Clock, deferLater
from twisted.logger import globalLogBeginner, textFileLogObserver

from dockerbroker.broker.limits import Limits
from dockerbroker.model.attempts import WrongAttempts
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.plans import MaintenanceInfo, Plan
from dockerbroker.model.secrets import Secret
from tests.memory_world import Script
from tests.stack import Stack, add_service

#: A schema that takes some parameters and refuses others.
SIZE: Final = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "properties": {"size": {"type": "integer", "minimum": 1, "maximum": 9}},
}
#: What the broker offers: plans of every kind.
OFFERED: Final = (
    ImageDefinition(
        name="keeper",
        image="keeper",
        plan_updateable=True,
        allow_context_updates=True,
        plans=(
            Plan(id="keeper-small", name="small", binding_rotatable=True),
            Plan(id="keeper-large", name="large", maintenance=MaintenanceInfo(version="1.0.0")),
        ),
    ),
    ImageDefinition(
        name="slow",
        image="slow",
        plan_updateable=True,
        plans=(
            Plan(id="slow-one", name="one", asynchronous_only=True, maximum_polling_duration=600),
            Plan(id="slow-two", name="two", asynchronous_only=True, binding_rotatable=True),
        ),
    ),
    ImageDefinition(
        name="strict",
        image="strict",
        plans=(
            Plan(
                id="strict-only", name="only", schemas={"service_instance": {"create": {"parameters": SIZE}}}
            ),
            Plan(id="strict-unbound", name="unbound", bindable=False),
        ),
    ),
    ImageDefinition(
        name="static",
        image="static",
        plans=(Plan(id="static-only", name="only"),),
        dashboard_url="http://$HOST:$PORT/",
        credentials=Secret({"uri": "http://$HOST:$PORT/"}),
    ),
)
_BINDING: Final = b'{"credentials":{"username":"user","password":"swordfish"}}'
#: How long the executables of the slow service take, in seconds; no request waits for them.
_SLOWNESS: Final = 0.3
#: A host with more ports than instances are ever made.
_HOST: Final = DockerHost(
    key=HostKey(service_host="10.1.0.1", docker_host="10.1.0.2", docker_port=2375), keep_alive=86_400
)


class _UntilClosed(Protocol):
    """Ends the program when its standard input ends."""

    def connectionLost(self, reason: Any = None) -> None:
        """Stop."""
        del reason
        cast("Any", installed).stop()


def _answering(text: bytes, seconds: float) -> Script:
    return lambda _stdin, _environment: deferLater(cast("Any", installed), seconds, lambda: (0, text, b""))


class _Patient(WrongAttempts):
    """Lets an address try for ever: who looks for mistakes has only one, and tries many wrong passwords."""

    def wait(self, origin: str, now: float) -> float:
        """Return that it may try at once."""
        del origin, now
        return 0.0


def furnish(stack: Stack) -> None:
    """Give the broker its catalog, and a host that has the images."""
    engine = stack.add_host(_HOST)
    printed = {"/provision": b"", "/bind": _BINDING, "/unbind": b"", "/deprovision": b""}
    for definition in OFFERED:
        pause = _SLOWNESS if definition.name == "slow" else 0.0
        scripts = {name: _answering(text, pause) for name, text in printed.items()}
        add_service(engine, definition, scripts=scripts)
        stack.add_definition(definition)
    Deferred.fromCoroutine(stack.administration.delete_image("docker", "redis"))


def main(report: Callable[[str], object]) -> None:
    """Serve until standard input ends."""
    reactor = cast("Any", installed)
    stack = Stack(clock=cast("Clock", reactor), limits=Limits(answer=0.02))
    # Certificates are looked at by the clock of whoever makes them.
    stack.skew = time() - stack._wall()
    furnish(stack)
    stack.authenticator._wrong = _Patient()
    port = reactor.listenTCP(0, stack.site, interface="127.0.0.1")
    StandardIO(_UntilClosed())
    report(f"http://127.0.0.1:{port.getHost().port}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    main(sys.stdout.write)

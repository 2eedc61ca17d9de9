"""The suites of `IEngine`, be it in memory or Docker itself: what they have in common.

A suite is made by subclassing `ContainerContract`, `VolumeContract`, `MeasuredContract`, `OperatorContract`
and `ExecContract` with a `make_world`; the image `PLAIN` and the others must exist there, with the
executables that `tests.contracts.images` describes. Tests named after M13 to M20 show what was measured of
Docker Engine.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import (
    EngineError,
    ExecutableOverrun,
)
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    LABEL_INSTANCE,
    Container,
    ContainerSpec,
)
from tests.contracts.images import PLAIN

_names = itertools.count()
_shared: dict[tuple[type, str], str] = {}


def name() -> str:
    """Return a name that no other test uses."""
    return f"contract-{os.getpid()}-{next(_names)}"


def spec(image: str = PLAIN, **members: Any) -> ContainerSpec:
    """Return a container to be created, by default without ports and with a cluster of its own."""
    own = name()
    labels: Mapping[str, str] = {LABEL_CLUSTER: own, LABEL_INSTANCE: "instance"}
    return ContainerSpec(**{"name": own, "image": image, "labels": labels, "ports": {}, **members})


@define(eq=False)
class World:
    """An engine under test and its surroundings."""

    engine: IEngine
    reactor: Any
    taken: list[socket.socket] = field(factory=list)

    def occupy(self, port: int) -> None:
        """Let another process of the host listen on the port."""
        self.taken.append(socket.create_server(("", port)))

    def crowded(self) -> IEngine:
        """Return the engine without a limit to the calls that are made at once, as by many brokers."""
        return self.engine

    def pause(self, container_id: str) -> None:
        """Let somebody pause the container."""
        raise NotImplementedError

    def rename(self, container_id: str, name: str) -> None:
        """Let somebody rename the container."""
        raise NotImplementedError

    def copy(self, container_id: str) -> str:
        """Let somebody make an image of the container; return its name."""
        raise NotImplementedError

    def drop(self, container_id: str) -> None:
        """Let somebody remove the container."""
        raise NotImplementedError

    def close(self) -> None:
        """Let the ports go."""
        for taken in self.taken:
            taken.close()

    async def until_ended(self, container_id: str) -> Container:
        """Return the container when it has ended."""
        for _ in range(100):
            container = await self.engine.inspect(container_id)
            assert container is not None
            if not container.running:
                return container
            await deferLater(self.reactor, 0.05)
        raise AssertionError("the container did not end")


class EngineTestCase(TestCase):
    """A test with an engine; what it creates is removed afterwards."""

    timeout = 300
    world: World
    engine: IEngine

    def setUp(self) -> None:
        """Take the engine."""
        self.world = self.make_world()
        self.engine = self.world.engine
        self.addCleanup(self.world.close)

    def make_world(self) -> World:
        """Return the engine under test."""
        raise NotImplementedError

    async def created(self, wanted: ContainerSpec) -> str:
        """Create a container that is removed after the test."""
        container_id = await self.engine.create(wanted)
        self.addCleanup(lambda: ensureDeferred(self.engine.remove(container_id, grace=0)))
        return container_id

    async def started(self, wanted: ContainerSpec) -> str:
        """Create and start a container that is removed after the test."""
        container_id = await self.created(wanted)
        await self.engine.start(container_id)
        return container_id

    async def shared(self, image: str = PLAIN) -> str:
        """Return a container that runs, the same one for all tests of a class, which must leave it so."""
        key = (type(self), image)
        if (known := _shared.get(key)) is not None:
            container = await self.engine.inspect(known)
            if container is not None and container.running:
                return known
        _shared[key] = await self.engine.create(spec(image))
        await self.engine.start(_shared[key])
        return _shared[key]

    async def assert_raises(self, error: type[EngineError | ExecutableOverrun], call: Any) -> str:
        """Assert that the call raises exactly this error, with a sentence; return the sentence."""
        try:
            result = await call
        except (EngineError, ExecutableOverrun) as raised:
            self.assertIs(type(raised), error, raised.description)
            self.assertNotIn("Traceback", raised.description)
            self.assertNotIn("\n", raised.description)
            return raised.description
        raise self.failureException(f"{error.__name__} was not raised, but returned {result!r}")

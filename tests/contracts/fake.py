"""An engine of ours that talks to a fake dockerd."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

from attrs import define
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from dockerbroker.engines.docker import DockerEngine, DockerEngines
from dockerbroker.errors import (
    EngineError,
    ExecutableOverrun,
)
from dockerbroker.model.containers import ContainerSpec
from dockerbroker.threads import DaemonThreadPool
from tests.contracts.real import host_at
from tests.fake_dockerd import (
    FakeDockerd,
    answer,
)

VERSION = {"ApiVersion": "1.41"}
SPEC = ContainerSpec(name="some-name", image="image", labels={}, ports={"80/tcp": 20000})
PER_HOST = 2
_reactor: Any = reactor


@define(eq=False)
class ThreadClock(Clock):
    """A clock for deadlines, while threads are real."""

    def __attrs_post_init__(self) -> None:
        Clock.__init__(self)

    def callFromThread(self, function: Any, *args: Any, **kwargs: Any) -> None:
        """Call in the reactor's thread."""
        _reactor.callFromThread(function, *args, **kwargs)


class FakeCase(TestCase):
    """A test with a fake engine, and deadlines that come when the test says."""

    timeout = 180

    def setUp(self) -> None:
        """Have a fake engine, and ours that talks to it."""
        self.clock = ThreadClock()
        self.threads = DaemonThreadPool("fake", 0, leaves_busy=True)
        self.threads.start()
        self.addCleanup(self.threads.stop)
        clock: Any = self.clock
        self.engines = DockerEngines(clock, self.threads, PER_HOST)
        self.dockerd, self.engine = self.host()

    def host(self) -> tuple[FakeDockerd, DockerEngine]:
        """Return one more fake engine, and ours."""
        path = self.path()
        dockerd = FakeDockerd()
        dockerd.on("GET /version", answer(200, VERSION))
        self.listen(dockerd, path)
        return dockerd, self.engines(host_at(f"unix://{path}"))

    def path(self) -> str:
        """Return a path for a socket, short enough for one."""
        folder = tempfile.mkdtemp(prefix="dockerbroker-fake-")
        self.addCleanup(shutil.rmtree, folder)
        return f"{folder}/docker.sock"

    def listen(self, dockerd: FakeDockerd, path: str) -> None:
        """Let the fake engine listen until the end of the test."""
        port = _reactor.listenUNIX(path, dockerd)
        self.addCleanup(port.stopListening)
        self.addCleanup(dockerd.close)

    async def assert_raises(self, error: type[EngineError | ExecutableOverrun], call: Any) -> str:
        """Assert that the call raises exactly this error; return its sentence."""
        try:
            result = await call
        except (EngineError, ExecutableOverrun) as raised:
            self.assertIs(type(raised), error, raised.description)
            self.assertLess(len(raised.description), 500)
            self.assertNotIn("Traceback", raised.description)
            return raised.description
        raise self.failureException(f"{error.__name__} was not raised, but returned {result!r}")

    async def until(self, condition: Any) -> None:
        """Wait until the condition holds."""
        for _ in range(1000):
            if condition():
                return
            await deferLater(_reactor, 0.01)
        self.fail("it did not come about")

"""When a service counts as ready: its health check, or connections that stay open."""

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.readiness import STAYS_OPEN, Readiness, Service
from dockerbroker.engines.executors import DockerApiExecutor
from dockerbroker.errors import OperationFailed, OutcomeUnknown
from dockerbroker.model.containers import ContainerSpec, HealthCheck
from tests.memory_engine import MemoryEngine
from tests.model.values import instance
from tests.stack import add_service

PORT: Final = 20001


class ReadinessCase(SynchronousTestCase):
    """A container that runs, and somebody who waits for its service."""

    health_check: HealthCheck | None = None
    ports: tuple[str, ...] = ("6379/tcp",)

    def setUp(self) -> None:
        """Start the container."""
        self.reactor = MemoryReactorClock()
        self.engine = MemoryEngine(self.reactor)
        self.image = add_service(self.engine, ports=self.ports, health_check=self.health_check)
        published = {port: PORT + number for number, port in enumerate(self.ports)}
        spec = ContainerSpec(name="redis-1", image="redis", labels={}, ports=published)
        container_id: str = self.successResultOf(Deferred.fromCoroutine(self.engine.create(spec)))
        self.successResultOf(Deferred.fromCoroutine(self.engine.start(container_id)))
        self.instance = instance(container_id=container_id, ports=published)

    def wait(self, within: float = 10) -> Deferred[None]:
        """Begin to wait."""
        service = Service(
            engine=self.engine,
            executor=DockerApiExecutor(self.reactor, self.engine),
            instance=self.instance,
            hidden=frozenset({"swordfish"}),
        )
        return Deferred.fromCoroutine(Readiness(self.reactor).wait(service, within))

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        self.reactor.pump([0.05] * round(seconds / 0.05))

    def assert_failed(self, waiting: Deferred[None], sentence: str) -> str:
        """The waiting has ended with a failure that tells this; return its description."""
        description: str = self.failureResultOf(waiting, OperationFailed).value.description
        self.assertIn(sentence, description)
        return description


class HealthCheckTests(ReadinessCase):
    """The test of the image's HEALTHCHECK, run by the broker."""

    health_check = HealthCheck(command=("healthy", "--deep"), timeout=2)

    def outcomes(self, *codes: int) -> None:
        """Let the test have these outcomes, one after the other."""
        left = list(codes)
        self.image.scripts["healthy"] = lambda _stdin, _environment: (left.pop(0), b"noise", b"")

    def test_passes_at_once(self) -> None:
        """A test that passes makes the service ready at once, and no connection is tried."""
        self.outcomes(0)
        self.successResultOf(self.wait())
        self.assertEqual(self.reactor.tcpClients, [])

    def test_passes_later(self) -> None:
        """A test that fails is run again, soon at first, until it passes."""
        self.outcomes(1, 1, 1, 0)
        waiting = self.wait()
        self.assertNoResult(waiting)
        self.pass_time(1)
        self.successResultOf(waiting)

    def test_whole_command(self) -> None:
        """The command is run with its arguments, without input, and can be found."""
        self.outcomes(0)
        self.successResultOf(self.wait())
        (execution,) = self.engine.execs.values()
        self.assertEqual((execution.command, execution.stdin), (("healthy", "--deep"), b""))
        self.assertEqual(execution.environment, {"BROKER_EXEC": f"ready-{self.instance.container_id}"})

    def test_hangs(self) -> None:
        """A test that hangs counts as failed after its own limit, and is run again."""
        ends: list[Callable[[], Any]] = [Deferred, lambda: (0, b"", b"")]
        self.image.scripts["healthy"] = lambda _stdin, _environment: ends.pop(0)()
        waiting = self.wait()
        self.pass_time(1.9)
        self.assertNoResult(waiting)
        self.pass_time(0.5)
        self.successResultOf(waiting)
        self.assertFalse(any(execution.running for execution in self.engine.execs.values()))

    def test_docker_stumbles(self) -> None:
        """An error of Docker while the test is run is a look that saw nothing."""
        self.outcomes(0)
        self.engine.fail_next("create_exec", OutcomeUnknown("Docker did not answer."))
        waiting = self.wait()
        self.pass_time(0.2)
        self.successResultOf(waiting)

    def test_never(self) -> None:
        """When the time is over the failure tells the time and the last log lines."""
        self.image.scripts["healthy"] = lambda _stdin, _environment: (1, b"", b"")
        self.engine.world[self.instance.container_id or ""].logs = "1\n2\n3\n4\n5\npassword swordfish\n"
        waiting = self.wait(within=3)
        self.pass_time(3)
        description = self.assert_failed(
            waiting, "The container of redis on 10.0.0.1 was not ready within 3 s."
        )
        self.assertTrue(description.endswith("2 3 4 5 password [redacted]"), description)

    def test_ends(self) -> None:
        """A container that ends is not waited for any longer."""
        self.image.scripts["healthy"] = lambda _stdin, _environment: (1, b"", b"")
        waiting = self.wait()
        self.engine.crash("redis-1", exit_code=7)
        self.pass_time(0.2)
        self.assert_failed(waiting, "ended with exit status 7.")

    def test_removed(self) -> None:
        """A container that somebody removes is not waited for any longer."""
        self.engine.world.clear()
        self.assert_failed(self.wait(), "removed by somebody else")

    def test_logs_that_cannot_be_had(self) -> None:
        """Without the log lines the failure is told without them."""
        self.engine.crash("redis-1", exit_code=7)
        self.engine.fail_next("logs", OutcomeUnknown("Docker did not answer."))
        self.assert_failed(self.wait(), "ended with exit status 7.")


class ConnectionCase(ReadinessCase):
    """Connections to a port, in memory."""

    def connection(self, which: int = -1) -> tuple[IProtocol, StringTransport]:
        """Let a connection that was tried be accepted, the last one unless told."""
        factory: Any = self.reactor.tcpClients[which][2]
        protocol: IProtocol = factory.buildProtocol(None)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def refuse(self) -> None:
        """Let the connection that was tried last be refused."""
        factory: Any = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(ConnectError()))

    def close(self, protocol: IProtocol) -> None:
        """Let the other side close the connection."""
        protocol.connectionLost(Failure(ConnectionDone()))


class ConnectionTests(ConnectionCase):
    """Without a HEALTHCHECK: what docker-proxy accepts and closes is nothing that listens."""

    def test_stays_open(self) -> None:
        """A connection that stays open for 250 ms is ready, and is closed by the broker."""
        waiting = self.wait()
        _protocol, transport = self.connection()
        self.reactor.advance(STAYS_OPEN - 0.01)
        self.assertNoResult(waiting)
        self.reactor.advance(0.02)
        self.successResultOf(waiting)
        self.assertTrue(transport.disconnecting)

    def test_yields_data(self) -> None:
        """A connection that yields data is ready at once."""
        waiting = self.wait()
        protocol, transport = self.connection()
        protocol.dataReceived(b"hello")
        protocol.dataReceived(b"again")
        self.successResultOf(waiting)
        self.assertTrue(transport.disconnecting)
        self.close(protocol)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_accepted_and_closed(self) -> None:
        """A connection that is accepted and closed at once is not ready, and is tried again."""
        waiting = self.wait()
        protocol, _transport = self.connection()
        self.close(protocol)
        self.assertNoResult(waiting)
        self.pass_time(0.1)
        self.assertEqual(len(self.reactor.tcpClients), 2)
        protocol, _transport = self.connection()
        protocol.dataReceived(b"hello")
        self.successResultOf(waiting)

    def test_refused(self) -> None:
        """A refused connection is tried again, and at the end the failure is told."""
        waiting = self.wait(within=1)
        for _ in range(30):
            if waiting.called:
                break
            self.refuse()
            self.pass_time(0.5)
        self.assert_failed(waiting, "was not ready within 1 s")

    def test_not_answered(self) -> None:
        """A connection that is neither accepted nor refused is given up in time."""
        waiting = self.wait(within=2)
        self.pass_time(0.1)
        self.assertNoResult(waiting)
        timeout = self.reactor.tcpClients[-1][3]
        self.assertLessEqual(timeout, 2)


class SeveralPortTests(ConnectionCase):
    """A service with two TCP ports and one of UDP."""

    ports = ("1/tcp", "53/udp", "2/tcp")

    def test_each(self) -> None:
        """Every TCP port must be ready, all are tried at once; one of UDP cannot be asked."""
        waiting = self.wait()
        for which in range(2):
            protocol, _transport = self.connection(which)
            self.assertNoResult(waiting)
            protocol.dataReceived(b"hello")
        self.successResultOf(waiting)
        self.assertEqual([client[1] for client in self.reactor.tcpClients], [PORT, PORT + 2])


class NoPortTests(ReadinessCase):
    """A service without a port."""

    ports = ()

    def test_still_runs(self) -> None:
        """That it still runs after a moment is all that can be seen."""
        waiting = self.wait()
        self.assertNoResult(waiting)
        self.pass_time(0.3)
        self.successResultOf(waiting)

    def test_ends(self) -> None:
        """A container that ends within the moment is not ready."""
        waiting = self.wait()
        self.engine.crash("redis-1", exit_code=2)
        self.pass_time(0.5)
        self.assert_failed(waiting, "ended with exit status 2")

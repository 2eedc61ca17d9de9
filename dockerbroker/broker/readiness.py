"""Waits until a service is ready to be used, not merely started."""

from attrs import define, frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from dockerbroker.engines.interfaces import IEngine
from dockerbroker.errors import EngineError, ExecutableOverrun, OperationFailed
from dockerbroker.model.containers import Container, HealthCheck
from dockerbroker.model.executables import printable
from dockerbroker.model.instances import ServiceInstance
from dockerbroker.model.secrets import Secret, redact

#: How long a connection must stay open to count, in seconds: docker-proxy accepts and closes at once where
#: nothing listens in the container (measured).
STAYS_OPEN = 0.25
#: The pauses between two looks, in seconds: short at first, since most services are up within a second.
PAUSES = (0.05, 0.1, 0.1, 0.2, 0.2, 0.3)
LONGEST_PAUSE = 0.5

_HEALTH_OUTPUT_LIMIT = 64 * 1024
_LOG_LINES = 5
_LOG_LENGTH = 600


class _StaysOpen(Protocol):
    """Tells whether a connection stays open for a while or yields data."""

    _timer: IDelayedCall | None = None

    def __init__(self, reactor: IReactorTime, verdict: Deferred[bool]) -> None:
        self._reactor = reactor
        self._verdict = verdict

    def connectionMade(self) -> None:
        self._timer = self._reactor.callLater(STAYS_OPEN, self._decide, True)

    def dataReceived(self, data: bytes) -> None:
        del data
        self._decide(True)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        del reason
        self._decide(False)

    def _decide(self, verdict: bool) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        decided, self._verdict = self._verdict, Deferred()
        decided.callback(verdict)
        assert self.transport is not None
        self.transport.loseConnection()


@define(eq=False)
class Readiness:
    """Judges whether a container's service is ready."""

    reactor: IReactorTime

    async def wait(
        self, engine: IEngine, instance: ServiceInstance, within: float, hidden: frozenset[str]
    ) -> None:
        """Return when the service is ready.

        Ready means that the test of the image's HEALTHCHECK passes or, without one, that a connection to
        every published TCP port stays open or yields data. Raises `OperationFailed`, with the container's
        last log lines, when that takes more than `within` seconds or the container ends.
        """
        assert instance.container_id is not None
        deadline = self.reactor.seconds() + within
        waiting = _Waiting(engine, instance, hidden)
        check = await waiting.health_check()
        looks = 0
        while True:
            remaining = deadline - self.reactor.seconds()
            if remaining > 0 and await self._is_ready(engine, instance, check, remaining):
                return
            await waiting.require_running()
            pause = PAUSES[looks] if looks < len(PAUSES) else LONGEST_PAUSE
            if self.reactor.seconds() + pause >= deadline:
                raise await waiting.failure(f"was not ready within {within:g} s")
            await deferLater(self.reactor, pause, lambda: None)
            looks += 1

    async def _is_ready(
        self, engine: IEngine, instance: ServiceInstance, check: HealthCheck | None, remaining: float
    ) -> bool:
        assert instance.container_id is not None
        if check is not None:
            return await self._passes(engine, instance.container_id, check, remaining)
        ports = [port for name, port in instance.ports.items() if name.endswith("/tcp")]
        for port in ports:
            if not await self._stays_open(instance.host.service_host, port, remaining):
                return False
        if not ports:
            # Nothing to connect to: that it still runs after a moment is all that can be seen.
            await deferLater(self.reactor, STAYS_OPEN, lambda: None)
            container = await engine.inspect(instance.container_id)
            return container is not None and container.running
        return True

    async def _passes(self, engine: IEngine, container_id: str, check: HealthCheck, remaining: float) -> bool:
        try:
            exec_id = await engine.create_exec(container_id, check.command, {})
            await engine.start_exec(
                exec_id,
                Secret(b""),
                limit=_HEALTH_OUTPUT_LIMIT,
                deadline=max(min(check.timeout, remaining), 0.1),
            )
            state = await engine.inspect_exec(exec_id)
        except (EngineError, ExecutableOverrun):
            # Not healthy yet; a container that ended is told apart by the next look at it.
            return False
        return not state.running and state.exit_code == 0

    async def _stays_open(self, host: str, port: int, remaining: float) -> bool:
        verdict: Deferred[bool] = Deferred()
        endpoint = HostnameEndpoint(self.reactor, host, port, timeout=min(3.0, max(remaining, 0.1)))
        try:
            await endpoint.connect(Factory.forProtocol(lambda: _StaysOpen(self.reactor, verdict)))
        except (ConnectError, OSError):
            return False
        return await verdict


@frozen
class _Waiting:
    """The container that is waited for, and how its failure is told."""

    engine: IEngine
    instance: ServiceInstance
    hidden: frozenset[str]

    async def health_check(self) -> HealthCheck | None:
        reference = self.instance.definition.image
        if not self.instance.owns_container:
            reference = (await self.require_running()).image
        return (await self.engine.image(reference)).health_check

    async def require_running(self) -> Container:
        assert self.instance.container_id is not None
        container = await self.engine.inspect(self.instance.container_id)
        if container is None:
            raise OperationFailed("The container of the service instance was removed by somebody else.")
        if not container.running:
            raise await self.failure(f"ended with exit status {container.exit_code}")
        return container

    async def failure(self, what: str) -> OperationFailed:
        definition = self.instance.definition
        host = self.instance.host.service_host
        sentence = f"The container of {definition.name} on {host} {what}."
        try:
            assert self.instance.container_id is not None
            lines = await self.engine.logs(self.instance.container_id, _LOG_LINES)
        except EngineError:
            return OperationFailed(sentence)
        # Hidden before it is cut: the half of a secret would not be found.
        text = printable(redact(lines.strip(), self.hidden))[-_LOG_LENGTH:]
        return OperationFailed(f"{sentence} Its last log lines: {text}" if text else sentence)

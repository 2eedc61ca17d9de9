"""Waits until a service is ready to be used, not merely started."""

from attrs import define, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from dockerbroker.engines.interfaces import IEngine, IExecutor
from dockerbroker.errors import EngineError, ExecutableOverrun, OperationFailed
from dockerbroker.model.containers import Container, HealthCheck
from dockerbroker.model.executables import MARKER, printable
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


@frozen(kw_only=True)
class Service:
    """The service that is waited for: its instance, where it runs, and what must not appear in a message."""

    engine: IEngine
    executor: IExecutor
    instance: ServiceInstance
    hidden: frozenset[str]

    @property
    def container_id(self) -> str:
        """The container's id."""
        assert self.instance.container_id is not None
        return self.instance.container_id

    async def health_check(self) -> HealthCheck | None:
        """Return the test of the image's HEALTHCHECK, if it has one."""
        reference = self.instance.definition.image
        if not self.instance.owns_container:
            reference = (await self.require_running()).image
        return (await self.engine.image(reference)).health_check

    async def require_running(self) -> Container:
        """Return the container; raises `OperationFailed` when it is gone or has ended."""
        container = await self.engine.inspect(self.container_id)
        if container is None:
            raise OperationFailed("The container of the service instance was removed by somebody else.")
        if not container.running:
            raise await self.failure(f"ended with exit status {container.exit_code}")
        return container

    async def failure(self, what: str) -> OperationFailed:
        """Return the failure, with the container's last log lines."""
        definition = self.instance.definition
        host = self.instance.host.service_host
        sentence = f"The container of {definition.name} on {host} {what}."
        try:
            lines = await self.engine.logs(self.container_id, _LOG_LINES)
        except EngineError:
            return OperationFailed(sentence)
        # Hidden before it is cut: the half of a secret would not be found.
        text = printable(redact(lines.strip(), self.hidden))[-_LOG_LENGTH:]
        return OperationFailed(f"{sentence} Its last log lines: {text}" if text else sentence)


@define(eq=False)
class Readiness:
    """Judges whether a container's service is ready."""

    reactor: IReactorTime

    async def wait(self, service: Service, within: float) -> None:
        """Return when the service is ready.

        Ready means that the test of the image's HEALTHCHECK passes or, without one, that a connection to
        every published TCP port stays open or yields data. Raises `OperationFailed`, with the container's
        last log lines, when that takes more than `within` seconds or the container ends.
        """
        deadline = self.reactor.seconds() + within
        check = await service.health_check()
        looks = 0
        while True:
            remaining = deadline - self.reactor.seconds()
            if remaining > 0 and await self._is_ready(service, check, remaining):
                return
            await service.require_running()
            pause = PAUSES[looks] if looks < len(PAUSES) else LONGEST_PAUSE
            if self.reactor.seconds() + pause >= deadline:
                raise await service.failure(f"was not ready within {within:g} s")
            await deferLater(self.reactor, pause, lambda: None)
            looks += 1

    async def _is_ready(self, service: Service, check: HealthCheck | None, remaining: float) -> bool:
        if check is not None:
            return await self._passes(service, check, remaining)
        ports = [port for name, port in service.instance.ports.items() if name.endswith("/tcp")]
        host = service.instance.host.service_host
        looks = [Deferred.fromCoroutine(self._stays_open(host, port, remaining)) for port in ports]
        if not all([await look for look in looks]):
            return False
        if not ports:
            # Nothing to connect to: that it still runs after a moment is all that can be seen.
            await deferLater(self.reactor, STAYS_OPEN, lambda: None)
            container = await service.engine.inspect(service.container_id)
            return container is not None and container.running
        return True

    async def _passes(self, service: Service, check: HealthCheck, remaining: float) -> bool:
        engine = service.engine
        marker = f"ready-{service.container_id}"
        try:
            exec_id = await engine.create_exec(service.container_id, check.command, {MARKER: marker})
            await engine.start_exec(
                exec_id,
                Secret(b""),
                limit=_HEALTH_OUTPUT_LIMIT,
                deadline=max(min(check.timeout, remaining), 0.1),
            )
            state = await engine.inspect_exec(exec_id)
        except ExecutableOverrun:
            # As Docker does with a probe that takes too long; otherwise each look would leave one behind.
            await service.executor.end(service.container_id, marker)
            return False
        except EngineError:
            # Not healthy yet; a container that ended is told apart by the next look at it.
            return False
        return not state.running and state.exit_code == 0

    async def _stays_open(self, host: str, port: int, remaining: float) -> bool:
        verdict: Deferred[bool] = Deferred()
        endpoint = HostnameEndpoint(self.reactor, host, port, timeout=min(3.0, max(remaining, 0.1)))
        try:
            await endpoint.connect(Factory.forProtocol(lambda: _StaysOpen(self.reactor, verdict)))
        except ConnectingCancelledError:
            # The endpoint's own word for it is known to nobody else.
            raise CancelledError from None
        except (ConnectError, OSError):
            return False
        return await verdict

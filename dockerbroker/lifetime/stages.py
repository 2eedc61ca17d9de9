"""The parts of a program, started in one order and stopped in the opposite one."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from attrs import define, field, frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeadlinePassed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

#: How long a part may take to stop when it does not say otherwise, in seconds.
DEFAULT_PATIENCE = 2.0


def _nothing() -> None:
    """Do nothing."""


@frozen(kw_only=True)
class Stage:
    """One part of a program.

    `start` and `stop` return a Deferred or a coroutine when they take time. Stopping is given up after
    `patience` seconds. A stage whose start failed is not stopped.
    """

    name: str
    start: Callable[[], Any] = _nothing
    stop: Callable[[], Any] = _nothing
    patience: float = DEFAULT_PATIENCE


@define(eq=False, slots=False, kw_only=True)
class Lifetime(Service):
    """Starts its stages one after the other, and stops those that have started in the opposite order.

    Each start and each stop is awaited before the next. A stop that fails or takes too long is logged, and
    the others are stopped all the same. When a start fails, `failed` is told, and is to end the program.
    """

    _log: ClassVar[Logger] = Logger()

    clock: IReactorTime
    stages: Sequence[Stage]
    failed: Callable[[Failure], None]
    _started: list[Stage] = field(factory=list, init=False)
    _starting: Deferred[None] | None = field(default=None, init=False)

    def startService(self) -> None:
        """Start the stages; those that take time are started when the reactor runs."""
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._start_failed)

    def stopService(self) -> Deferred[None]:
        """Stop what has started; the Deferred fires when the last stage has stopped."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        for stage in self.stages:
            await maybeDeferred(stage.start)
            self._started.append(stage)

    def _start_failed(self, failure: Failure) -> None:
        if self.running:
            self.failed(failure)

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await self._starting
        while self._started:
            await self._stop_stage(self._started.pop())

    async def _stop_stage(self, stage: Stage) -> None:
        try:
            await maybeDeferred(stage.stop).addTimeout(stage.patience, self.clock)
        except DeadlinePassed:
            self._log.error(
                "Stopping {stage} took longer than {patience:g} s; it is left as it is",
                stage=stage.name,
                patience=stage.patience,
            )
        except Exception:  # noqa: BLE001 (the other stages are stopped all the same)
            self._log.failure("Stopping {stage} failed", stage=stage.name)

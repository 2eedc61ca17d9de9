"""What the agent knows of its own Docker, which is never waited for by a ping."""

from collections.abc import Callable
from typing import ClassVar, Final

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from dockerbroker.agent.repeating import Repeating
from dockerbroker.engines.interfaces import IProbe
from dockerbroker.errors import EngineError
from dockerbroker.model.members import printable
from dockerbroker.model.pings import LONGEST_TROUBLE
from dockerbroker.model.vitals import Vitals

#: The first ping waits no longer for the first look, in seconds.
FIRST_PATIENCE: Final = 1.0
#: The shortest and the longest pause between two looks, in seconds.
LEAST_PAUSE: Final = 1.0
MOST_PAUSE: Final = 15.0

_NOT_YET: Final = "Docker has not answered since the agent was started."
_DEFECT: Final = "The agent cannot look at Docker; its log tells why."


@define(eq=False, kw_only=True)
class Observer:
    """Looks at the host's Docker once in an interval, and knows how it was at last.

    When Docker does not answer, that is the trouble, and the figures stay what they were. `interval` returns
    the seconds between pings; `changed` is told when trouble comes or goes, and when Docker may have been
    restarted.
    """

    _log: ClassVar[Logger] = Logger()

    probe: IProbe
    interval: Callable[[], float]
    changed: Callable[[], None]
    clock: IReactorTime
    _vitals: Vitals = field(factory=lambda: Vitals(trouble=_NOT_YET), init=False)
    _looks: Repeating = field(init=False)
    _has_looked: Deferred[None] | None = field(default=None, init=False)
    _defects: set[str] = field(factory=set, init=False)

    @_looks.default
    def _repeated(self) -> Repeating:
        return Repeating(name="The looks at Docker", turn=self._turn, clock=self.clock)

    def vitals(self) -> Vitals:
        """Return how the host was at the last look."""
        return self._vitals

    async def start(self) -> None:
        """Begin to look; returns after the first look, or soon when that takes its time."""
        looked = self._has_looked = Deferred()
        self._looks.start()
        timer = self.clock.callLater(FIRST_PATIENCE, self._go_on)
        await looked
        if timer.active():
            timer.cancel()

    async def stop(self) -> None:
        """Look no more."""
        await self._looks.stop()
        await self.probe.close()

    async def _turn(self) -> None:
        await self._look()
        self._go_on()
        await deferLater(self.clock, min(max(self.interval(), LEAST_PAUSE), MOST_PAUSE))

    async def _look(self) -> None:
        try:
            self._note(await self.probe.look())
        except EngineError as error:
            self._note(evolve(self._vitals, trouble=printable(error.description)[:LONGEST_TROUBLE]))
        except Exception as error:
            if self._looks.is_stopped:
                raise
            if repr(error) not in self._defects:
                self._defects.add(repr(error))
                self._log.failure("Looking at Docker failed unexpectedly")
            self._note(evolve(self._vitals, trouble=_DEFECT))

    def _note(self, vitals: Vitals) -> None:
        before, self._vitals = self._vitals, vitals
        if vitals.trouble and before.trouble in ("", _NOT_YET):
            self._log.warn("Docker is not well: {trouble}", trouble=vitals.trouble)
        elif not vitals.trouble and before.trouble not in ("", _NOT_YET):
            self._log.info("Docker is well again")
        is_restarted = vitals.engine_session != before.engine_session
        if bool(vitals.trouble) != bool(before.trouble) or is_restarted:
            self.changed()

    def _go_on(self) -> None:
        waiting, self._has_looked = self._has_looked, None
        if waiting is not None:
            waiting.callback(None)

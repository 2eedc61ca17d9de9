"""Looks each second whose records the database holds, open to this broker, and who is let in.

Nobody has moved them, and the broker has the keys to the secrets in them.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, ClassVar, Final

from attrs import define, evolve, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from dockerbroker.broker.turns import Turns
from dockerbroker.errors import BrokerError
from dockerbroker.persisters.interfaces import DatabaseState, IPersister

#: Seconds between two looks: a password that is removed is refused within a second, by every broker.
PERIOD: Final = 0.75
#: What users are told.
MOVED: Final = (
    "The broker's records have moved to another database, or are on their way; "
    "the operator must let this broker use it."
)
STRANGE: Final = (
    "The broker's database is not the one with which the broker was started; the operator must look at it."
)
LOCKED: Final = (
    "The broker has not the keys to the secrets in its database; its log tells the operator what to do."
)


def _nobody(refusal: str | None) -> None:
    del refusal


async def _nothing() -> None:
    pass


@define(eq=False)
class Watch:
    """Remembers whose database it has seen first; no records of another one, or of a former place, are used.

    Neither are records used whose secrets need a key that this broker lacks.

    `tell` is told a sentence for users when every request is to be refused, and None when that is over. A
    database that does not answer tells nothing: who asks it hears that. `revise` is called when the
    credentials have changed, again and again until it succeeds.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    clock: IReactorTime
    tell: Callable[[str | None], None] = _nobody
    revise: Callable[[], Coroutine[Any, Any, None]] = _nothing
    _cluster_id: str | None = field(default=None, init=False)
    _known: DatabaseState | None = field(default=None, init=False)
    _credentials: int = field(default=0, init=False)
    _turns: Turns = field(init=False)

    @_turns.default
    def _every_period(self) -> Turns:
        return Turns(self._pass, PERIOD, "looking whose database it is", self.clock, self._log)

    def start(self) -> None:
        """Begin; the first look comes after a period, since whoever opens the database looks once."""
        self._turns.start()

    def stop(self) -> None:
        """End."""
        self._turns.stop()

    async def look(self) -> None:
        """Look once; raises `Unavailable` when the database does not answer."""
        found = await self.persister.state()
        if self._cluster_id is None:
            self._cluster_id = found.cluster_id
        changed = evolve(found, credentials=0)
        if changed != self._known:
            self._change(changed)
        if found.credentials != self._credentials and found.cluster_id == self._cluster_id:
            await self.revise()
            self._credentials = found.credentials

    async def _pass(self) -> None:
        # Whoever needs the database says that it does not answer.
        with suppress(BrokerError):
            await self.look()

    def _change(self, found: DatabaseState) -> None:
        before, self._known = self._known, found
        if found.cluster_id is None or found.cluster_id != self._cluster_id:
            self._log.error(
                "Not ready: the database is not the one with which this broker was started: that was "
                "{old}, and this {new}. Every request is refused until it is back. Restore its backup; or "
                "restart all brokers, and then let dockerbroker adopt --cluster {old} make the records again",
                old=self._cluster_id,
                new=f"is {found.cluster_id}" if found.cluster_id else "holds no records",
            )
            self.tell(STRANGE)
        elif found.obstacle is not None:
            self._log.error(
                "Not ready: the database {why}. Every request is refused until this broker is started with "
                "the new one, or the move is taken back",
                why=found.obstacle,
            )
            self.tell(MOVED)
        elif found.locked is not None:
            self._log.error(
                "Not ready: the database {why}. Every request is refused until that is done",
                why=found.locked,
            )
            self.tell(LOCKED)
        elif before is not None:
            self._log.info("Ready: the database is this broker's again")
            self.tell(None)

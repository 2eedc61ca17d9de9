"""One broker, and what the agent has told the log of it."""

from typing import ClassVar, Final

from attrs import define, field, frozen
from twisted.logger import Logger

from dockerbroker.agent.answers import CONFLICT, ProblemAnswer, reason_of
from dockerbroker.agent.requests import Requests
from dockerbroker.agent.telling import Teller
from dockerbroker.agent.uploading import Uploader

#: So many different reasons are told to the log before a broker is back.
_MOST_REASONS: Final = 5
#: So many pings that others have overtaken are made anew at once.
_MOST_OVERTAKEN: Final = 3


@frozen(kw_only=True)
class _Registration:
    """What is known of the broker: nothing yet, that it knows the host, or why it does not."""

    is_registered: bool = False
    failures: int = 0
    told: frozenset[str] = frozenset()


@define(eq=False, kw_only=True)
class Broker:
    """Tells one broker of the Docker host, and the log of every change of state."""

    _log: ClassVar[Logger] = Logger()

    requests: Requests
    teller: Teller
    uploader: Uploader
    _state: _Registration = field(factory=_Registration, init=False)

    @property
    def name(self) -> str:
        """What the broker is called in the log."""
        return self.requests.server.name

    async def ping(self, limit: float) -> float:
        """Ping once, within so many seconds, and return the interval of which the broker knows now.

        Raises why the host is not registered.
        """
        clock = self.requests.clock
        end = clock.seconds() + limit
        for turn in range(_MOST_OVERTAKEN):
            told = self.teller.next_ping()
            try:
                remaining = max(0.0, end - clock.seconds())
                answer = await self.requests.ask("POST", self.requests.server.url, told.body, remaining)
            except ProblemAnswer as error:
                # Pings to several brokers on one database overtake each other; only the last one counts.
                is_overtaken = error.status == CONFLICT and not self.teller.is_last(told)
                if not is_overtaken or turn == _MOST_OVERTAKEN - 1:
                    raise
            else:
                self.teller.heed(self.name, answer)
                return told.interval
        raise AssertionError("the last turn returns or raises")

    def note_success(self) -> None:
        """Tell the log when the host is registered at last, or again; the certificate follows."""
        if not self._state.is_registered:
            self._log.info("Registered with the broker {broker}", broker=self.name)
        self._state = _Registration(is_registered=True)
        self.uploader.registered()

    def note_failure(self, error: Exception) -> None:
        """Tell the log when the broker is lost, or when it stays away for a reason not yet told."""
        state, is_plain = self._state, self.requests.server.tls is None
        reason = reason_of(error, is_plain=is_plain and not state.is_registered) or self._unexpected(error)
        self.teller.forget(self.name)
        self.uploader.lost()
        if state.is_registered:
            self._log.warn("Lost the broker {broker}: {reason}", broker=self.name, reason=reason)
        elif reason not in state.told and len(state.told) < _MOST_REASONS:
            self._log.warn("No way to register with {broker}: {reason}", broker=self.name, reason=reason)
        told = state.told if len(state.told) == _MOST_REASONS else state.told | {reason}
        self._state = _Registration(failures=state.failures + 1, told=told)

    async def stop(self) -> None:
        """Give up what is sent beside the pings."""
        await self.uploader.stop()

    def _unexpected(self, error: Exception) -> str:
        reason = f"{type(error).__name__}: {error}"
        if reason not in self._state.told:
            self._log.failure("The ping of {broker} failed unexpectedly", broker=self.name)
        return reason

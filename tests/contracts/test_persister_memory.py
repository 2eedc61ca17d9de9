"""The fake persister keeps the promises of `IPersister`, and fails as it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from tests.contracts import persister
from tests.contracts.persister_case import Call
from tests.memory_persister import MemoryPersister, Tables
from tests.persisters import values
from tests.pinging import pings


@define(eq=False)
class MemoryFixture:
    """Memory persisters that share their tables."""

    clock: Clock = field(factory=Clock)
    _tables: Tables = field(factory=Tables)

    def persister(self) -> MemoryPersister:
        """Return another persister on the same tables."""
        return MemoryPersister(self.clock.seconds, self._tables)

    def restart(self) -> MemoryPersister:
        """Return another persister: memory does not forget by itself."""
        return self.persister()

    def wait(self, deferred: Deferred[Any]) -> None:
        """Do nothing: the calls are made at once."""

    def race(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls one after the other, since there are no threads."""
        outcomes: list[Any] = []
        for call in calls:
            Deferred.fromCoroutine(call()).addErrback(lambda failure: failure.value).addCallback(
                outcomes.append
            )
        return outcomes


globals().update(persister.cases_for(__name__, "Memory", lambda _: MemoryFixture()))


class FaultsTests(SynchronousTestCase):
    """The failures that a test can order."""

    def setUp(self) -> None:
        """Make a persister."""
        self.persister = MemoryPersister(Clock().seconds)

    def done(self, call: Any) -> Any:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def lost(self, call: Any) -> None:
        """Check that the call raises `Unavailable`."""
        self.failureResultOf(Deferred.fromCoroutine(call), Unavailable)

    def test_before(self) -> None:
        """The next call of the method fails and has done nothing; the one after it works."""
        self.persister.fail_next("put_image", Unavailable("Down."))
        self.assertEqual(self.done(self.persister.images()), [])
        self.lost(self.persister.put_image(values.REDIS))
        self.assertEqual(self.done(self.persister.images()), [])
        self.assertIs(self.done(self.persister.put_image(values.REDIS)), True)

    def test_after(self) -> None:
        """A call whose reply is lost fails and has written."""
        self.persister.fail_next("put_image", Unavailable("Down."), written=True)
        self.lost(self.persister.put_image(values.REDIS))
        self.assertEqual(self.done(self.persister.images()), [values.REDIS])

    def test_in_turn(self) -> None:
        """Several failures of one method come in the order in which they were told."""
        self.persister.fail_next("put_image", Unavailable("Down."), written=True)
        self.persister.fail_next("put_image", Unavailable("Down."))
        self.lost(self.persister.put_image(values.REDIS))
        self.lost(self.persister.put_image(values.STATIC))
        self.assertEqual(self.done(self.persister.images()), [values.REDIS])

    def test_calls(self) -> None:
        """The names of the methods that were called are known."""
        self.done(self.persister.images())
        self.done(self.persister.hosts())
        self.assertEqual(self.persister.calls, ["images", "hosts"])

    def test_forget_pings(self) -> None:
        """Pings can be made infinitely old."""
        self.done(self.persister.record_pings(pings([values.host()])))
        self.persister.forget_pings()
        [report] = self.done(self.persister.hosts())
        self.assertFalse(report.is_alive or report.is_heard)

    def test_another(self) -> None:
        """Another persister works on the same records, with failures of its own."""
        other = self.persister.another()
        other.fail_next("images", Unavailable("Down."))
        self.done(self.persister.put_image(values.REDIS))
        self.assertEqual(self.done(self.persister.images()), [values.REDIS])
        self.lost(other.images())
        self.assertEqual(self.done(other.images()), [values.REDIS])

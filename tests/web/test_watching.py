"""A broker whose database has moved, or is another one, refuses everything until it is its own again."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from dockerbroker.broker.watching import LOCKED, MOVED, PERIOD, STRANGE
from dockerbroker.errors import Unavailable
from dockerbroker.persisters.archive import Closed
from dockerbroker.persisters.sealing import PLAIN, Sealing
from tests.memory_archive import MemoryArchive
from tests.stack import Stack, instance_path, query
from tests.vaults import key_source, sealing_vault


class WatchTests(SynchronousTestCase):
    """A broker with an instance, which looks after its database."""

    def setUp(self) -> None:
        """Start the broker, and its watch as the program does."""
        self.stack = Stack()
        self.stack.provision("i-1")
        self.events: list[LogEvent] = []

        @provider(ILogObserver)
        def remember(event: LogEvent) -> None:
            if event.get("log_namespace", "").endswith("watching.Watch") and "log_failure" not in event:
                self.events.append(event)

        globalLogPublisher.addObserver(remember)
        self.addCleanup(globalLogPublisher.removeObserver, remember)
        Deferred.fromCoroutine(self.stack.watch.look())
        self.stack.watch.start()
        self.addCleanup(self.stack.watch.stop)

    def close(self, closed: Closed) -> None:
        """Close the database, or open it again."""
        archive = MemoryArchive.of(self.stack.persister)
        self.successResultOf(Deferred.fromCoroutine(archive.close(closed, "there")))

    def everything(self) -> set[int]:
        """Return the statuses of requests to all three APIs."""
        self.stack.advance(PERIOD)
        requests = [
            ("GET", "/v2/catalog"),
            ("GET", instance_path("i-1")),
            ("GET", f"{instance_path('i-1')}/last_operation"),
            ("DELETE", instance_path("i-2") + query()),
            ("POST", "/ping"),
            ("GET", "/image"),
        ]
        return {self.stack.request(*one).status for one in requests}

    def told(self) -> list[str]:
        """Return what operators are told."""
        return [formatEvent(event) for event in self.events]

    def assert_refused(self, sentence: str) -> None:
        """Every request is refused with that sentence, and the broker is up and not ready."""
        self.assertEqual(self.everything(), {503})
        self.assertEqual(self.stack.request("GET", instance_path("i-1")).description, sentence)
        ready = self.stack.request("GET", "/readyz", auth=None)
        self.assertEqual((ready.status, ready.json), (503, {"status": "not ready"}))
        self.assertEqual(self.stack.request("GET", "/healthz", auth=None).status, 200)

    def assert_well(self) -> None:
        """Requests are answered, and the broker is ready."""
        self.assertNotIn(503, self.everything())
        self.assertEqual(self.stack.request("GET", "/readyz", auth=None).status, 200)

    def test_well(self) -> None:
        """Nothing is refused, and nothing told, as long as the database is what it was."""
        self.stack.advance(10 * PERIOD)
        self.assert_well()
        self.assertEqual(self.told(), [])

    def test_moved(self) -> None:
        """From a database whose records have moved nothing is read, until the move is taken back."""
        for closed in (Closed.MOVING, Closed.MOVED, Closed.FILLING):
            self.close(closed)
            self.assert_refused(MOVED)
        self.close(Closed.NO)
        self.assert_well()
        first, *_, last = self.told()
        self.assertIn("is being moved to there", first)
        self.assertIn("Ready", last)

    def test_another(self) -> None:
        """With the records of another deployment, or none, it is not ready; the log says once what to do."""
        tables = self.stack.persister.tables
        born = tables.cluster_id
        for found in ("7" * 32, ""):
            tables.cluster_id = found
            self.events.clear()
            self.assert_refused(STRANGE)
            self.stack.advance(10 * PERIOD)
            (told,) = self.told()
            self.assertIn(f"adopt --cluster {born}", told)
        tables.cluster_id = born
        self.assert_well()

    def test_locked(self) -> None:
        """A broker that lacks the key with which others seal refuses everything until it has that key."""
        persister = self.stack.persister
        canaries = {PLAIN: "", "one": sealing_vault("one").sealing.canaries["one"]}
        persister.tables.sealing = Sealing(primary="one", canaries=canaries).text()
        self.assert_refused(LOCKED)
        self.stack.advance(10 * PERIOD)
        (told,) = self.told()
        self.assertIn("needs the key one", told)
        persister.vault.source = key_source("one")
        self.assert_well()

    def test_keys_taken_away(self) -> None:
        """Where nothing is said of keys any more everything is refused until it is said again."""
        persister = self.stack.persister
        persister.vault.source = key_source("one")
        canaries = {PLAIN: "", "one": sealing_vault("one").sealing.canaries["one"]}
        told = persister.tables.sealing = Sealing(primary="one", canaries=canaries).text()
        self.assert_well()
        persister.tables.sealing = None
        self.assert_refused(LOCKED)
        self.stack.advance(10 * PERIOD)
        (why,) = self.told()
        self.assertIn("does not say any more that its secrets are encrypted; put back a backup", why)
        persister.tables.sealing = told
        self.assert_well()

    def test_nothing_taken_over(self) -> None:
        """Operations in another deployment's database are left alone, and taken over in its own."""
        tables = self.stack.persister.tables
        born, tables.cluster_id = tables.cluster_id, "7" * 32
        self.stack.advance(PERIOD)
        self.stack.persister.calls.clear()
        self.stack.advance(60)
        self.assertNotIn("claim", self.stack.persister.calls)
        tables.cluster_id = born
        self.stack.advance(60)
        self.assertIn("claim", self.stack.persister.calls)

    def test_away(self) -> None:
        """A database that does not answer is not taken for another one, nor does a defect end the looks."""
        self.stack.persister.fail_next("state", Unavailable("It is away."))
        self.stack.persister.fail_next("state", ZeroDivisionError())
        self.stack.advance(2 * PERIOD)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assert_well()
        self.close(Closed.MOVED)
        self.assert_refused(MOVED)

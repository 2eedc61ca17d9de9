"""Why the Docker of a host cannot be used is on record, and in the log as often as that changes."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.complaints import Complaints
from dockerbroker.model.world import HostSight, place_of
from tests.memory_persister import MemoryPersister
from tests.persisters import values
from tests.pinging import pings

SILENT, REFUSED = "It does not answer.", "It refuses the certificate."


class ComplaintsTests(SynchronousTestCase):
    """Brokers that look at one host."""

    def setUp(self) -> None:
        """Let two brokers know a host."""
        self.persister = MemoryPersister(seconds=Clock().seconds)
        Deferred.fromCoroutine(self.persister.record_pings(pings([values.host()])))
        self.one, self.other = Complaints(self.persister), Complaints(self.persister)

    def note(self, complaints: Complaints, complaint: str | None) -> list[str]:
        """Let a broker see that of the host; returns what it tells the log."""
        host = values.host()
        world = {place_of(host.key): HostSight(host=host, complaint=complaint)}
        with capturedLogs() as events:
            self.successResultOf(Deferred.fromCoroutine(complaints.note_sights(world)))
        return [formatEvent(event) or "" for event in events]

    def recorded(self) -> str:
        """Return what is on record."""
        [report] = self.successResultOf(Deferred.fromCoroutine(self.persister.hosts()))
        return report.complaint

    def test_changes(self) -> None:
        """Each change is recorded and told once."""
        for complaint in (SILENT, REFUSED):
            [line] = self.note(self.one, complaint)
            self.assertIn(complaint, line)
            self.assertEqual(self.note(self.one, complaint), [])
            self.assertEqual(self.recorded(), complaint)
        [line] = self.note(self.one, None)
        self.assertIn("can be used again", line)
        self.assertEqual((self.note(self.one, None), self.recorded()), ([], ""))

    def test_known(self) -> None:
        """What another broker has recorded is told no more by one that finds the same."""
        self.note(self.one, SILENT)
        self.assertEqual(self.note(self.other, SILENT), [])

    def test_differ(self) -> None:
        """Of brokers that differ each tells once what it finds, and the last one's word is on record."""
        self.assertEqual(len(self.note(self.one, SILENT)), 1)
        self.assertEqual(len(self.note(self.other, None)), 1)
        for _ in range(5):
            self.assertEqual(self.note(self.one, SILENT), [])
            self.assertEqual(self.recorded(), SILENT)
            self.assertEqual(self.note(self.other, None), [])
            self.assertEqual(self.recorded(), "")

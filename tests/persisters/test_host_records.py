"""What is told of a ping, by the row that its host had before."""

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.hosts import SETTINGS
from dockerbroker.persisters import host_records
from tests.persisters import values
from tests.pinging import ping


class ToldTests(SynchronousTestCase):
    """Rows as other versions, or nobody, would have written them."""

    def test_unreadable(self) -> None:
        """Settings that cannot be read any more are replaced, and each counts as changed."""
        told = ping(values.host())
        for document in ("", "{", "null"):
            row = {**host_records.new_row(told), "document": document}
            [entry] = host_records.told(row, told)
            self.assertEqual(entry.detail, ", ".join(SETTINGS.values()), document)

    def test_other_version(self) -> None:
        """A document that lacks what has its default, or has more, is no change."""
        told = ping(values.host())
        row = {**host_records.new_row(told), "document": '{"keep_alive":7.0,"unknown":1}'}
        self.assertEqual(host_records.told(row, told), [])

"""Records of the audit log, and their chain."""

from hashlib import sha256

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.audit import (
    GENESIS,
    LONGEST_TEXT,
    AuditEntry,
    AuditHead,
    AuditRecord,
    Origin,
    breaks,
    chained,
    content_digest,
    end_of,
    forgettable,
)

_WHO = Origin(role="platform", name="cf", user='x"\n\x1b[31m' + "y" * 5000, peer="10.0.0.1")


def chain(count: int) -> list[AuditRecord]:
    """Return a log of so many records, one written in each second."""
    records, head = list[AuditRecord](), AuditHead()
    for number in range(1, count + 1):
        entry = AuditEntry(action="provision", subject=f"i{number}", origin=_WHO)
        records.append(head.append(entry.content(float(number))))
        head = end_of(records[-1])
    return records


class ChainTests(SynchronousTestCase):
    """What is seen of a log that somebody has touched."""

    def test_whole(self) -> None:
        """Nothing is told of a log that is as it was written, from any of its records on."""
        records = chain(4)
        self.assertEqual(list(breaks(records, AuditHead())), [])
        self.assertEqual(list(breaks(records[2:])), [])
        self.assertEqual(list(breaks([])), [])

    def test_changed(self) -> None:
        """A record whose content is another one is told."""
        records = chain(3)
        records[1] = evolve(records[1], content=records[1].content.replace("i2", "i9"))
        self.assertEqual(list(breaks(records)), ["The record 2 has been changed."])

    def test_changed_with_its_hash(self) -> None:
        """Whoever writes the hash of a changed record anew breaks the next one."""
        records = chain(3)
        content = records[1].content.replace("i2", "i9")
        own = chained(records[1].previous, content_digest(content))
        records[1] = evolve(records[1], content=content, hash=own)
        self.assertEqual(list(breaks(records)), ["The record 3 does not follow on the one before it."])

    def test_removed(self) -> None:
        """A record that is gone is told, also the first one, or when the others have other numbers."""
        records = chain(4)
        self.assertEqual(list(breaks([records[0], *records[2:]])), ["After the record 1 comes the record 3."])
        self.assertEqual(list(breaks(records[1:], AuditHead())), ["After the record 0 comes the record 2."])
        renumbered = [records[0], *(evolve(one, number=one.number - 1) for one in records[2:])]
        self.assertEqual(list(breaks(renumbered)), ["The record 2 does not follow on the one before it."])

    def test_hashes(self) -> None:
        """The hash is the SHA-256 of the one before and of that of the content."""
        [record] = chain(1)
        digest = sha256(record.content.encode()).digest()
        self.assertEqual(record.previous, GENESIS)
        self.assertEqual(record.hash, sha256(bytes(32) + digest).hexdigest())

    def test_no_hash(self) -> None:
        """What is no hash at all is no defect of the reader."""
        [record] = chain(1)
        for text in ("", "x", "0" * 63, "é" * 64):
            self.assertEqual(
                list(breaks([evolve(record, previous=text)])), ["The record 1 has been changed."]
            )


class LineTests(SynchronousTestCase):
    """Records as lines."""

    def test_round_trip(self) -> None:
        """A line is one line, in ASCII, of bounded length, and holds all that the chain needs."""
        records = chain(2)
        for record in records:
            line = record.line
            self.assertTrue(line.isascii() and line.isprintable())
            self.assertLess(len(line), 4096)
            self.assertEqual(AuditRecord.of_line(line.encode()), record)

    def test_forged(self) -> None:
        """What a client has sent stays inside its member, bounded and printable."""
        members = chain(1)[0].members
        self.assertEqual(members["user"], 'x"??[31m' + "y" * (LONGEST_TEXT - 8))
        self.assertEqual(members["subject"], "i1")

    def test_no_record(self) -> None:
        """A line that is no record is refused with a sentence."""
        for line in (b"", b"[]", b"{}", b'{"number":true,"record":{}}', b'{"number":1,"record":[]}', b"\xff"):
            error = self.assertRaises(InvalidRequest, AuditRecord.of_line, line)
            self.assertTrue(error.description.endswith("."))


class ForgettingTests(SynchronousTestCase):
    """Which records are old enough to go."""

    def test_forgettable(self) -> None:
        """Those before the time go, up to the first that is not; the last one of all stays."""
        records = chain(5)
        self.assertIsNone(forgettable([], 9))
        self.assertIsNone(forgettable(records, 1.0))
        self.assertEqual(forgettable(records, 3.0), 2)
        self.assertEqual(forgettable(records, 99.0), 4)
        self.assertEqual(forgettable([records[3], *records], 4.0), None)

"""What every persister promises of the certificates of Docker hosts."""

from __future__ import annotations

from functools import partial

from dockerbroker.errors import NotFound
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters.values import LOOK_ALIKES, certificate


class CertificatesContract(PersisterTestCase):
    """Certificates are whole, or not there."""

    def test_put(self) -> None:
        """A certificate is there, with its key, for all brokers; the next one of a host replaces it."""
        first, second = certificate("h", "one"), certificate("h", "two")
        self.assertIs(self.done(self.persister.put_certificate(first)), True)
        self.assertEqual(self.done(self.fixture.persister().certificate("h")), first)
        self.assertIs(self.done(self.persister.put_certificate(second)), False)
        self.assertIs(self.done(self.persister.put_certificate(second)), False)
        self.assertEqual(self.done(self.fixture.restart().certificates()), [second])

    def test_unknown(self) -> None:
        """A host without a certificate has none."""
        self.done(self.persister.put_certificate(certificate("h")))
        self.assertIsNone(self.done(self.persister.certificate("H")))
        self.refused(NotFound, self.persister.delete_certificate("H"))
        self.assertEqual(len(self.done(self.persister.certificates())), 1)

    def test_names(self) -> None:
        """Hosts are told apart by the bytes of their names, by which they are in order."""
        stored = [certificate(name, name) for name in LOOK_ALIKES]
        for one in stored:
            self.done(self.persister.put_certificate(one))
        for one in stored:
            self.assertEqual(self.done(self.persister.certificate(one.host)), one)
        in_order = sorted(stored, key=lambda one: one.host.encode())
        self.assertEqual(self.done(self.persister.certificates()), in_order)

    def test_large(self) -> None:
        """A certificate may be as long as a body."""
        large = certificate("h", "x" * 250_000)
        self.done(self.persister.put_certificate(large))
        self.assertEqual(self.done(self.persister.certificate("h")), large)

    def test_delete(self) -> None:
        """What is removed is gone, and can be added again."""
        self.done(self.persister.put_certificate(certificate("h", "old")))
        self.done(self.persister.put_certificate(certificate("i")))
        self.done(self.persister.delete_certificate("h"))
        self.assertIsNone(self.done(self.persister.certificate("h")))
        self.refused(NotFound, self.persister.delete_certificate("h"))
        self.assertEqual([one.host for one in self.done(self.persister.certificates())], ["i"])
        self.assertIs(self.done(self.persister.put_certificate(certificate("h", "new"))), True)

    def test_race(self) -> None:
        """Of several that are added for one host at once one is new, and one of them is there as a whole."""
        stored = [certificate("h", str(number)) for number in range(4)]
        outcomes = self.fixture.race([partial(self.persister.put_certificate, one) for one in stored])
        self.assertEqual(sorted(outcomes), [False, False, False, True])
        self.assertIn(self.done(self.persister.certificate("h")), stored)

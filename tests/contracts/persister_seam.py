"""What every persister promises as a whole."""

from __future__ import annotations

from attrs import evolve
from zope.interface.verify import verifyObject

from dockerbroker.persisters.interfaces import IPersister
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.pinging import pings


class SeamContract(PersisterTestCase):
    """What holds for the persister as a whole."""

    def test_interface(self) -> None:
        """It provides the interface, with the same names and arguments."""
        self.assertTrue(verifyObject(IPersister, self.persister))

    def test_cluster_id(self) -> None:
        """The database has one random identifier of 32 hexadecimal digits, the same for all brokers."""
        born = self.done(self.persister.cluster_id())
        self.assertRegex(born, r"\A[0-9a-f]{32}\Z")
        self.assertEqual(born, self.done(self.fixture.persister().cluster_id()))
        self.assertEqual(born, self.done(self.fixture.restart().cluster_id()))

    def test_survives(self) -> None:
        """A persister that is opened later finds all that an earlier one wrote."""
        self.done(self.persister.seed_images([values.REDIS, values.STATIC]))
        self.done(self.persister.record_pings(pings([values.host(exec_arguments=("a", "b"))])))
        made = self.provisioned(values.instance("i1", 20001, definition=values.STATIC))
        kept = self.bound(values.binding())
        begun = self.begin(values.deprovision("o"))
        self.fixture.clock.advance(3)
        later = self.fixture.restart()
        self.assertEqual(self.done(later.images()), [values.STATIC, values.REDIS])
        self.assertEqual(
            [(h.host.exec_arguments, h.age) for h in self.done(later.hosts())], [(("a", "b"), 3)]
        )
        self.assertEqual(self.done(later.instance("i1")), evolve(made, operation_id="o"))
        self.assertEqual(self.done(later.bindings("i1")), [kept])
        self.assertEqual(self.done(later.operation("o")), begun)
        self.assertEqual(self.done(later.leased_ports(values.HERE)), {20001})

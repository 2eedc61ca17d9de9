"""The clock of the leases starts anew with the machine."""

from __future__ import annotations

import math

from attrs import evolve

from dockerbroker.model.instances import Change
from dockerbroker.persisters.sqlite import AFTER_BOOT, SqliteDatabase, boot_id, boot_time, sqlite_engine
from tests.persisters import values
from tests.persisters.test_sqlite import SqliteTestCase
from tests.pinging import pings


class BootTests(SqliteTestCase):
    """The leases' clock starts anew with the machine."""

    def setUp(self) -> None:
        """Hold a lease and a ping, late in the life of the machine."""
        super().setUp()
        self.fixture.clock.advance(1e6)
        self.database = SqliteDatabase(sqlite_engine(self.path, connections=1), self.fixture.clock.seconds)
        self.addCleanup(self.database.close)
        self.database.expire_other_boot("one boot")
        self.begun = self.done(
            self.persister.begin(values.provision("o1", values.instance()), owner="one", ttl=9, within=60)
        )
        over = self.done(
            self.persister.begin(values.provision("o2", values.instance("i2")), owner="one", ttl=9, within=60)
        )
        self.done(self.persister.commit(Change(operation=over.over(over.phase.SUCCEEDED, 1.0))))
        self.done(self.persister.record_pings(pings([values.host()])))
        self.done(self.persister.observe())

    def age(self) -> float:
        """Return the age of the one ping."""
        [report] = self.done(self.persister.hosts())
        return float(report.age)

    def claimed(self) -> list[str]:
        """Return what can be claimed."""
        return [operation.id for operation in self.done(self.persister.claim("two", ttl=9))]

    def test_other_boot(self) -> None:
        """After another boot all leases have lapsed and all pings are infinitely old."""
        self.another_boot()
        self.assertEqual(self.age(), math.inf)
        self.assertEqual(self.claimed(), ["o1"])
        self.done(self.persister.record_pings(pings([values.host()])))
        self.assertEqual(self.age(), 0)

    def test_silence(self) -> None:
        """After another boot it is not known of any host that it is silent: no broker was there."""
        self.another_boot(1e6 + 1)
        self.done(self.persister.observe())
        self.fixture.clock.advance(1.5)
        [report] = self.done(self.persister.hosts())
        self.assertEqual(report.silence, 1.5)

    def another_boot(self, time: float = 7) -> None:
        """Start the machine anew: its clock, too."""
        self.fixture.clock.advance(time - self.fixture.clock.seconds())
        self.database.expire_other_boot("another boot")

    def test_deadlines(self) -> None:
        """After another boot what is unfinished has a new deadline; what is over is as it was."""
        over = self.done(self.persister.operation("o2"))
        self.assertEqual(self.begun.deadline, 1e6 + 60)
        self.another_boot()
        [claimed] = self.done(self.persister.claim("two", ttl=9))
        self.assertEqual(claimed, evolve(self.begun, owner="two", epoch=2, deadline=7 + AFTER_BOOT))
        self.assertEqual(self.done(self.persister.operation("o2")), over)

    def test_deadlines_in_same_boot(self) -> None:
        """Within a boot, deadlines outlive the brokers."""
        self.database.expire_other_boot("one boot")
        self.assertEqual(self.done(self.persister.operation("o1")), self.begun)

    def test_same_boot(self) -> None:
        """Within a boot, leases and pings outlive the brokers."""
        self.database.expire_other_boot("one boot")
        self.assertEqual(self.age(), 0)
        self.assertEqual(self.claimed(), [])

    def test_once(self) -> None:
        """Only the first broker of a boot lets the leases lapse."""
        self.database.expire_other_boot("another boot")
        self.claimed()
        self.database.expire_other_boot("another boot")
        self.assertEqual(self.claimed(), [])

    def test_machine(self) -> None:
        """The machine has an identifier of its boot, the same each time, and a clock that goes on."""
        self.assertEqual(boot_id(), boot_id())
        self.assertGreater(len(boot_id()), 30)
        self.assertLessEqual(boot_time(), boot_time())

"""Several processes on one database."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import SqliteConfiguration
from dockerbroker.persisters.opening import check
from dockerbroker.persisters.presence import folder_beside
from dockerbroker.persisters.sqlite import boot_time
from tests.persisters import processes_case
from tests.persisters.carrier import LONG
from tests.persisters.files import open_here, temporary_folder
from tests.persisters.processes import Carrier
from tests.servers import DRIVERS

for _driver in ("sqlite", *DRIVERS):
    _name = f"{_driver.title()}ProcessesTests"
    _members = {"driver": _driver, "__module__": __name__}
    globals()[_name] = type(_name, (processes_case.ProcessesCase,), _members)


class KilledTests(SynchronousTestCase):
    """Brokers on a SQLite file that are killed while they carry something."""

    def setUp(self) -> None:
        """Name a file, and become a broker that knows of the others."""
        self.configuration = SqliteConfiguration(database=temporary_folder(self) / "broker.db")
        check(self.configuration)
        self.persister = open_here(self.configuration.database, boot_time, broker="heir")
        self.addCleanup(self.persister.database.close)

    def start(self, name: str) -> Carrier:
        """Return a process that carries an operation, when it does."""
        return Carrier.start(self, self.configuration, name, LONG)

    def claimed(self) -> list[str]:
        """Return what is claimed."""
        claim = Deferred.fromCoroutine(self.persister.claim("heir/1", ttl=1e6))
        return sorted(operation.id for operation in self.successResultOf(claim))

    def test_killed(self) -> None:
        """What a killed broker carried is taken over long before its lease lapses; nothing else is."""
        one, two = self.start("one"), self.start("two")
        self.assertEqual(self.claimed(), [])
        one.kill()
        self.assertEqual(self.claimed(), ["carried by one"])
        two.kill()
        self.assertEqual(self.claimed(), ["carried by two"])
        names = [path.name for path in folder_beside(self.configuration.database).iterdir()]
        self.assertEqual(names, ["heir.lock"])

    def test_stopped(self) -> None:
        """What a broker carries that is only stopped is not taken from it before its lease lapses."""
        one = self.start("one")
        one.stop()
        self.assertEqual(self.claimed(), [])
        one.kill()
        self.assertEqual(self.claimed(), ["carried by one"])

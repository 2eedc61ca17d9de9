"""What brokers promise that are processes of their own on one database, whatever its driver."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import PersisterConfiguration, SqliteConfiguration
from dockerbroker.model.instances import Change, Operation, Phase
from dockerbroker.persisters.opening import check
from tests.persisters.files import temporary_folder
from tests.persisters.processes import Carrier, contend, open_here
from tests.polling import comes_true
from tests.servers import server


class ProcessesCase(SynchronousTestCase):
    """Brokers that share a database of that driver."""

    driver: ClassVar[str]

    def configuration(self) -> PersisterConfiguration:
        """Return a database that nobody has opened yet."""
        if self.driver == "sqlite":
            return SqliteConfiguration(database=temporary_folder(self) / "broker.db")
        return server(self.driver).new_database(pool_size=2)

    def test_contend(self) -> None:
        """Six that start at once without a database all come up, in one deployment, silently.

        Each of thirty instances is won by one of them, and nobody meets another error. Each of 500 operations
        whose leases lapse is claimed by one, once.
        """
        reports = contend(self.configuration(), processes=6, instances=30, operations=500)
        clusters = [cluster for report in reports for cluster in report["clusters"]]
        self.assertEqual((len(clusters), len(set(clusters))), (6, 1))
        won = Counter(number for report in reports for number in report["won"])
        self.assertEqual(won, Counter(str(number) for number in range(30)))
        lost = sum((Counter(report["lost"]) for report in reports), Counter[str]())
        self.assertEqual(lost, {"AlreadyExists": 150})
        claimed = Counter((name, epoch) for report in reports for name, epoch in report["claimed"])
        # It has been begun once and claimed once.
        self.assertEqual(claimed, Counter((f"left {number}", 2) for number in range(500)))

    def test_stopped(self) -> None:
        """What is carried by one that is stopped is claimed by another; what it writes later is refused."""
        configuration = self.configuration()
        check(configuration)
        heir = open_here(configuration)
        self.addCleanup(lambda: self.successResultOf(Deferred.fromCoroutine(heir.close())))
        carrier = Carrier.start(self, configuration, "one", ttl=1)
        carrier.stop()
        claimed: list[Operation] = []

        def has_lapsed() -> bool:
            claimed[:] = self.successResultOf(Deferred.fromCoroutine(heir.claim("heir/1", ttl=1000)))
            return bool(claimed)

        self.assertTrue(comes_true(has_lapsed))
        [operation] = claimed
        self.assertEqual((operation.id, operation.epoch), ("carried by one", 2))
        self.assertEqual(carrier.finish(), "LostLease")
        failed = operation.over(Phase.FAILED, 2.0)
        self.successResultOf(Deferred.fromCoroutine(heir.commit(Change(operation=failed))))
        found = self.successResultOf(Deferred.fromCoroutine(heir.operation(operation.id)))
        self.assertEqual(found.phase, Phase.FAILED)

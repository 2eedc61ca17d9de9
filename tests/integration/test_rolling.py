"""Brokers that are restarted one after the other while they are used: nobody notices."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config import PersisterConfiguration, SqliteConfiguration
from tests.integration import keeper
from tests.integration.balancing import Load
from tests.real_engine import require_engine
from tests.running import RunningBroker
from tests.servers import server


class RollingTests(SynchronousTestCase):
    """While one broker after the other ends and comes back, every request is answered, and none with 5xx."""

    timeout = 300

    def test_sqlite(self) -> None:
        """Three brokers on a SQLite file are restarted twice."""
        self.assert_unnoticed(SqliteConfiguration(database=Path("broker.db")), brokers=3, rounds=2)

    def test_mysql(self) -> None:
        """Two brokers on MariaDB are restarted."""
        self.assert_unnoticed(server("mysql").new_database())

    def test_postgresql(self) -> None:
        """Two brokers on PostgreSQL are restarted."""
        self.assert_unnoticed(server("postgresql").new_database())

    def test_redis(self) -> None:
        """Two brokers on Redis are restarted."""
        self.assert_unnoticed(server("redis").new_database())

    def assert_unnoticed(
        self, persister: PersisterConfiguration, *, brokers: int = 2, rounds: int = 1
    ) -> None:
        """Assert that nobody notices restarts: no client even loses a connection during a request."""
        running = self.start(persister, brokers)
        load = Load([broker.port for broker in running])
        load.start(users=2, readers=4, strangers=4)
        for _ in range(rounds):
            for broker in running:
                broker.end_broker()
                broker.start_broker()
        load.end()
        self.assertEqual((load.tally.failures, load.tally.drops), ([], []), load.tally)
        self.assertGreater(load.tally.refused, 0, "no broker was away")
        self.assertGreater(load.tally.lives, 0, "no instance has lived")
        self.assertEqual(running[0].check_world(), "")

    def start(self, persister: PersisterConfiguration, brokers: int) -> list[RunningBroker]:
        """Start so many brokers, which never wait before they answer with 202."""
        engine = require_engine()
        keeper.make_image(engine)
        first = RunningBroker(
            [keeper.SERVICE],
            engine.unix_url,
            {"answerwithin": 0},
            agent_settings={"keepalive": 3600},
            persister=persister,
        )
        self.addCleanup(first.stop)
        running = [first.start()]
        for number in range(1, brokers):
            running.append(first.neighbour(f"broker-{number}"))
            self.addCleanup(running[-1].stop)
        return running

"""A test case with a running broker on a real Docker Engine."""

from __future__ import annotations

from typing import Any, ClassVar

import docker
from twisted.trial.unittest import TestCase

from tests.integration import leftovers
from tests.real_engine import RealEngine, require_engine
from tests.running import RunningBroker


class BrokerCase(TestCase):
    """Starts one broker and one agent for all tests of the class; each test leaves nothing behind.

    `catalog` is overridden to return the image definitions; `settings` are further broker properties.
    """

    timeout = 300
    settings: ClassVar[dict[str, Any]] = {}
    engine: ClassVar[RealEngine]
    broker: ClassVar[RunningBroker]

    @classmethod
    def catalog(cls) -> list[dict[str, Any]]:
        """Return the image definitions of the broker under test."""
        raise NotImplementedError

    @classmethod
    def setUpClass(cls) -> None:
        """Start the programs."""
        cls.engine = require_engine()
        cls.broker = RunningBroker(cls.catalog(), cls.engine.unix_url, settings=cls.settings).start()

    @classmethod
    def tearDownClass(cls) -> None:
        """End the programs."""
        cls.broker.stop()

    def setUp(self) -> None:
        """Note which volumes there are."""
        self.client: docker.APIClient = self.engine.client()
        self.addCleanup(self.client.close)
        self.volumes_before = leftovers.volumes(self.client)

    def assert_nothing_left(self) -> None:
        """Assert that no container, volume, port lease or record of the deployment is left."""
        database = self.broker.folder / "broker.db"
        self.assertEqual(leftovers.containers(self.client, database), [])
        self.assertEqual(leftovers.volumes(self.client) - self.volumes_before, set())
        self.assertEqual(leftovers.rows(database), leftovers.nothing())
        self.assertEqual(leftovers.unfinished(database), 0)

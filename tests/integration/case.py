"""A test case with a running broker on a real Docker Engine."""

from __future__ import annotations

import atexit
from typing import Any, ClassVar

import docker
from twisted.trial.unittest import SynchronousTestCase

from tests.integration import leftovers
from tests.real_engine import RealEngine, require_engine
from tests.running import RunningBroker

#: The broker of each case, started by its first test and ended with the process: trial has no setUpClass.
_brokers: dict[type[BrokerCase], RunningBroker] = {}


class BrokerCase(SynchronousTestCase):
    """Has one broker and one agent for all tests of the class; each test leaves nothing behind.

    `settings` are further properties of the broker, `agent_settings` of the agent's host.
    """

    settings: ClassVar[dict[str, Any]] = {}
    engine: RealEngine
    broker: RunningBroker

    def catalog(self) -> list[dict[str, Any]]:
        """Return the image definitions of the broker under test."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Do what must be done before the broker is started, such as making images."""

    def agent_settings(self) -> dict[str, Any]:
        """Return further properties of the host."""
        return {}

    def setUp(self) -> None:
        """Start the programs, unless they run, and note which volumes there are."""
        self.engine = require_engine()
        if type(self) not in _brokers:
            self.prepare()
            _brokers[type(self)] = self._started()
        self.broker = _brokers[type(self)]
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

    def _started(self) -> RunningBroker:
        broker = RunningBroker(
            self.catalog(),
            self.engine.unix_url,
            settings=self.settings,
            agent_settings=self.agent_settings(),
        )
        atexit.register(broker.stop)
        return broker.start()

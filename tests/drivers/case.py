"""What brokers as real programs do on database servers, whatever their driver is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final

import docker
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config import ServerConfiguration
from dockerbroker.model.containers import LABEL_INSTANCE
from dockerbroker.model.secrets import Secret
from tests.integration import keeper
from tests.integration.test_programs import ProgramCase
from tests.polling import poll
from tests.ports import free_port
from tests.real_engine import require_engine
from tests.running import Answer, RunningBroker, persister_section
from tests.servers import private_server, server

_IDS: Final = {"service_id": keeper.NAME, "plan_id": keeper.SMALL}
_SYNCHRONOUS: Final = f"service_id={keeper.NAME}&plan_id={keeper.SMALL}"
_QUERY: Final = f"{_SYNCHRONOUS}&accepts_incomplete=true"
#: How many equal requests each broker gets at once.
_CROWD: Final = 10


def instance_path(instance_id: str) -> str:
    """Return the path of an instance."""
    return f"/v2/service_instances/{instance_id}"


class TwoBrokers(SynchronousTestCase):
    """Two brokers on one database and one Docker Engine."""

    driver: ClassVar[str]
    timeout = 300

    def setUp(self) -> None:
        """Start the brokers, which never wait before they answer with 202."""
        engine = require_engine()
        keeper.make_image(engine)
        self.client: docker.APIClient = engine.client()
        self.addCleanup(self.client.close)
        self.first = RunningBroker(
            [keeper.SERVICE],
            engine.unix_url,
            {"answerwithin": 0},
            agent_settings={"keepalive": 3600},
            persister=server(self.driver).new_database(),
        )
        self.addCleanup(self.first.stop)
        self.first.start()
        self.second = self.first.neighbour("second")
        self.addCleanup(self.second.stop)

    def provision(self, broker: RunningBroker, instance_id: str) -> Answer:
        """Ask for an instance."""
        body = _IDS | {"organization_guid": "o", "space_guid": "s"}
        return broker.request("PUT", f"{instance_path(instance_id)}?accepts_incomplete=true", body)

    def wait(self, broker: RunningBroker, instance_id: str) -> None:
        """Poll until the last operation has succeeded, or the instance is gone."""

        def is_over() -> bool:
            polled = broker.request("GET", f"{instance_path(instance_id)}/last_operation")
            self.assertIn(polled.status, {200, 410}, polled)
            self.assertNotEqual(polled.document.get("state"), "failed", polled)
            return polled.status == 410 or polled.document["state"] == "succeeded"

        poll(is_over, lambda: self.first.log()[-5000:] + self.second.log()[-5000:])

    def deprovision(self, broker: RunningBroker, instance_id: str) -> None:
        """Remove an instance, and see that nothing of it is left."""
        gone = broker.request("DELETE", f"{instance_path(instance_id)}?{_QUERY}")
        self.assertIn(gone.status, {200, 202}, gone)
        self.wait(broker, instance_id)
        self.assertEqual(self.containers(instance_id), [])
        self.assertEqual(broker.check_world(), "")

    def containers(self, instance_id: str) -> list[str]:
        """Return the ids of the containers of an instance."""
        filters = {"label": f"{LABEL_INSTANCE}={instance_id}"}
        return [entry["Id"] for entry in self.client.containers(all=True, filters=filters)]

    def test_life(self) -> None:
        """What one broker has begun is known to the other: provision, bind, unbind and deprovision."""
        binding = f"{instance_path('i-1')}/service_bindings/b-1"
        self.assertEqual(self.provision(self.first, "i-1").status, 202)
        self.wait(self.second, "i-1")
        bound = self.second.request("PUT", binding, _IDS)
        self.assertEqual(bound.status, 201, bound)
        self.assertEqual(self.first.request("PUT", binding, _IDS).document, bound.document)
        self.assertEqual(self.first.request("DELETE", f"{binding}?{_SYNCHRONOUS}").status, 200)
        self.assertEqual(self.second.request("DELETE", f"{binding}?{_SYNCHRONOUS}").status, 410)
        self.deprovision(self.second, "i-1")

        # The same new id at both at once, again and again: one operation, one container.
        with ThreadPoolExecutor(2 * _CROWD) as pool:
            brokers = [self.first, self.second] * _CROWD
            answers = list(pool.map(lambda broker: self.provision(broker, "i-2"), brokers))
        self.assertLessEqual({answer.status for answer in answers}, {200, 202}, answers)
        operations = {answer.document["operation"] for answer in answers if answer.status == 202}
        self.assertEqual(len(operations), 1, answers)
        self.wait(self.first, "i-2")
        self.assertEqual(len(self.containers("i-2")), 1)
        self.assertEqual(self.first.check_world(), "")
        self.deprovision(self.first, "i-2")

    def test_killed(self) -> None:
        """What a broker that is killed has begun is finished by the other one, when its lease has lapsed."""
        self.assertEqual(self.provision(self.first, "i-3").status, 202)
        self.first.kill_broker()
        self.wait(self.second, "i-3")
        self.assertIn("taking over", self.second.log())
        self.assertEqual(len(self.containers("i-3")), 1)
        self.deprovision(self.second, "i-3")


class Outages(ProgramCase):
    """One broker, and its database server."""

    driver: ClassVar[str]

    def setUp(self) -> None:
        """Start the server."""
        super().setUp()
        self.server = private_server(self, self.driver)
        self.configuration = self.server.configuration()

    def launch(self, configuration: ServerConfiguration) -> RunningBroker:
        """Start a broker, and wait until it is up."""
        broker = RunningBroker([keeper.SERVICE], "unix:///nowhere", persister=configuration)
        self.addCleanup(broker.stop)
        broker.launch_broker()
        poll(lambda: self.status(broker, "/healthz") == 200, lambda: "the broker is not up")
        return broker

    def status(self, broker: RunningBroker, path: str) -> int:
        """Return the status of the answer: 0 if there is none."""
        try:
            return broker.request("GET", path).status
        except OSError:
            return 0

    def assert_unavailable(self, broker: RunningBroker, words: str) -> None:
        """The broker is up and not ready, and tells its clients why."""
        paths = ("/healthz", "/readyz", instance_path("i-1"), "/docker/images")
        with ThreadPoolExecutor(len(paths)) as pool:
            health, ready, *answers = pool.map(lambda path: broker.request("GET", path), paths)
        self.assertEqual((health.status, ready.status), (200, 503))
        for answer in answers:
            self.assertEqual(answer.status, 503, answer)
            self.assertIn(words, answer.description)
            self.assertNotIn(str(self.server.port), answer.description)

    def assert_ready(self, broker: RunningBroker) -> None:
        """The broker gets ready by itself, and works."""
        poll(lambda: self.status(broker, "/readyz") == 200, lambda: f"it is not ready: {broker.log()}")
        self.assertEqual(self.status(broker, "/v2/catalog"), 200)
        self.assertEqual(self.status(broker, instance_path("i-1")), 404)

    def test_comes_and_goes(self) -> None:
        """Whenever the server is down or hangs, the broker says so with 503, and works when it is back."""
        self.server.stop()
        broker = self.launch(self.configuration)
        self.assert_unavailable(broker, "database does not answer yet")
        self.assertEqual(broker.request("GET", "/v2/catalog", Authorization="").status, 401)
        self.server.start()
        self.assert_ready(broker)
        self.assertEqual(broker.log().count("Ready: the database is open"), 1)
        self.server.kill()
        self.assert_unavailable(broker, "database")
        self.server.start()
        self.assert_ready(broker)
        self.server.freeze()
        self.assert_unavailable(broker, "database")
        self.server.thaw()
        self.assert_ready(broker)
        assert broker.broker is not None
        self.assertIsNone(broker.broker.poll())
        self.assertNotIn("Traceback", broker.log())
        self.assertNotIn("twisted.internet.protocol.Factory", broker.log())
        self.assertNotIn(self.server.password, broker.log())

    def test_late_refusal(self) -> None:
        """A password that turns out to be wrong when the server comes is told in the log, and tried again."""
        wrong = Secret("wrong-password")
        self.server.stop()
        broker = self.launch(self.configuration_with(password=wrong))
        self.server.start()
        poll(lambda: "Not ready: persister.password: " in broker.log(), broker.log)
        self.assert_unavailable(broker, "database does not answer yet")
        self.assertNotIn(wrong.reveal(), broker.log())
        broker.end_broker()

    def test_refusals(self) -> None:
        """A server that answers and refuses is one sentence before the start."""
        for key, changes in (
            ("password", {"password": Secret("wrong-password")}),
            ("database", {"database": self.absent}),
        ):
            section = persister_section(self.configuration_with(**changes))
            config = self.broker_config(free_port(), persister=section)
            self.assert_refused(["dockerbroker", "--config", str(config)], f"persister.{key}: ")

    def configuration_with(self, **changes: Any) -> ServerConfiguration:
        """Return the configuration with changes."""
        return self.server.configuration(**changes)

    @property
    def absent(self) -> str:
        """The name of a database that there is not."""
        return "16" if self.driver == "redis" else "absent"

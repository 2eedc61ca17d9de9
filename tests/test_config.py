"""The configuration files: what they mean, and what is said of wrong ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config import AgentConfiguration, BrokerConfiguration, load_agent, load_broker
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.secrets import Secret
from tests.configurations import agent_document, broker_document, written

#: What an operator of the original has, with only the driver and the database changed.
ORIGINAL_BROKER = """{
  "Dispatcher": "SimpleDispatcher",
  "listenIP": "0.0.0.0",
  "Port": 9998,
  "persister": {"driver": "sqlite3", "host": "127.0.0.1", "port": 3306, "user": "root",
                "password": "secret", "database": "/var/vcap/broker_db"},
  "services": {
    "user": "admin", "password": "admin", "catalog": "dockerCatalog",
    "images": [
      {"name": "mysql-docker", "plan": "100", "numinstance": 1},
      {"Name": "mysqlstatic-docker", "Plan": "100", "NumInstances": "1",
       "DashBoardURL": {"dashboard_url": "mysql://admin:admin@$HOST:$PORT/myDB"},
       "Credentials": {"Uri": "mysql://$HOST:$PORT_3306/db", "port": "$PORT"}},
      {"name": "mysql-shared", "plan": "100", "numinstances": 0, "ContainerName": "MyExistingContainerID"}
    ]
  },
  "loglevel": "debug"
}"""

ORIGINAL_AGENT = """{
  "serviceagent": {
    "servicehost": "192.168.1.1", "dockerhost": "192.168.1.2", "dockerport": "4243", "isactive": true,
    "keepalive": 10, "ExecCommand": "DockerCommandExec", "ExecArgs": "boot2docker,ssh,sudo,",
    "perffactor": 1.22, "portbind_min": 49153, "portbind_max": 65535
  },
  "brokerservers": [
    {"host": "192.168.1.1", "port": "9998", "user": "admin", "password": "admin"},
    {"host": "192.168.1.9", "port": 9998, "user": "admin", "password": "admin"}
  ]
}"""


class _WithFolder(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def broker(self, document: object, **environment: str) -> BrokerConfiguration:
        """Load the document as a broker's file."""
        return load_broker(written(self.folder, document), environment)

    def agent(self, document: object) -> AgentConfiguration:
        """Load the document as an agent's file."""
        return load_agent(written(self.folder, document))

    def complaints(self, document: object, **environment: str) -> str:
        """Return what is said about the document as a broker's file."""
        return self.said_of(lambda: self.broker(document, **environment))

    def agent_complaints(self, document: object) -> str:
        """Return what is said about the document as an agent's file."""
        return self.said_of(lambda: self.agent(document))

    def said_of(self, load: Callable[[], object]) -> str:
        """Return the description of the `InvalidConfiguration` that loading raises."""
        try:
            load()
        except InvalidConfiguration as error:
            return error.description
        raise AssertionError("the file was loaded")


class BrokerTests(_WithFolder):
    """The broker's file."""

    def test_defaults(self) -> None:
        """All that is not required has the documented default."""
        configuration = self.broker(broker_document())
        self.assertEqual(
            (configuration.dispatcher, configuration.listen_ip, configuration.port),
            ("SimpleDispatcher", "0.0.0.0", 9998),  # noqa: S104
        )
        self.assertEqual(
            (configuration.ready_within, configuration.execute_within, configuration.per_host),
            (30.0, 30.0, 4),
        )
        self.assertEqual(configuration.warnings, ())

    def test_original(self) -> None:
        """A file of the original loads with only the driver and the database changed, in any case of keys."""
        path = self.folder / "broker.config"
        path.write_text(ORIGINAL_BROKER, encoding="utf-8")
        path.chmod(0o600)
        configuration = load_broker(path, {})
        first, second, third = configuration.services.images
        self.assertEqual(configuration.persister.driver, "sqlite")
        self.assertEqual(configuration.persister.database, Path("/var/vcap/broker_db"))
        self.assertEqual(
            (first.name, first.plan_id, first.is_static), ("mysql-docker", "mysql-docker_100", False)
        )
        self.assertEqual(second.dashboard_url, "mysql://admin:admin@$HOST:$PORT/myDB")
        self.assertEqual(second.credentials, Secret({"Uri": "mysql://$HOST:$PORT_3306/db", "port": "$PORT"}))
        self.assertEqual((third.numinstances, third.container_name), (0, "MyExistingContainerID"))
        self.assertEqual(configuration.warnings, (f"{path}: loglevel: is no known key and is ignored",))

    def test_ours(self) -> None:
        """The properties that the original lacks are read, as numbers or as numbers in quotes."""
        document = broker_document() | {"readywithin": 12.5, "ExecuteWithin": "7", "perHost": "2"}
        document["services"]["images"] = [
            {"name": "cache", "plan": "small", "image": "dockerbroker/redis:7", "legacyarguments": True}
        ]
        configuration = self.broker(document)
        (image,) = configuration.services.images
        self.assertEqual(
            (configuration.ready_within, configuration.execute_within, configuration.per_host), (12.5, 7.0, 2)
        )
        self.assertEqual(
            (image.name, image.image, image.legacy_arguments), ("cache", "dockerbroker/redis:7", True)
        )

    def test_relative_database(self) -> None:
        """A relative database file is looked for in the folder of the configuration file."""
        self.assertEqual(self.broker(broker_document()).persister.database, self.folder / "broker.db")

    def test_port_of_the_environment(self) -> None:
        """PORT beats VCAP_APP_PORT, and that beats the file's port."""
        document = broker_document() | {"port": 1}
        self.assertEqual(self.broker(document).port, 1)
        self.assertEqual(self.broker(document, VCAP_APP_PORT="2").port, 2)
        self.assertEqual(self.broker(document, VCAP_APP_PORT="2", PORT="3").port, 3)
        self.assertEqual(self.broker(document, VCAP_APP_PORT="2", PORT="").port, 2)

    def test_address_of_the_environment(self) -> None:
        """VCAP_APP_HOST beats the file's listenIP."""
        document = broker_document() | {"listenIP": "127.0.0.1"}
        self.assertEqual(self.broker(document).listen_ip, "127.0.0.1")
        self.assertEqual(self.broker(document, VCAP_APP_HOST="10.1.1.1").listen_ip, "10.1.1.1")

    def test_wrong_port_of_the_environment(self) -> None:
        """A port of the environment that is no port is a complaint that names the variable."""
        self.assertIn(
            "PORT: must be a whole number from 1 to 65535", self.complaints(broker_document(), PORT="http")
        )

    def test_every_complaint_at_once(self) -> None:
        """One error holds every complaint, each with the path of its key."""
        said = self.complaints(
            {
                "dispatcher": "RoundRobin",
                "port": 70000,
                "persister": {"driver": "oracle"},
                "services": {
                    "user": "a:b",
                    "password": "",
                    "catalog": "a/b",
                    "images": [{"name": "ok", "plan": "1"}, {"name": "UPPER CASE"}, 7],
                },
                "perhost": True,
                "readywithin": "soon",
            }
        )
        for complaint in (
            "dispatcher: must be SimpleDispatcher",
            "port: must be a whole number from 1 to 65535",
            "persister.driver: must be sqlite",
            "persister.database: is missing or empty",
            "services.user: must not hold a colon",
            "services.password: is missing or empty",
            "services.catalog: must be one segment of a path",
            "services.images[1].name: is not the name of a Docker image",
            "services.images[1].plan: is missing or empty",
            "services.images[2]: must be an object",
            "perhost: must be a whole number",
            "readywithin: must be a number",
        ):
            self.assertIn(complaint, said)
        self.assertNotIn("\n", said)

    def test_empty_object(self) -> None:
        """Of an empty file every required key is missed."""
        said = self.complaints({})
        for key in (
            "persister.driver",
            "persister.database",
            "services.user",
            "services.password",
            "services.catalog",
        ):
            self.assertIn(f"{key}: is missing or empty", said)

    def test_later_drivers(self) -> None:
        """The drivers that are not built yet are told apart from unknown ones."""
        for driver in ("mysql", "postgres", "postgresql", "redis", "MySQL"):
            document = broker_document()
            document["persister"]["driver"] = driver
            self.assertIn(
                f"persister.driver: {driver.lower()} comes with a later version; sqlite is available now",
                self.complaints(document),
            )

    def test_same_name_twice(self) -> None:
        """Two images of one name are a complaint."""
        document = broker_document()
        document["services"]["images"].append({"name": "redis", "plan": "200"})
        self.assertIn("services.images: the name 'redis' occurs twice", self.complaints(document))

    def test_same_plan_id(self) -> None:
        """Two images whose names and plans join to one plan id are a complaint."""
        document = broker_document()
        document["services"]["images"] = [{"name": "a", "plan": "b_c"}, {"name": "a_b", "plan": "c"}]
        self.assertIn(
            "services.images: 'a_b' and 'a' have the same plan id 'a_b_c'",
            self.complaints(document),
        )

    def test_key_in_two_cases(self) -> None:
        """A key that occurs twice in different case is a complaint."""
        self.assertIn("port: occurs twice", self.complaints(broker_document() | {"port": 1, "PORT": 2}))

    def test_unknown_keys(self) -> None:
        """Unknown keys at every level are warnings with their paths; those of credentials are not ours."""
        document = broker_document() | {"tls": {"certificate": "x"}}
        document["persister"]["file"] = "x"
        document["services"]["images"][0] |= {"colour": "red", "credentials": {"anything": "goes"}}
        said = " ".join(self.broker(document).warnings)
        for key in ("tls", "persister.file", "services.images[0].colour"):
            self.assertIn(f" {key}: is no known key", said)
        self.assertNotIn("anything", said)

    def test_passwords_do_not_print(self) -> None:
        """The configuration shows no password and no credentials when it is printed."""
        document = broker_document()
        document["services"]["images"][0]["credentials"] = {"password": "hunter22"}
        shown = repr(self.broker(document))
        self.assertNotIn("correct horse", shown)
        self.assertNotIn("hunter22", shown)

    def test_readable_by_everybody(self) -> None:
        """A file that everybody can read is a warning."""
        path = written(self.folder, broker_document(), mode=0o644)
        (warning,) = load_broker(path, {}).warnings
        self.assertEqual(
            warning, f"{path}: holds passwords and is readable by everybody; run chmod 600 on it"
        )

    def test_no_file(self) -> None:
        """A file that is not there is a complaint that names it."""
        path = self.folder / "missing.config"
        said = self.said_of(lambda: load_broker(path, {}))
        self.assertEqual(said, f"{path}: cannot be read: No such file or directory.")

    def test_folder(self) -> None:
        """A folder in the file's place is a complaint."""
        self.assertIn("Is a directory", self.said_of(lambda: load_broker(self.folder, {})))

    def test_not_json(self) -> None:
        """A file that is no JSON is a complaint that names the place."""
        path = self.folder / "broken.config"
        path.write_text('{"port": 9998,}', encoding="utf-8")
        said = self.said_of(lambda: load_broker(path, {}))
        self.assertIn("not valid JSON", said)
        self.assertIn("line 1", said)

    def test_too_large(self) -> None:
        """A file of more than a megabyte is refused without being decoded."""
        path = self.folder / "large.config"
        path.write_bytes(b" " * (1024 * 1024 + 1))
        self.assertIn("is larger than", self.said_of(lambda: load_broker(path, {})))


class AgentTests(_WithFolder):
    """The agent's file."""

    def test_original(self) -> None:
        """A file of the original loads unchanged; the empty words at the end of ExecArgs are dropped."""
        path = self.folder / "agent.config"
        path.write_text(ORIGINAL_AGENT, encoding="utf-8")
        path.chmod(0o600)
        configuration = load_agent(path)
        self.assertEqual(
            configuration.host,
            DockerHost(
                key=HostKey(service_host="192.168.1.1", docker_host="192.168.1.2", docker_port=4243),
                is_active=True,
                perf_factor=1.22,
                keep_alive=10.0,
                exec_command="DockerCommandExec",
                exec_arguments=("boot2docker", "ssh", "sudo"),
                portbind_min=49153,
                portbind_max=65535,
            ),
        )
        self.assertEqual(
            [broker.url for broker in configuration.brokers],
            ["http://192.168.1.1:9998/ping", "http://192.168.1.9:9998/ping"],
        )
        self.assertEqual(configuration.brokers[0].password.reveal(), "admin")
        self.assertEqual(configuration.warnings, ())

    def test_unix_socket(self) -> None:
        """A Docker host may be a socket's path; then there is no port."""
        document = agent_document()
        document["serviceagent"] = {"servicehost": "10.0.0.1", "dockerhost": "unix:///var/run/docker.sock"}
        key = self.agent(document).host.key
        self.assertEqual((key.docker_host, key.docker_port), ("unix:///var/run/docker.sock", 0))

    def test_ipv6_broker(self) -> None:
        """An IPv6 address of a broker is put into brackets in its URL."""
        document = agent_document()
        document["brokerservers"][0]["host"] = "::1"
        self.assertEqual(self.agent(document).brokers[0].url, "http://[::1]:9998/ping")

    def test_every_complaint_at_once(self) -> None:
        """One error holds every complaint, each with the path of its key."""
        said = self.agent_complaints(
            {
                "serviceagent": {"dockerhost": "10.0.0.2", "keepalive": -1, "portbind_min": 5},
                "brokerservers": [{"host": "http://broker/", "port": 0}, [], {"port": []}],
            }
        )
        for complaint in (
            "serviceagent.servicehost: is missing or empty",
            "serviceagent.dockerport: is missing",
            "serviceagent.keepalive: must be a number",
            "serviceagent.portbind_min: must be from 1 to portbind_max",
            "brokerservers[0].host: must be a name or an address",
            "brokerservers[0].port: must be a whole number from 1 to 65535",
            "brokerservers[0].user: is missing or empty",
            "brokerservers[0].password: is missing or empty",
            "brokerservers[1]: must be an object",
            "brokerservers[2].host: is missing or empty",
            "brokerservers[2].port: must be a whole number",
        ):
            self.assertIn(complaint, said)

    def test_no_broker(self) -> None:
        """An agent without a broker to tell has nothing to do, which is a complaint."""
        document = agent_document() | {"brokerservers": []}
        self.assertIn("brokerservers: must name at least one broker", self.agent_complaints(document))

    def test_missing_port(self) -> None:
        """A broker's port has no default."""
        document = agent_document()
        del document["brokerservers"][0]["port"]
        self.assertIn("brokerservers[0].port: is missing or empty", self.agent_complaints(document))


_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["0", "9" * 5000])
)
_KEYS = st.text() | st.sampled_from(
    (
        "dispatcher",
        "listenIP",
        "port",
        "persister",
        "driver",
        "database",
        "services",
        "user",
        "password",
        "catalog",
        "images",
        "name",
        "plan",
        "dashboardurl",
        "credentials",
        "numinstances",
        "numinstance",
        "containername",
        "serviceagent",
        "servicehost",
        "dockerhost",
        "dockerport",
        "keepalive",
        "ExecArgs",
        "brokerservers",
        "host",
        "perhost",
        "readywithin",
        "portbind_min",
        "portbind_max",
        "isactive",
    )
)
_DOCUMENTS = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=6),
    max_leaves=30,
)


def _mutated(document: dict[str, Any], junk: Any, choice: int) -> dict[str, Any]:
    """Put junk in the place of one value of the document."""
    places: list[tuple[Any, Any]] = []
    level: list[Any] = [document]
    while level:
        container = level.pop()
        keys = container if isinstance(container, dict) else range(len(container))
        places.extend((container, key) for key in keys)
        level.extend(container[key] for key in keys if isinstance(container[key], dict | list))
    container, key = places[choice % len(places)]
    container[key] = junk
    return document


class ArbitraryTests(_WithFolder):
    """Whatever stands in a file."""

    @settings(deadline=None)
    @given(_DOCUMENTS)
    def test_any_json(self, document: Any) -> None:
        """Any JSON either loads or is an `InvalidConfiguration` of one line."""
        self._loads_or_complains(json.dumps(document).encode())

    @settings(deadline=None)
    @given(_DOCUMENTS, st.integers(min_value=0))
    def test_junk_in_one_place(self, junk: Any, choice: int) -> None:
        """A good file with junk in the place of one value loads or is an `InvalidConfiguration`."""
        for document in (broker_document(), agent_document()):
            self._loads_or_complains(json.dumps(_mutated(document, junk, choice)).encode())

    @settings(deadline=None)
    @given(st.binary())
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes either load or are an `InvalidConfiguration` of one line."""
        self._loads_or_complains(data)

    def _loads_or_complains(self, data: bytes) -> None:
        path = self.folder / "any.config"
        path.write_bytes(data)
        for load in (lambda: load_broker(path, {}), lambda: load_agent(path)):
            try:
                load()
            except InvalidConfiguration as error:
                self.assertTrue(error.description.isprintable(), error.description)

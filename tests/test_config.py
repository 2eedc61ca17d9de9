"""The broker's configuration file: what it means, and what is said of wrong ones."""

from dockerbroker.config import BrokerConfiguration, load_broker
from dockerbroker.config.endpoints import TcpEndpoint
from dockerbroker.config.persister import ServerConfiguration, SqliteConfiguration
from dockerbroker.model.agent_commands import AllowedCommands, read_commands
from dockerbroker.model.connections import ConnectionLimits
from dockerbroker.model.dispatchers import SimpleDispatcher
from dockerbroker.model.docker_addresses import AllowedAddresses, read_addresses
from dockerbroker.model.placement import Overcommit
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from tests.configurations import ConfigurationCase, broker_document, written

#: What an operator of the original has.
ORIGINAL_BROKER = """{
  "Dispatcher": "SimpleDispatcher",
  "listenIP": "0.0.0.0",
  "Port": 9998,
  "persister": {"driver": "mysql", "host": "127.0.0.1", "port": 3306, "user": "root",
                "password": "secret", "database": "broker_db"},
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

#: A file in which much is wrong, and what is said about it.
_WRONG = {
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
    "memoryovercommit": 0,
    "cpuovercommit": "much",
    "readywithin": "soon",
    "waitforhost": -1,
    "movewithin": 59,
    "massguard": 3,
    "connections": 15,
    "connectionsperpeer": "many",
    "mosthosts": 0,
}
_COMPLAINTS = (
    "dispatcher: 'RoundRobin' is not known; use BinpackDispatcher, SimpleDispatcher, SpreadDispatcher",
    "port: must be a whole number from 1 to 65535",
    "persister.driver: must be sqlite, mysql, postgresql or redis, not 'oracle'",
    "persister.database: is missing or empty",
    "services.user: must not hold a colon",
    "services.password: is missing or empty",
    "services.catalog: must be one segment of a path",
    "services.images[1].name: is not the name of a Docker image",
    "services.images[1].plan: is missing or empty",
    "services.images[2]: must be an object",
    "perhost: must be a whole number",
    "memoryovercommit: must be a number from 0.1 to 1000",
    "cpuovercommit: must be a number from 0.1 to 1000",
    "readywithin: must be a number",
    "waitforhost: must be a number from 0 to 86400",
    "movewithin: must be a number from 60 to 518400",
    "massguard: must be true or false",
    "connections: must be a whole number from 16 to 100000",
    "connectionsperpeer: must be a whole number from 16 to 100000",
    "mosthosts: must be a whole number from 1 to 1000000",
)


def _only(configuration: BrokerConfiguration) -> TcpEndpoint:
    (endpoint,) = configuration.listening.endpoints
    assert isinstance(endpoint, TcpEndpoint)
    return endpoint


class BrokerTests(ConfigurationCase):
    """The broker's file."""

    def test_defaults(self) -> None:
        """All that is not required has the documented default."""
        configuration = self.broker(broker_document())
        self.assertEqual(
            (configuration.dispatcher, [endpoint.name for endpoint in configuration.listening.endpoints]),
            (SimpleDispatcher(), ["0.0.0.0:9998"]),
        )
        self.assertEqual(
            (configuration.ready_within, configuration.execute_within, configuration.per_host),
            (30.0, 30.0, 4),
        )
        self.assertEqual(configuration.answer_within, 10.0)
        self.assertEqual((configuration.wait_for_host, configuration.mass_guard), (600.0, True))
        self.assertEqual(configuration.overcommit, Overcommit(memory=1, cpus=4))
        self.assertEqual(configuration.connections, ConnectionLimits(per_peer=512, in_all=4096))
        self.assertEqual(configuration.warnings, ())

    def test_original(self) -> None:
        """A file of the original loads, in any case of keys."""
        path = self.folder / "broker.config"
        path.write_text(ORIGINAL_BROKER, encoding="utf-8")
        path.chmod(0o600)
        configuration = load_broker(path, {})
        first, second, third = configuration.services.images
        self.assertEqual(
            configuration.persister,
            ServerConfiguration(
                driver="mysql",
                host="127.0.0.1",
                port=3306,
                user="root",
                password=Secret("secret"),
                database="broker_db",
            ),
        )
        self.assertEqual(
            (first.name, first.plan.id, first.is_static), ("mysql-docker", "mysql-docker_100", False)
        )
        self.assertEqual(second.dashboard_url, "mysql://admin:admin@$HOST:$PORT/myDB")
        self.assertEqual(second.credentials, Secret({"Uri": "mysql://$HOST:$PORT_3306/db", "port": "$PORT"}))
        self.assertEqual((third.numinstances, third.container_name), (0, "MyExistingContainerID"))
        self.assertEqual(configuration.warnings, (f"{path}: loglevel: is no known key and is ignored",))

    def test_agents_interval(self) -> None:
        """Agents keep their own interval unless the broker's file names one within bounds."""
        self.assertIsNone(self.broker(broker_document()).agent_keep_alive)
        self.assertEqual(self.broker(broker_document() | {"AgentKeepAlive": "2.5"}).agent_keep_alive, 2.5)
        for wrong in (0, 0.2, 301, "soon", True):
            said = self.complaints(broker_document() | {"agentkeepalive": wrong})
            self.assertIn("agentkeepalive: must be a number from 0.25 to 300", said)

    def test_ours(self) -> None:
        """The properties that the original lacks are read, as numbers or as numbers in quotes."""
        document = broker_document() | {"readywithin": 12.5, "ExecuteWithin": "7", "perHost": "2"}
        document |= {"waitForHost": 0, "massGuard": False, "connections": 99, "connectionsPerPeer": 16}
        document["services"]["images"] = [
            {"name": "cache", "plan": "small", "image": "dockerbroker/redis:7", "legacyarguments": True}
        ]
        configuration = self.broker(document)
        (image,) = configuration.services.images
        self.assertEqual(
            (configuration.ready_within, configuration.execute_within, configuration.per_host), (12.5, 7.0, 2)
        )
        self.assertEqual((configuration.wait_for_host, configuration.mass_guard), (0.0, False))
        self.assertEqual(configuration.connections, ConnectionLimits(per_peer=16, in_all=99))
        self.assertEqual(
            (image.name, image.image, image.legacy_arguments), ("cache", "dockerbroker/redis:7", True)
        )

    def test_relative_database(self) -> None:
        """A relative database file is looked for in the folder of the configuration file."""
        self.assertEqual(self.broker(broker_document()).persister.database, self.folder / "broker.db")

    def test_port_of_the_environment(self) -> None:
        """PORT beats VCAP_APP_PORT, and that beats the file's port."""
        document = broker_document() | {"port": 1}
        self.assertEqual(_only(self.broker(document)).port, 1)
        self.assertEqual(_only(self.broker(document, VCAP_APP_PORT="2")).port, 2)
        self.assertEqual(_only(self.broker(document, VCAP_APP_PORT="2", PORT="3")).port, 3)
        self.assertEqual(_only(self.broker(document, VCAP_APP_PORT="2", PORT="")).port, 2)

    def test_address_of_the_environment(self) -> None:
        """VCAP_APP_HOST beats the file's listenIP."""
        document = broker_document() | {"listenIP": "127.0.0.1"}
        self.assertEqual(_only(self.broker(document)).host, "127.0.0.1")
        self.assertEqual(_only(self.broker(document, VCAP_APP_HOST="10.1.1.1")).host, "10.1.1.1")

    def test_wrong_port_of_the_environment(self) -> None:
        """A port of the environment that is no port is a complaint that names the variable."""
        self.assertIn(
            "PORT: must be a whole number from 1 to 65535", self.complaints(broker_document(), PORT="http")
        )

    def test_catalog_of_the_platform(self) -> None:
        """A catalog cannot have the name under which the platform's API is."""
        document = broker_document()
        document["services"]["catalog"] = "v2"
        self.assertIn("services.catalog: must not be 'v2'", self.complaints(document))

    def test_catalogs_of_other_apis(self) -> None:
        """Nor can it have the name under which another API is."""
        for name in ("admin", "certificate", "certificates"):
            document = broker_document()
            document["services"]["catalog"] = name
            self.assertIn(f"services.catalog: must not be '{name}'", self.complaints(document))

    def test_logins(self) -> None:
        """One user and password let in in every role, but where a role has its own."""
        plain = self.broker(broker_document()).services.logins
        self.assertEqual({(one.role, one.user) for one in plain}, {(role, "admin") for role in Role})
        document = broker_document()
        document["services"]["Agent"] = {"User": "agents", "password": "agents' own"}
        own = {one.role: one for one in self.broker(document).services.logins}
        self.assertEqual((own[Role.AGENT].user, own[Role.PLATFORM].user), ("agents", "admin"))
        self.assertEqual(own[Role.AGENT].password.reveal(), "agents' own")
        self.assertEqual(self.broker(document).warnings, ())
        document["services"]["agent"] = {"user": "a:b"}
        del document["services"]["Agent"]
        for words in ("services.agent.user: must not hold a colon", "services.agent.password: is missing"):
            self.assertIn(words, self.complaints(document))

    def test_commands(self) -> None:
        """Agents may have the commands run that the operator lists, and no others."""
        self.assertEqual(self.broker(broker_document()).commands, AllowedCommands())
        entries = ["ssh,root@docker1,sudo,", "boot2docker,ssh"]
        configuration = self.broker(broker_document() | {"ExecCommands": entries})
        self.assertEqual(configuration.commands, read_commands(entries))

    def test_docker_addresses(self) -> None:
        """Agents may announce what the operator lists; without a word of his Docker needs TLS."""
        plain = self.broker(broker_document())
        self.assertEqual((plain.docker_addresses, plain.plain_docker), (AllowedAddresses(), False))
        entries = ["agent", "10.0.0.0/8", "Docker1", "*.example.org", "unix:///run/docker.sock"]
        configuration = self.broker(broker_document() | {"DockerAddresses": entries, "plaindocker": "true"})
        self.assertEqual(configuration.docker_addresses, read_addresses(entries))
        self.assertTrue(configuration.plain_docker)
        nothing = self.broker(broker_document() | {"dockeraddresses": []})
        self.assertEqual(nothing.docker_addresses, AllowedAddresses(as_agent=False))

    def test_outdated_hosts(self) -> None:
        """Hosts whose Docker is too old are used unless they are refused."""
        self.assertFalse(self.broker(broker_document()).refuses_outdated)
        self.assertTrue(self.broker(broker_document() | {"outdatedhosts": "refused"}).refuses_outdated)
        wrong = self.complaints(broker_document() | {"outdatedhosts": "yes"})
        self.assertIn("outdatedhosts: must be allowed or refused", wrong)

    def test_port_address(self) -> None:
        """Ports of services are on every address of their hosts, or on their service addresses alone."""
        self.assertFalse(self.broker(broker_document()).narrow_ports)
        self.assertFalse(self.broker(broker_document() | {"portaddress": "any"}).narrow_ports)
        self.assertTrue(self.broker(broker_document() | {"PortAddress": "servicehost"}).narrow_ports)
        wrong = self.complaints(broker_document() | {"portaddress": "0.0.0.0"})
        self.assertIn("portaddress: must be any or servicehost", wrong)

    def test_wrong_docker_addresses(self) -> None:
        """An entry that is none is a complaint that shows it."""
        for wrong, words in (
            (["10.0.0.1/8"], "dockeraddresses: 10.0.0.1/8 is no network"),
            (["ok", "a\nb"], "dockeraddresses: 'a\\nb' is no network"),
            ("10.0.0.0/8", "dockeraddresses: must be an array"),
            ([1], "dockeraddresses: must be an array of strings"),
        ):
            self.assertIn(words, self.complaints(broker_document() | {"dockeraddresses": wrong}))
        self.assertIn("plaindocker: must be", self.complaints(broker_document() | {"plaindocker": "maybe"}))

    def test_longest_waits(self) -> None:
        """What nobody would wait for is refused; 0 is the shortest answer, which is never waiting."""
        wrong = {"readywithin": 541, "executewithin": 0, "answerwithin": 46}
        said = self.complaints(broker_document() | wrong)
        self.assertIn("readywithin: must be a number from 0.1 to 540", said)
        self.assertIn("executewithin: must be a number from 0.1 to 540", said)
        self.assertIn("answerwithin: must be a number from 0 to 45", said)
        for good in (0, 45):
            configuration = self.broker(
                broker_document() | {"answerwithin": good, "readywithin": 540, "executewithin": 540}
            )
            self.assertEqual(configuration.answer_within, good)
            self.assertEqual((configuration.ready_within, configuration.execute_within), (540, 540))

    def test_every_complaint_at_once(self) -> None:
        """One error holds every complaint, each with the path of its key."""
        said = self.complaints(_WRONG)
        for complaint in _COMPLAINTS:
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
        document = broker_document() | {"dog": {"certificate": "x"}}
        document["persister"]["file"] = "x"
        document["services"]["images"][0] |= {"colour": "red", "credentials": {"anything": "goes"}}
        said = " ".join(self.broker(document).warnings)
        for key in ("dog", "persister.file", "services.images[0].colour"):
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

    def test_open_to_everybody(self) -> None:
        """A file, its folder or a database that everybody can change is a warning (S65)."""
        path = written(self.folder, broker_document(), mode=0o602)
        database = load_broker(path, {}).persister
        assert isinstance(database, SqliteConfiguration)
        database.database.parent.mkdir(exist_ok=True)
        database.database.touch()
        database.database.chmod(0o644)
        self.folder.chmod(0o777)
        said = load_broker(path, {}).warnings
        self.assertIn(f"{path}: holds passwords and can be changed by everybody; run chmod 600 on it", said)
        self.assertTrue([one for one in said if one.endswith(f"run chmod o-w on {self.folder}")], said)
        (records,) = [one for one in said if "all records and is" in one]
        self.assertEqual(
            records,
            f"{database.database}: holds all records and is readable by everybody; run chmod 600 on it",
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

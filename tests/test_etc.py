"""The configuration files that are shipped as examples."""

import configparser
import json
import shutil
import subprocess
from pathlib import Path
from unittest import SkipTest

from attrs import evolve, fields_dict
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config import load_agent, load_broker
from dockerbroker.config.listening import DEFAULT_PORT
from dockerbroker.config.persister import ServerConfiguration, Tls
from dockerbroker.model.catalog_rules import complaints
from dockerbroker.model.definitions import decode_image
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret

DOCS = Path(__file__).parent.parent / "docs"
ETC = Path(__file__).parent.parent / "etc"
README_BROKER_KEYS = {"dispatcher", "listenIP", "port", "persister", "services"}
README_AGENT_KEYS = {
    "servicehost",
    "dockerhost",
    "dockerport",
    "isactive",
    "keepalive",
    "ExecCommand",
    "ExecArgs",
    "perffactor",
    "portbind_min",
    "portbind_max",
}


class EtcTests(SynchronousTestCase):
    """The files of etc/."""

    def test_broker(self) -> None:
        """The broker's example loads; a checkout is readable by everybody, which is its only warning."""
        configuration = load_broker(ETC / "broker.config", {})
        self.assertEqual(
            [image.name for image in configuration.services.images],
            ["redis-docker", "mysql-docker", "mysqlstatic-docker"],
        )
        self.assertEqual([image.is_static for image in configuration.services.images], [False, False, True])
        for warning in configuration.warnings:
            self.assertIn("readable by everybody", warning)

    def test_broker_of_server(self) -> None:
        """The example with a database server is the other one in all but that, and shows all of it."""
        configuration = load_broker(ETC / "broker-postgresql.config", {})
        other = load_broker(ETC / "broker.config", {})
        self.assertEqual(evolve(configuration, persister=other.persister, warnings=other.warnings), other)
        expected = ServerConfiguration(
            driver="postgresql",
            host="db.example.org",
            port=5432,
            user="dockerbroker",
            password=Secret("change-me"),
            database="dockerbroker",
            tls=Tls(),
        )
        self.assertEqual(configuration.persister, expected)
        document = json.loads((ETC / "broker-postgresql.config").read_text(encoding="utf-8"))
        shown = {name.replace("_", "") for name in fields_dict(ServerConfiguration)}
        self.assertEqual(set(document["persister"]), shown - {"prefix", "keys"})
        for warning in configuration.warnings:
            self.assertIn("readable by everybody", warning)

    def test_agent(self) -> None:
        """The agent's example loads, and tells the broker's example with the user that it knows."""
        agent = load_agent(ETC / "agent.config")
        broker = load_broker(ETC / "broker.config", {})
        (server,) = agent.brokers
        [login] = [one for one in broker.services.logins if one.role is Role.AGENT]
        self.assertEqual(
            (server.port, server.user, server.password),
            (DEFAULT_PORT, login.user, login.password),
        )
        self.assertEqual([endpoint.name for endpoint in broker.listening.endpoints], ["0.0.0.0:9998"])
        assert server.tls is not None
        broker.listening.check()
        for warning in agent.warnings:
            self.assertIn("readable by everybody", warning)

    def test_complete(self) -> None:
        """The examples show every property of the README's tables that does not belong to another driver."""
        broker = json.loads((ETC / "broker.config").read_text(encoding="utf-8"))
        agent = json.loads((ETC / "agent.config").read_text(encoding="utf-8"))
        self.assertLessEqual(README_BROKER_KEYS, set(broker))
        self.assertEqual(set(agent["serviceagent"]), README_AGENT_KEYS)

    def test_several_plans(self) -> None:
        """The broker's example shows how a service has several plans, between which its users may change."""
        redis = load_broker(ETC / "broker.config", {}).services.images[0]
        self.assertEqual([plan.id for plan in redis.plans], ["redis-docker_100", "redis-docker_500"])
        self.assertTrue(redis.is_updateable(redis.plans[0]))

    def test_documented_definition(self) -> None:
        """The definition in the documentation of the configuration is one that Cloud Controller takes."""
        text = (DOCS / "configuration.md").read_text(encoding="utf-8")
        document = json.loads(text.partition("```json\n")[2].partition("```")[0])
        definition = decode_image(document, document["name"])
        self.assertEqual(complaints([definition]), [])
        self.assertEqual([plan.options.cpus for plan in definition.plans], [None, 2])

    def test_units(self) -> None:
        """The systemd units start the two programs in the foreground and without a pid file."""
        for program, file in (("dockerbroker", "broker.config"), ("dockeragent", "agent.config")):
            unit = configparser.ConfigParser(interpolation=None, strict=False)
            unit.read(ETC / "systemd" / f"{program}.service", encoding="utf-8")
            words = unit["Service"]["ExecStart"].split()
            self.assertIn("--nodaemon", words)
            self.assertIn("--pidfile=", words)
            self.assertEqual(words[-3:], [program, "--config", f"/etc/dockerbroker/{file}"])

    def test_hardened_units(self) -> None:
        """The units run as users of their own, and take away what the programs do not need (S66)."""
        users = (ETC / "systemd" / "dockerbroker.sysusers").read_text("utf-8")
        for program in ("dockerbroker", "dockeragent"):
            unit = configparser.ConfigParser(interpolation=None, strict=False)
            unit.read(ETC / "systemd" / f"{program}.service", encoding="utf-8")
            service = unit["Service"]
            self.assertEqual(service["User"], program)
            self.assertIn(f"u {program} - ", users)
            expected = {
                "NoNewPrivileges": "yes",
                "CapabilityBoundingSet": "",
                "ProtectSystem": "strict",
                "ProtectHome": "yes",
                "PrivateDevices": "yes",
                "RestrictNamespaces": "yes",
                "LimitCORE": "0",
                "UMask": "0077",
                "SystemCallArchitectures": "native",
            }
            self.assertEqual({key: service[key] for key in expected}, expected)

    def test_exposure(self) -> None:
        """What systemd itself says of the units is an exposure of 3.0 at most (S66)."""
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            raise SkipTest("systemd-analyze is not installed")
        for program in ("dockerbroker", "dockeragent"):
            unit = ETC / "systemd" / f"{program}.service"
            command = [analyze, "security", "--offline=true", "--no-pager", "--threshold=30", str(unit)]
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(ended.returncode, 0, ended.stdout[-100:] + ended.stderr)
            self.assertIn("Overall exposure level", ended.stdout)


class StartTests(SynchronousTestCase):
    """What `bin/start` installs."""

    def test_sources(self) -> None:
        """It copies whatever the package ships, be it a link to a document of `docs`, as the file itself."""
        root = ETC.parent
        script = 'source <(sed -n "/^sources() {/,/^}/p" bin/start); root=$PWD; sources'
        output = subprocess.run(
            ["bash", "-c", script], cwd=root, capture_output=True, check=True, text=True
        ).stdout
        package = root / "dockerbroker"
        shipped = [path for kind in ("*.py", "*.yaml", "*.lua", "*.mako") for path in package.rglob(kind)]
        self.assertLessEqual({str(path.relative_to(root)) for path in shipped}, set(output.splitlines()))

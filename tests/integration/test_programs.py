"""The two programs: how they refuse to start, and how they end."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.configurations import agent_document, broker_document, written
from tests.polling import PATIENCE, poll
from tests.ports import free_port
from tests.programs import Programs, is_running

HEADERS = {
    "Authorization": f"Basic {b64encode(b'admin:correct horse').decode('ascii')}",
    "X-Broker-API-Version": "2.17",
}
PING = {
    "ServiceHost": "127.0.0.1",
    "DockerHost": "127.0.0.1",
    "DockerPort": 0,
    "IsActive": True,
    "KeepAlive": 60,
}
PROVISION = {"service_id": "redis", "plan_id": "redis_100", "organization_guid": "o", "space_guid": "s"}


def listening_socket() -> socket.socket:
    """Return a socket that listens on a free port of the loopback interface."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(10)
    return listening


class ProgramCase(SynchronousTestCase):
    """A folder in which programs run."""

    timeout = 300

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.programs = Programs(self.folder)
        self.addCleanup(self.programs.end)

    def broker_config(self, port: int, **more: Any) -> Path:
        """Write a broker's configuration."""
        document = broker_document() | {"listenIP": "127.0.0.1", "port": port} | more
        return written(self.folder, document, name="broker.config")

    def agent_config(self, *ports: int) -> Path:
        """Write the configuration of an agent of brokers at these ports."""
        server = {"host": "127.0.0.1", "user": "admin", "password": "correct horse"}
        document = agent_document() | {"brokerservers": [server | {"port": port} for port in ports]}
        # No Docker is there, which is nothing to these tests.
        document["serviceagent"] |= {"keepalive": 1, "dockerhost": "127.0.0.1", "dockerport": 1}
        return written(self.folder, document, name="agent.config")

    def connect(self, port: int) -> http.client.HTTPConnection:
        """Return a connection to a broker."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        return connection

    def assert_refused(self, words: Sequence[str], *expected: str) -> None:
        """Assert that the program does not start, neither in the foreground nor as a daemon, and says why."""
        modes = (("-n", "--pidfile="), ("--pidfile=refused.pid", "--logfile=refused.log"))
        for started in [self.programs.spawn(*mode, *words) for mode in modes]:
            stdout, stderr = started.communicate(timeout=PATIENCE)
            self.assertEqual((started.returncode, stdout), (1, ""), stderr)
            (line,) = stderr.splitlines()
            for part in (f"{words[0]}: ", *expected):
                self.assertIn(part, line)
        self.assertFalse((self.folder / "refused.pid").exists())
        self.assertFalse((self.folder / "refused.log").exists())

    def wait_until_listening(self, port: int) -> None:
        """Wait until somebody listens at the port."""
        poll(lambda: is_listening(port), lambda: f"nobody listens: {self.programs.log('dockerbroker')}")


def is_listening(port: int) -> bool:
    """Whether somebody listens at the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


class RefusalTests(ProgramCase):
    """What keeps a program from starting is one line on standard error and exit status 1."""

    def test_wrong_options(self) -> None:
        """A wrong option does not print the help to standard output, and its sentence names it."""
        for program in ("dockerbroker", "dockeragent"):
            self.assert_refused([program, "--nonsense"], "nonsense", "--help")

    def test_wrong_configuration(self) -> None:
        """A wrong configuration is told with all its complaints in one line."""
        broken = written(self.folder, {"port": "x", "dispatcher": 5}, name="broken.config")
        self.assert_refused(
            ["dockerbroker", "--config", str(broken)],
            str(broken),
            "port: must be",
            "dispatcher: must be",
            "services.password: is missing",
        )
        self.assert_refused(
            ["dockeragent", "--config", "broken.config"], "brokerservers: ", "serviceagent.dockerhost: "
        )

    def test_taken_port(self) -> None:
        """A port that another program has is named, without a traceback, and before a daemon is made."""
        with closing(listening_socket()) as taken:
            port = taken.getsockname()[1]
            config = self.broker_config(port)
            self.assert_refused(["dockerbroker", "--config", str(config)], f"127.0.0.1:{port} is in use")
        self.assertFalse((self.folder / "broker.db").exists())

    def test_foreign_address(self) -> None:
        """An address that is not the machine's is told as such."""
        config = self.broker_config(free_port(), listenIP="192.0.2.1", plainhttp=True)
        self.assert_refused(
            ["dockerbroker", "--config", str(config)], "192.0.2.1", "no address of this machine"
        )

    def test_unusable_database(self) -> None:
        """A database that cannot be opened is named."""
        for database, content in (("no/folder/broker.db", None), ("garbage.db", b"no database" * 1000)):
            if content is not None:
                (self.folder / database).write_bytes(content)
            config = self.broker_config(free_port(), persister={"driver": "sqlite", "database": database})
            self.assert_refused(["dockerbroker", "--config", str(config)], "persister.database: ")

    def test_wrong_certificates(self) -> None:
        """The agent's three certificate files belong together, and each must be what it should be."""
        config = self.agent_config(free_port())
        options = ["--clientcert", "a.pem", "--clientkey", "b.pem", "--cacert", "c.pem"]
        self.assert_refused(
            ["dockeragent", "--config", str(config), *options[:2]], "--clientkey and --cacert"
        )
        self.assert_refused(["dockeragent", "--config", str(config), *options], "--clientcert: a.pem", "read")


class InformationTests(ProgramCase):
    """What the programs tell of themselves."""

    def test_help(self) -> None:
        """The help goes to standard output and tells the options."""
        for program in ("dockerbroker", "dockeragent"):
            ended = self.programs.run(program, "--help")
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertIn("--config", ended.stdout)

    def test_version(self) -> None:
        """The version is this package's, not Twisted's."""
        for program in ("dockerbroker", "dockeragent"):
            ended = self.programs.run(program, "--version")
            self.assertEqual((ended.returncode, ended.stderr), (0, ""))
            self.assertTrue(ended.stdout.startswith(f"{program} "), ended.stdout)

    def test_plugins(self) -> None:
        """Both programs are in the list of twistd."""
        ended = self.programs.run("--help")
        for program in ("dockerbroker", "dockeragent"):
            self.assertIn(f"    {program} ", ended.stdout)


class EndTests(ProgramCase):
    """How the programs end."""

    def test_request_in_flight(self) -> None:
        """At SIGTERM the broker takes no more connections, answers what is in flight, and exits as 143."""
        docker = listening_socket()
        self.addCleanup(docker.close)
        docker.settimeout(PATIENCE)
        port = free_port()
        broker = self.programs.start("dockerbroker", self.broker_config(port))
        self.wait_until_listening(port)
        self._ping(port, docker.getsockname()[1])

        in_flight = self.connect(port)
        in_flight.request("PUT", "/v2/service_instances/1", json.dumps(PROVISION), HEADERS)
        # The broker asks this host, which does not answer before the broker was told to end.
        asked, _ = docker.accept()
        broker.send_signal(signal.SIGTERM)
        poll(lambda: not is_listening(port), lambda: "the broker still takes connections")
        self.assertIsNone(broker.poll())
        docker.close()
        asked.close()

        answer = in_flight.getresponse()
        self.assertEqual(answer.status, 503)
        self.assertIn("description", json.loads(answer.read()))
        self.assertEqual(broker.wait(PATIENCE), -signal.SIGTERM)
        self.assertNotIn("Traceback", self.programs.log("dockerbroker"))

    def test_idle_connection(self) -> None:
        """A connection that is kept open without a request does not keep the broker from ending."""
        port = free_port()
        broker = self.programs.start("dockerbroker", self.broker_config(port))
        self.wait_until_listening(port)
        idle = self.connect(port)
        idle.request("GET", "/v2/catalog", headers=HEADERS)
        idle.getresponse().read()
        broker.send_signal(signal.SIGTERM)
        self.assertEqual(broker.wait(PATIENCE), -signal.SIGTERM)

    def test_agent_of_hanging_broker(self) -> None:
        """An agent whose broker does not answer ends at SIGTERM all the same."""
        with closing(listening_socket()) as hanging:
            hanging.settimeout(PATIENCE)
            agent = self.programs.start("dockeragent", self.agent_config(hanging.getsockname()[1]))
            pinged, _ = hanging.accept()
            with closing(pinged):
                agent.send_signal(signal.SIGTERM)
                self.assertEqual(agent.wait(PATIENCE), -signal.SIGTERM)
        self.assertNotIn("Traceback", self.programs.log("dockeragent"))

    def _ping(self, port: int, docker_port: int) -> None:
        connection = self.connect(port)
        connection.request("POST", "/ping", json.dumps(PING | {"DockerPort": docker_port}), HEADERS)
        self.assertEqual(connection.getresponse().status, 200)


class DaemonTests(ProgramCase):
    """Both programs as daemons, started from one folder."""

    def test_both(self) -> None:
        """Broker and agent run as daemons side by side, find each other, and end at SIGTERM."""
        port = free_port()
        broker = self.programs.daemonize("dockerbroker", self.broker_config(port))
        self.wait_until_listening(port)
        agent = self.programs.daemonize("dockeragent", self.agent_config(port))
        self.programs.wait_for_log("dockeragent", f"Registered with the broker 127.0.0.1:{port}")
        for pid in (agent, broker):
            os.kill(pid, signal.SIGTERM)
            poll(lambda pid=pid: not is_running(pid), lambda: "the daemon does not end")  # type: ignore[misc]
        for program in ("dockerbroker", "dockeragent"):
            self.assertFalse((self.folder / f"{program}.pid").exists())
            self.assertNotIn("Traceback", self.programs.log(program))

    def test_agent_before_broker(self) -> None:
        """An agent that starts before its broker says why it cannot register, and registers when it can."""
        port = free_port()
        self.programs.daemonize("dockeragent", self.agent_config(port))
        self.programs.wait_for_log("dockeragent", "the connection was refused")
        self.programs.daemonize("dockerbroker", self.broker_config(port))
        self.programs.wait_for_log("dockeragent", f"Registered with the broker 127.0.0.1:{port}")

    def test_second_start(self) -> None:
        """A broker that runs already is not disturbed by a second start, which is refused."""
        port = free_port()
        config = self.broker_config(port)
        self.programs.daemonize("dockerbroker", config)
        self.wait_until_listening(port)
        second = self.programs.run("--pidfile=second.pid", "dockerbroker", "--config", str(config))
        self.assertEqual(second.returncode, 1)
        self.assertIn("is in use by another program", second.stderr)
        self.assertTrue(is_listening(port))

    def test_database_is_private(self) -> None:
        """The database, which holds credentials, is readable by its owner alone."""
        port = free_port()
        self.programs.daemonize("dockerbroker", self.broker_config(port))
        self.wait_until_listening(port)
        for path in self.folder.glob("broker.db*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

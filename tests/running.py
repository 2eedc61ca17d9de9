"""A broker and an agent as real programs, and what a platform says to them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from attrs import define, field, frozen

from dockerbroker.config import PersisterConfiguration, SqliteConfiguration
from tests.polling import PATIENCE, poll
from tests.ports import free_port

USER = "admin"
PASSWORD = "the platform's password"
#: Seconds between the pings of an agent of which nothing else is said: its host is never taken for dead
#: because the agent, or the whole machine, stood still for a moment.
_SELDOM = 3600


@frozen
class Answer:
    """What the broker answered."""

    status: int
    document: Any
    headers: Mapping[str, str]

    @property
    def description(self) -> str:
        """The sentence for people in an error."""
        return str(self.document.get("description", ""))


@define(eq=False)
class RunningBroker:
    """Programs in a folder of their own; `stop` ends them and removes the folder.

    `images` is the catalog; `docker_host` is where the agent says that Docker is. `name` is that of the
    broker's configuration and log, and `persister` its database, a file in the folder if nothing is said.
    `agent_options` stand on the agent's command line, and `environment` is added to that of the programs.
    """

    images: list[dict[str, Any]]
    docker_host: str
    settings: dict[str, Any] = field(factory=dict)
    agent_settings: dict[str, Any] = field(factory=dict)
    agent_options: Sequence[str] = ()
    folder: Path = field(factory=lambda: Path(tempfile.mkdtemp(prefix="dockerbroker-")))
    port: int = field(factory=free_port)
    name: str = "broker"
    environment: Mapping[str, str] = field(factory=dict)
    persister: PersisterConfiguration = field(factory=lambda: SqliteConfiguration(database=Path("broker.db")))
    broker: subprocess.Popen[bytes] | None = None
    agent: subprocess.Popen[bytes] | None = None

    def start(self) -> RunningBroker:
        """Start both programs and wait until the host may be used."""
        self._write("agent.config", self._agent_config())
        self.restart_broker()
        self.agent = self._program("dockeragent", "agent", *self.agent_options)
        self.wait_for_host()
        return self

    def start_broker(self) -> None:
        """Start the broker and wait until it answers."""
        self.broker = self._program("dockerbroker", self.name)
        poll(self._is_listening, lambda: f"the broker does not answer: {self.log()}")

    def launch_broker(self) -> None:
        """Start the broker, with the settings as they are now, and do not wait for it."""
        self._write(f"{self.name}.config", self._broker_config())
        self.broker = self._program("dockerbroker", self.name)

    def stop(self) -> None:
        """End both programs and remove the folder."""
        for program in (self.agent, self.broker):
            if program is not None and program.poll() is None:
                program.send_signal(signal.SIGTERM)
                program.wait(PATIENCE)
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_broker(self) -> None:
        """End the broker as an operator does, and wait until it has ended."""
        assert self.broker is not None
        self.broker.send_signal(signal.SIGTERM)
        self.broker.wait(PATIENCE)

    def kill_broker(self) -> None:
        """End the broker as a power cut would."""
        assert self.broker is not None
        self.broker.kill()
        self.broker.wait(PATIENCE)

    def restart_broker(self) -> None:
        """Start the broker on the same port, with the settings as they are now."""
        self._write(f"{self.name}.config", self._broker_config())
        self.start_broker()

    def neighbour(self, name: str) -> RunningBroker:
        """Start another broker on the same database; it has no agent of its own."""
        another = RunningBroker(
            self.images,
            self.docker_host,
            self.settings,
            folder=self.folder,
            name=name,
            environment=self.environment,
            persister=self.persister,
        )
        another.restart_broker()
        return another

    def request(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> Answer:
        """Make one request and return its answer; a header set to the empty string is left out."""
        token = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
        sent = {"Authorization": f"Basic {token}", "X-Broker-API-Version": "2.17"}
        # Changes by administrators must say that they are JSON.
        sent |= {"Content-Type": "application/json"} if body is not None or raw is not None else {}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        connection = self.connection()
        try:
            payload = raw if raw is not None else None if body is None else json.dumps(body).encode("utf-8")
            connection.request(method, path, payload, {name: text for name, text in sent.items() if text})
            response = connection.getresponse()
            text = response.read()
            return Answer(response.status, json.loads(text) if text else None, dict(response.getheaders()))
        finally:
            connection.close()

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection to the broker, which proves who it is where it has TLS."""
        if self.authority is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        context = ssl.create_default_context(cafile=self.authority)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=context)

    @property
    def authority(self) -> Path | None:
        """The certificate that the broker has made for itself, None where it has no TLS."""
        return self.folder / "broker.crt" if "tls" in self.settings else None

    def provision(self, instance_id: str, service: str, **more: Any) -> Answer:
        """Provision an instance of the service's first plan."""
        body = {"service_id": service, "plan_id": self._plan_id(service), **more}
        body = {"organization_guid": "org", "space_guid": "space", **body}
        return self.request("PUT", f"/v2/service_instances/{quote(instance_id, safe='')}", body)

    def bind(self, instance_id: str, binding_id: str, service: str, **more: Any) -> Answer:
        """Bind the instance."""
        body = {"service_id": service, "plan_id": self._plan_id(service), **more}
        return self.request("PUT", self._binding_path(instance_id, binding_id), body)

    def unbind(self, instance_id: str, binding_id: str, service: str) -> Answer:
        """Remove the binding."""
        return self.request("DELETE", self._binding_path(instance_id, binding_id) + self._query(service))

    def deprovision(self, instance_id: str, service: str) -> Answer:
        """Remove the instance."""
        path = f"/v2/service_instances/{quote(instance_id, safe='')}"
        return self.request("DELETE", path + self._query(service))

    def check_world(self, *options: str) -> str:
        """Return what the command `dockerbroker check-world` finds to be wrong: nothing, if all is well."""
        done = self.command("check-world", *options)
        if "All is well" in done.stderr and done.returncode == 0:
            return done.stdout
        return f"{done.stdout}{done.stderr}"

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command `dockerbroker` with the broker's configuration, and wait for its end."""
        main = "from dockerbroker.command import main; main()"
        return subprocess.run(
            [sys.executable, "-c", main, *words, "-c", str(self.folder / f"{self.name}.config")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def hosts(self) -> list[dict[str, Any]]:
        """Return what the broker knows of its hosts."""
        found: list[dict[str, Any]] = self.request("GET", "/admin/hosts").document
        return found

    def wait_for_host(self) -> None:
        """Wait until there is a host that may be used."""
        # The first ping may be sent before Docker has answered the agent; the next one follows its answer.
        poll(lambda: any(host["IsUsable"] for host in self.hosts()), lambda: f"{self.hosts()}\n{self.log()}")

    def log(self) -> str:
        """Return what the broker has logged."""
        return (self.folder / f"{self.name}.log").read_text("utf-8", "replace")

    def _plan_id(self, service: str) -> str:
        found = [image for image in self.images if image["name"] == service]
        plans = [image["plan"] if "plan" in image else image["plans"][0]["name"] for image in found]
        return f"{service}_{plans[0] if plans else '100'}"

    def _query(self, service: str) -> str:
        return f"?service_id={quote(service)}&plan_id={quote(self._plan_id(service))}"

    def _binding_path(self, instance_id: str, binding_id: str) -> str:
        instance, binding = quote(instance_id, safe=""), quote(binding_id, safe="")
        return f"/v2/service_instances/{instance}/service_bindings/{binding}"

    def _broker_config(self) -> dict[str, Any]:
        services = {"user": USER, "password": PASSWORD, "catalog": "docker", "images": self.images}
        return {
            "dispatcher": "SimpleDispatcher",
            "listenIP": "127.0.0.1",
            "port": self.port,
            "persister": persister_section(self.persister),
            "services": services,
            **self.settings,
        }

    def _agent_config(self) -> dict[str, Any]:
        docker_host, _, docker_port = self.docker_host.removeprefix("tcp://").rpartition(":")
        is_path = self.docker_host.startswith("unix:")
        host = {
            "servicehost": "127.0.0.1",
            "dockerhost": self.docker_host if is_path else docker_host,
            "dockerport": 0 if is_path else int(docker_port),
            "isactive": True,
            "keepalive": _SELDOM,
            **self.agent_settings,
        }
        server = {"host": "127.0.0.1", "port": self.port, "user": USER, "password": PASSWORD}
        if self.authority is not None:
            server["cacert"] = str(self.authority)
        return {"serviceagent": host, "brokerservers": [server]}

    def _write(self, name: str, document: Any) -> None:
        path = self.folder / name
        path.write_text(json.dumps(document), "utf-8")
        path.chmod(0o600)

    def _program(self, plugin: str, name: str, *options: str) -> subprocess.Popen[bytes]:
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "-n", "--pidfile=", f"--logfile={self.folder / name}.log"]
        return subprocess.Popen(
            [*command, plugin, "--config", str(self.folder / f"{name}.config"), *options],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                **self.environment,
            },
            stdin=subprocess.DEVNULL,
        )

    def _is_listening(self) -> bool:
        assert self.broker is not None
        if self.broker.poll() is not None:
            raise AssertionError(f"the broker ended with {self.broker.returncode}: {self.log()}")
        try:
            return self.request("GET", "/v2/catalog").status == 200
        except OSError:
            return False


def persister_section(configuration: PersisterConfiguration) -> dict[str, Any]:
    """Return the section of a broker's file that says this."""
    if isinstance(configuration, SqliteConfiguration):
        return {"driver": "sqlite", "database": str(configuration.database)}
    section: dict[str, Any] = {
        "driver": configuration.driver,
        "host": configuration.host,
        "port": configuration.port,
        "user": configuration.user,
        "password": configuration.password.reveal(),
        "database": configuration.database,
        "poolsize": configuration.pool_size,
        "connectwithin": configuration.connect_within,
        "answerwithin": configuration.answer_within,
    }
    if configuration.driver == "redis":
        section |= {"database": int(configuration.database), "prefix": configuration.prefix}
    if configuration.tls is not None:
        section["tls"] = {"ca": str(configuration.tls.ca or ""), "verify": configuration.tls.verify}
    return section

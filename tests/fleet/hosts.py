"""One Docker host of the fleet: a network namespace with a dockerd that wants mutual TLS, and an agent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import docker
from attrs import define, field

from tests.engine_private import PrivateDockerd, arguments, new_folder, state, threads
from tests.engine_transport import ThrowawayAuthority, write_material
from tests.fleet.namespaces import Cut, Namespace, address_of, link
from tests.polling import PATIENCE, comes_true
from tests.real_engine import RealEngine

DOCKER_PORT: Final = 2376
KEEP_ALIVE: Final = 0.8
#: How many ports each host has for services, and the first of them.
PORTS: Final = 4
FIRST_PORT: Final = 20000


@define(eq=False)
class FleetHost:
    """A Docker host: its engine, its agent and its link can each fail on its own."""

    number: int
    namespace: Namespace
    dockerd: PrivateDockerd
    credentials: dict[str, Path]
    agent: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @classmethod
    def launch(cls, number: int, hub: Namespace) -> FleetHost:
        """Make the host and start its engine, and do not wait for it."""
        folder = new_folder()
        namespace = Namespace.make()
        link(hub, namespace, number)
        authority, address = ThrowawayAuthority(), address_of(number)
        paths = write_material(authority.server(address), folder / "tls")
        credentials = write_material(authority.client(), folder / "broker")
        command = namespace.command(*arguments(folder, f"{address}:{DOCKER_PORT}", paths))
        dockerd = PrivateDockerd(folder, authority, DOCKER_PORT, command)
        host = cls(number, namespace, dockerd, credentials)
        (folder / "data").mkdir()
        return host

    @property
    def address(self) -> str:
        """Where brokers and applications reach it."""
        return address_of(self.number)

    @property
    def label(self) -> dict[str, str]:
        """The label that no other host has."""
        return {"host": str(self.number)}

    def client(self) -> docker.APIClient:
        """Return a client of its engine, which no cut disturbs."""
        engine = RealEngine(self.dockerd.unix_url, "", "", self.dockerd.authority.client())
        return engine.client()

    def image(self, name: str, files: dict[str, str], changes: Sequence[str]) -> None:
        """Give its engine an image."""
        engine = RealEngine(self.dockerd.unix_url, "", "", self.dockerd.authority.client())
        engine.image(name, files, changes=changes)

    def configure(self, servers: Sequence[Mapping[str, Any]]) -> None:
        """Write what the agent is to be, which pings those brokers."""
        host = {
            "servicehost": self.address,
            "dockerhost": self.address,
            "dockerport": DOCKER_PORT,
            "keepalive": KEEP_ALIVE,
            "portbind_min": FIRST_PORT,
            "portbind_max": FIRST_PORT + PORTS - 1,
            "labels": self.label,
        }
        path = self.dockerd.folder / "agent.config"
        path.write_text(json.dumps({"serviceagent": host, "brokerservers": list(servers)}), "utf-8")
        path.chmod(0o600)

    def start_agent(self, environment: Mapping[str, str]) -> None:
        """Start the agent, beside its engine."""
        folder = self.dockerd.folder
        twistd = Path(sys.executable).with_name("twistd")
        words = [str(twistd), "-n", "--pidfile=", f"--logfile={folder}/agent.log", "dockeragent"]
        words += ["--config", f"{folder}/agent.config"]
        words += ["--clientcert", str(self.credentials["cert"]), "--clientkey", str(self.credentials["key"])]
        self.agent = subprocess.Popen(
            self.namespace.command(*words, "--cacert", str(self.credentials["ca"])),
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                **environment,
            },
            stdin=subprocess.DEVNULL,
        )

    def kill_agent(self) -> None:
        """Kill the agent."""
        assert self.agent is not None
        self.agent.kill()
        self.agent.wait(PATIENCE)

    def lose_power(self) -> None:
        """Let all of it be gone at once, without a farewell to anybody."""
        self.namespace.cut(Cut.BOTH_WAYS)
        self.kill_agent()
        self.dockerd.kill()

    def freeze_agent(self) -> None:
        """Let the agent do nothing any more."""
        assert self.agent is not None
        pid = self.agent.pid
        self.agent.send_signal(signal.SIGSTOP)
        comes_true(lambda: {state(task) for task in threads(pid)} <= {"T", ""}, PATIENCE)

    def heal(self, environment: Mapping[str, str]) -> None:
        """Let everything go on: the link, the engine, and the agent."""
        self.namespace.heal()
        self.dockerd.thaw()
        if self.dockerd.process.poll() is not None:
            self.dockerd.kill()
            self.dockerd.run()
        assert self.agent is not None
        self.agent.send_signal(signal.SIGCONT)
        if self.agent.poll() is not None:
            self.start_agent(environment)

    def restart_dockerd(self) -> None:
        """End the engine as a supervisor does, and start it again, and do not wait."""
        self.dockerd.process.terminate()
        self.dockerd.process.wait(PATIENCE)
        self.dockerd.launch()

    def log(self) -> str:
        """Return what the agent has logged."""
        return (self.dockerd.folder / "agent.log").read_text("utf-8", "replace")

    def end(self) -> None:
        """End all of it, and remove what it leaves."""
        with contextlib.suppress(ProcessLookupError):
            if self.agent is not None and self.agent.poll() is None:
                self.agent.kill()
                self.agent.wait(PATIENCE)
        if hasattr(self.dockerd, "process"):
            self.dockerd.stop()
        self.namespace.end()

"""Three Docker hosts and two brokers, started once for all tests of the process."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from attrs import define, field

from dockerbroker.model.placement import LEAST_DISK
from tests.engine_images import EngineUnavailableError, static_busybox
from tests.fleet import services
from tests.fleet.clocks import Clocks
from tests.fleet.hosts import FleetHost
from tests.fleet.namespaces import HUB, Namespace, make_hub
from tests.polling import PATIENCE
from tests.real_engine import require
from tests.running import PASSWORD, USER, RunningBroker

HOSTS: Final = 3
#: The host whose Docker has a small disk of its own, and that disk's bytes and files.
SMALL: Final = 3
SMALL_BYTES: Final = LEAST_DISK + 64 * 1024**2
SMALL_FILES: Final = 20_000

_SETTINGS: Final[dict[str, Any]] = {
    "listenIP": "0.0.0.0",
    "tls": {"selfsigned": True, "names": [HUB]},
    "answerwithin": 0,
    "waitforhost": 0,
}

_fleet: Fleet | EngineUnavailableError | None = None


@define(eq=False)
class Fleet:
    """Hosts that are reached over a network of their own, and the brokers on it, which share a database."""

    hub: Namespace
    clocks: Clocks
    hosts: list[FleetHost] = field(factory=list, init=False)
    brokers: list[RunningBroker] = field(factory=list, init=False)

    @classmethod
    def start(cls) -> Fleet:
        """Start everything; raises EngineUnavailableError where that is not possible."""
        static_busybox()
        fleet = cls(make_hub(), Clocks())
        atexit.register(fleet.end)
        try:
            fleet._start()
        except BaseException as error:
            fleet.end()
            if isinstance(error, subprocess.CalledProcessError):
                raise EngineUnavailableError(f"{error}: {error.stderr!r}") from error
            raise
        return fleet

    def _start(self) -> None:
        for number in range(1, HOSTS + 1):
            host = FleetHost.launch(number, self.hub)
            self.hosts.append(host)
            if number == SMALL:
                _give_small_disk(host.dockerd.folder / "data")
            host.dockerd.launch()
        with self.hub.entered():
            self._start_brokers()
        with ThreadPoolExecutor(HOSTS) as pool:
            list(pool.map(self._finish_host, self.hosts))

    def host(self, number: int) -> FleetHost:
        """Return a host by its number, from 1 on."""
        return self.hosts[number - 1]

    def heal(self) -> None:
        """Let everything go on that was stopped, killed or cut off, at the right time."""
        self.clocks.set(0, *self.clocks.names)
        for host in self.hosts:
            host.heal(self.clocks.environment(f"agent{host.number}"))

    def end(self) -> None:
        """End all of it."""
        for broker in self.brokers:
            if broker.broker is not None and broker.broker.poll() is None:
                broker.broker.send_signal(signal.SIGKILL)
                broker.broker.wait(PATIENCE)
        for host in self.hosts:
            host.end()
        for broker in self.brokers:
            broker.stop()
        self.hub.end()
        self.clocks.remove()

    def servers(self) -> list[Mapping[str, Any]]:
        """Return where agents reach the brokers."""
        return [
            {
                "host": HUB,
                "port": broker.port,
                "user": USER,
                "password": PASSWORD,
                "cacert": str(broker.authority),
            }
            for broker in self.brokers
        ]

    def _start_brokers(self) -> None:
        first = RunningBroker(
            services.CATALOG, "", _SETTINGS, environment=self.clocks.environment("broker1"), name="broker1"
        )
        self.brokers.append(first)
        first.restart_broker()
        second = RunningBroker(
            services.CATALOG,
            "",
            _SETTINGS,
            folder=first.folder,
            environment=self.clocks.environment("broker2"),
            name="broker2",
            persister=first.persister,
        )
        self.brokers.append(second)
        second.restart_broker()

    def _finish_host(self, host: FleetHost) -> None:
        host.dockerd.wait_until_it_answers()
        services.make_image(host)
        host.configure(self.servers())
        host.start_agent(self.clocks.environment(f"agent{host.number}"))


def require_fleet() -> Fleet:
    """Return the process's fleet, or skip for what is missing (fail, where backends are required)."""
    global _fleet  # noqa: PLW0603 - one fleet per process is the purpose of this module
    if _fleet is None:
        try:
            _fleet = Fleet.start()
        except EngineUnavailableError as error:
            _fleet = error
    if isinstance(_fleet, EngineUnavailableError):
        require(backend_available=False, reason=str(_fleet))
        raise _fleet
    return _fleet


def _give_small_disk(folder: Path) -> None:
    options = f"size={SMALL_BYTES},nr_inodes={SMALL_FILES}"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ)

"""A real engine under test: reached over its UNIX socket, over TCP and over TLS."""

from __future__ import annotations

import atexit
import contextlib
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.trial.unittest import TestCase

from dockerbroker.engines.connections import Connections
from dockerbroker.engines.docker import DockerEngines
from dockerbroker.engines.interfaces import IEngine
from dockerbroker.engines.pool import Lane
from dockerbroker.engines.probing import EngineProbe
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.containers import LABEL_CLUSTER
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.secrets import Secret
from dockerbroker.threads import DaemonThreadPool
from tests.contracts import engine
from tests.contracts.images import fill_real
from tests.engine_private import PrivateDockerd
from tests.engine_transport import TlsMaterial
from tests.real_engine import RealEngine, require_engine

_reactor: Any = reactor


@cache
def filled_engine() -> RealEngine:
    """Return the process's engine, which has the images of the suites."""
    real = require_engine()
    fill_real(real)
    atexit.register(_remove_containers, real)
    return real


def _remove_containers(real: RealEngine) -> None:
    client = real.client()
    for item in client.containers(all=True, filters={"label": LABEL_CLUSTER}):
        if item["Labels"][LABEL_CLUSTER].startswith(engine.name().rpartition("-")[0]):
            client.remove_container(item["Id"], force=True, v=True)
    for volume in client.volumes(filters={"label": LABEL_CLUSTER})["Volumes"] or []:
        if volume["Name"].startswith("contract-"):
            client.remove_volume(volume["Name"])
    client.close()


def certificate_of(material: TlsMaterial, host: str = "127.0.0.1") -> HostCertificate:
    """Return the material as it is stored for that host."""
    return HostCertificate(
        host=host,
        certificate=material.certificate.decode(),
        key=Secret(material.key.decode()),
        ca=material.ca.decode(),
    )


def host_at(url: str) -> DockerHost:
    """Return the host whose Docker is reached at the URL."""
    if url.startswith("unix://"):
        return DockerHost(key=HostKey(service_host="127.0.0.1", docker_host=url))
    parts = urlsplit(url)
    key = HostKey(service_host="127.0.0.1", docker_host=parts.hostname or "", docker_port=parts.port or 0)
    return DockerHost(key=key)


def engines_for(
    test: TestCase,
    certificate: HostCertificate | None = None,
    *,
    per_host: int = 4,
    clock: Any = reactor,
) -> DockerEngines:
    """Return engines whose connections and threads end with the test; all have that certificate, or none."""

    async def trust(_host: DockerHost) -> HostCertificate | None:
        return certificate

    threads = DaemonThreadPool("real", 4, leaves_busy=True)
    threads.start()
    engines = DockerEngines(clock, threads, per_host, trust)
    test.addCleanup(threads.stop)
    test.addCleanup(lambda: ensureDeferred(engines.close()))
    return engines


def probe_of(test: TestCase, dockerd: PrivateDockerd, *, is_plain: bool) -> EngineProbe:
    """Return an agent's look at the engine, over its socket or by TLS, that ends with the test."""
    material = dockerd.authority.client()
    url = dockerd.unix_url if is_plain else f"tcp://127.0.0.1:{dockerd.tls_port}"

    async def trust(_host: DockerHost) -> HostCertificate | None:
        return None if is_plain else certificate_of(material)

    threads = DaemonThreadPool("probe", 1, leaves_busy=True)
    threads.start()
    probe = EngineProbe(
        connections=Connections(host_at(url), trust, allows_plain=True),
        lane=Lane(_reactor, threads, 1, url),
    )
    test.addCleanup(threads.stop)
    test.addCleanup(lambda: ensureDeferred(probe.close()))
    return probe


@define(eq=False)
class RealWorld(engine.World):
    """A real engine under test, reached over its UNIX socket for what is not the engine's."""

    real: RealEngine = field(kw_only=True)
    test: TestCase = field(kw_only=True)

    def crowded(self) -> IEngine:
        """Return the engine with as many places as there are calls."""
        return engines_for(self.test, per_host=50)(host_at(self.real.unix_url))

    def pause(self, container_id: str) -> None:
        """Let somebody pause the container."""
        with contextlib.closing(self.real.client()) as client:
            client.pause(container_id)

    def rename(self, container_id: str, name: str) -> None:
        """Let somebody rename the container."""
        with contextlib.closing(self.real.client()) as client:
            client.rename(container_id, name)

    def copy(self, container_id: str) -> str:
        """Let somebody commit the container to an image, which is removed after the test."""
        name, tag = engine.name(), "copy"
        with contextlib.closing(self.real.client()) as client:
            client.commit(container_id, name, tag)
        self.test.addCleanup(self._remove_image, f"{name}:{tag}")
        return f"{name}:{tag}"

    def drop(self, container_id: str) -> None:
        """Let somebody remove the container."""
        with contextlib.closing(self.real.client()) as client:
            client.remove_container(container_id, force=True, v=True)

    def _remove_image(self, image: str) -> None:
        with contextlib.closing(self.real.client()) as client:
            client.remove_image(image, force=True)


def world(test: TestCase, transport: str) -> engine.World:
    """Return the real engine, reached over `unix`, `tcp` or `tls`."""
    real = filled_engine()
    engines = engines_for(test, certificate_of(real.tls) if transport == "tls" else None)
    url = {"unix": real.unix_url, "tcp": real.tcp_url, "tls": real.tls_url}[transport]
    clock: Any = reactor
    return RealWorld(engines(host_at(url)), clock, real=real, test=test)

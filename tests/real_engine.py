"""A real Docker Engine for the tests: the one of DOCKER_HOST, or a private one that ends with the process."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import SkipTest

import docker
from attrs import define, field

from tests.engine_images import (
    EngineUnavailableError,
    build_services,
    busybox_archive,
    static_busybox,
)
from tests.engine_private import PrivateDockerd, answers
from tests.engine_transport import ThrowawayAuthority, TlsMaterial, forward, server_context, write_material

REQUIRE_VARIABLE = "DOCKERBROKER_REQUIRE_BACKENDS"
_MACHINES_OWN = "unix:///var/run/docker.sock"

_lock = threading.RLock()
_engine: RealEngine | EngineUnavailableError | None = None


@define(eq=False)
class RealEngine:
    """One running Docker Engine, reachable over a UNIX socket, plain TCP and mutual TLS."""

    unix_url: str
    tcp_url: str
    tls_url: str
    tls: TlsMaterial
    _built: set[str] = field(factory=set, init=False)

    def client(self) -> docker.APIClient:
        """A new low-level client over the UNIX socket, deaf to proxy and certificate variables."""
        client = docker.APIClient(base_url=self.unix_url, timeout=60)
        client.trust_env = False
        return client

    def image(self, name: str, files: dict[str, str], *, changes: Sequence[str] = ()) -> str:
        """Import an image of one static busybox and `files` (path to text, each executable).

        `changes` are Dockerfile instructions such as `EXPOSE 8080`. Returns the image's reference.
        """
        repository, _, tag = name.partition(":")
        archive = busybox_archive(files)
        with contextlib.closing(self.client()) as client:
            answer = client.import_image_from_data(
                archive,
                repository=repository,
                tag=tag or "latest",
                changes=list(changes),
            )
        if "error" in str(answer):
            message = f"the engine refused the image {name}: {answer}"
            raise AssertionError(message)
        return f"{repository}:{tag or 'latest'}"

    def build_services(self) -> None:
        """Build the images of `services/` once per process, from a cached archive where there is one."""
        with _lock:
            if "services" not in self._built:
                build_services(self.unix_url)
                self._built.add("services")


def engine() -> RealEngine:
    """The process's engine: that of DOCKER_HOST, or a private one, stopped at exit.

    Only where no private one can be started it is the machine's own, which other processes use as well.
    Raises EngineUnavailableError where there is none.
    """
    global _engine  # noqa: PLW0603 - one engine per process is the purpose of this module
    with _lock:
        if _engine is None:
            named = os.environ.get("DOCKER_HOST", "")
            try:
                _engine = _found_engine(named) or engine_of(PrivateDockerd.start())
            except EngineUnavailableError as error:
                _engine = _found_engine(_MACHINES_OWN) or error
    if isinstance(_engine, EngineUnavailableError):
        raise _engine
    return _engine


def require_dockerd(start: Callable[[], PrivateDockerd] = PrivateDockerd.start) -> PrivateDockerd:
    """A dockerd of the test's own, which it must stop, or a skip that says why there is none."""
    try:
        static_busybox()
        return start()
    except EngineUnavailableError as error:
        require(backend_available=False, reason=str(error))
        raise


def engine_of(dockerd: PrivateDockerd) -> RealEngine:
    """The engine that the private dockerd is."""
    return RealEngine(
        dockerd.unix_url,
        f"tcp://127.0.0.1:{forward(dockerd.unix_url.removeprefix('unix://'))}",
        f"tcp://127.0.0.1:{dockerd.tls_port}",
        dockerd.authority.client(),
    )


def require_engine() -> RealEngine:
    """The engine, or a skip that says why there is none (a failure where backends are required)."""
    try:
        static_busybox()
        return engine()
    except EngineUnavailableError as error:
        require(backend_available=False, reason=str(error))
        raise


def require(backend_available: bool, reason: str) -> None:
    """Skip the running test for `reason`, or fail it where DOCKERBROKER_REQUIRE_BACKENDS is 1."""
    if backend_available:
        return
    if os.environ.get(REQUIRE_VARIABLE) == "1":
        message = f"a required backend is missing: {reason}"
        raise AssertionError(message)
    raise SkipTest(reason)


def _found_engine(url: str) -> RealEngine | None:
    if not url.startswith("unix://") or not answers(url):
        return None
    path = url.removeprefix("unix://")
    authority = ThrowawayAuthority()
    with tempfile.TemporaryDirectory(prefix="dockerbroker-tls-") as folder:
        context = server_context(write_material(authority.server(), Path(folder, "tls")))
    return RealEngine(
        f"unix://{path}",
        f"tcp://127.0.0.1:{forward(path)}",
        f"tcp://127.0.0.1:{forward(path, context)}",
        authority.client(),
    )

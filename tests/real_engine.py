"""A real Docker Engine for the tests: the one that answers, or a private one that ends with the process."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import SkipTest

import docker
from attrs import define, field
from docker.errors import DockerException

from tests.engine_images import (
    SEARCH_PATH,
    EngineUnavailableError,
    build_services,
    busybox_archive,
    static_busybox,
)
from tests.engine_transport import ThrowawayAuthority, TlsMaterial, forward, server_context, write_material
from tests.polling import comes_true, free_port

REQUIRE_VARIABLE = "DOCKERBROKER_REQUIRE_BACKENDS"
FOLDER_PREFIX = "dockerbroker-engine-"
START_SECONDS = 60
STOP_SECONDS = 30
_LAZY_UNMOUNT = 2

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
    """The process's engine: one that answers already, or a private one, stopped at exit.

    Raises EngineUnavailableError where there is neither.
    """
    global _engine  # noqa: PLW0603 - one engine per process is the purpose of this module
    with _lock:
        if _engine is None:
            try:
                _engine = _found_engine() or _private_engine()
            except EngineUnavailableError as error:
                _engine = error
    if isinstance(_engine, EngineUnavailableError):
        raise _engine
    return _engine


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


def _found_engine() -> RealEngine | None:
    url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not url.startswith("unix://") or not _answers(url):
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


def _private_engine() -> RealEngine:
    if os.geteuid() != 0:
        message = "no Docker Engine answers, and only root can start a private one"
        raise EngineUnavailableError(message)
    if shutil.which("dockerd", path=SEARCH_PATH) is None:
        message = "no Docker Engine answers, and dockerd is not installed"
        raise EngineUnavailableError(message)
    _sweep()
    authority = ThrowawayAuthority()
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
    tls_port = free_port()
    paths = write_material(authority.server(), folder / "tls")
    unix_url = f"unix://{folder}/docker.sock"
    process = _spawn(folder, [f"--host={unix_url}", f"--host=tcp://127.0.0.1:{tls_port}"], paths)
    atexit.register(_stop_own, os.getpid(), folder, process)
    if (
        not comes_true(lambda: process.poll() is not None or _answers(unix_url), START_SECONDS)
        or process.poll() is not None
    ):
        lines = (folder / "dockerd.log").read_text(errors="replace").splitlines()[-3:]
        message = f"the private dockerd did not start: {' / '.join(lines)}"
        raise EngineUnavailableError(message)
    return RealEngine(
        unix_url,
        f"tcp://127.0.0.1:{forward(f'{folder}/docker.sock')}",
        f"tcp://127.0.0.1:{tls_port}",
        authority.client(),
    )


def _spawn(folder: Path, hosts: list[str], tls: dict[str, Path]) -> subprocess.Popen[bytes]:
    # Engines side by side share docker0 (naming another bridge would remove it): each takes its own slice.
    slice_of_own = random.SystemRandom().randint(64, 250)
    command = [
        "dockerd",
        *hosts,
        "--tlsverify",
        f"--tlscacert={tls['ca']}",
        f"--tlscert={tls['cert']}",
        f"--tlskey={tls['key']}",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/dockerd.pid",
        f"--default-address-pool=base=10.{slice_of_own}.0.0/16,size=24",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]
    if not Path("/sys/class/net/docker0").exists() or _docker0_is_default():
        command.append(f"--fixed-cidr=172.17.{slice_of_own}.0/24")
    # A session of its own: an interrupt must reach the tests alone, which then stop the engine.
    with (folder / "dockerd.log").open("wb") as log:
        environment = {**os.environ, "PATH": SEARCH_PATH}
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)


def _docker0_is_default() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as owner:
        try:
            owner.bind(("172.17.0.1", 0))
        except OSError:
            return False
    return True


def _answers(url: str) -> bool:
    try:
        with contextlib.closing(docker.APIClient(base_url=url, timeout=5)) as client:
            return bool(client.ping())
    except (DockerException, OSError):
        return False


def _stop_own(owner: int, folder: Path, process: subprocess.Popen[bytes]) -> None:
    if os.getpid() != owner:
        return  # a forked child leaves the engine to its parent
    with contextlib.suppress(DockerException, OSError):
        client = docker.APIClient(base_url=f"unix://{folder}/docker.sock", timeout=20)
        for container in client.containers(all=True):
            client.remove_container(container["Id"], force=True, v=True)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    process.kill()
    process.wait()
    _remove(folder)


def _sweep() -> None:
    """Remove what test processes left that were killed before they could stop their engine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        owner = int(folder.name.removeprefix(FOLDER_PREFIX).split("-")[0])
        if not Path(f"/proc/{owner}").exists():
            with contextlib.suppress(OSError, ValueError):
                pid = int((folder / "dockerd.pid").read_text())
                if pid in _processes_of(folder):
                    os.kill(pid, signal.SIGTERM)
                    comes_true(lambda: not Path(f"/proc/{pid}").exists(), STOP_SECONDS)  # noqa: B023
            _remove(folder)


def _remove(folder: Path) -> None:
    for pid in _processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    library = ctypes.CDLL(None)
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True):
        library.umount2(point.encode(), _LAZY_UNMOUNT)
    shutil.rmtree(folder, ignore_errors=True)


def _processes_of(folder: Path) -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) + b"/" in (entry / "cmdline").read_bytes():
                yield int(entry.name)

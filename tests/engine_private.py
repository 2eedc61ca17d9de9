"""A private dockerd of the tests, that can be stopped in its tracks, killed and started again."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import docker
from attrs import define, field
from docker.errors import DockerException

from tests.engine_images import SEARCH_PATH, EngineUnavailableError
from tests.engine_transport import ThrowawayAuthority, forward, server_context, write_material
from tests.fleet.namespaces import Namespace
from tests.polling import comes_true
from tests.ports import free_port

FOLDER_PREFIX = "dockerbroker-engine-"
START_SECONDS = 180
STOP_SECONDS = 60
_LAZY_UNMOUNT = 2
_SIOCGIFADDR, _SIOCGIFNETMASK = 0x8915, 0x891B
#: What Docker gives docker0 by itself, and into how many parts it is cut: sixteen.
_DOCKER0 = IPv4Network("172.17.0.0/16")
_SLICE_BITS = 4


@define(eq=False)
class PrivateDockerd:
    """A dockerd with a folder of its own; it ends with the process that started it, if not before."""

    folder: Path
    authority: ThrowawayAuthority
    tls_port: int
    command: list[str]
    owner: int = field(factory=os.getpid)
    process: subprocess.Popen[bytes] = field(init=False)

    @classmethod
    def start(cls) -> PrivateDockerd:
        """Start one and wait until it answers; raises EngineUnavailableError where that is not possible."""
        folder = new_folder()
        authority, paths = _material(folder)
        tls_port = free_port()
        return cls(folder, authority, tls_port, _command(folder, tls_port, paths))._started()

    @classmethod
    def start_apart(cls) -> PrivateDockerd:
        """Start one in a network namespace of its own, where it may be killed and started again.

        A dockerd that was killed removes docker0 when it comes back, and with it the network of all engines
        that share it. Raises as `start`. What it publishes cannot be reached from here.
        """
        folder = new_folder()
        authority, paths = _material(folder)
        namespace = Namespace.make()
        atexit.register(namespace.end)
        tls_port = forward(f"{folder}/docker.sock", server_context(paths))
        command = namespace.command(*arguments(folder, "127.0.0.1:2376", paths))
        return cls(folder, authority, tls_port, command)._started()

    def _started(self) -> PrivateDockerd:
        atexit.register(self.stop)
        self.run()
        return self

    @property
    def unix_url(self) -> str:
        """Where it listens without TLS."""
        return f"unix://{self.folder}/docker.sock"

    def run(self) -> None:
        """Run it and wait until it answers: at first, or, if it stands apart, again after `kill`."""
        self.launch()
        self.wait_until_it_answers()

    def launch(self) -> None:
        """Run it and do not wait."""
        # A session of its own: an interrupt must reach the tests alone, which then stop the engine.
        with (self.folder / "dockerd.log").open("ab") as log:
            environment = {**os.environ, "PATH": SEARCH_PATH}
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def wait_until_it_answers(self) -> None:
        """Wait until it answers; raises EngineUnavailableError when it has ended, or hangs."""
        comes_true(lambda: self.process.poll() is not None or answers(self.unix_url), START_SECONDS)
        if self.process.poll() is not None or not answers(self.unix_url):
            lines = (self.folder / "dockerd.log").read_text(errors="replace").splitlines()[-3:]
            message = f"the private dockerd did not start: {' / '.join(lines)}"
            raise EngineUnavailableError(message)

    def freeze(self) -> None:
        """Let it do nothing any more, while the kernel goes on accepting its connections."""
        self.process.send_signal(signal.SIGSTOP)
        # A thread that takes the signal late lets the others go on until then.
        comes_true(lambda: {state(task) for task in threads(self.process.pid)} <= {"T", ""}, STOP_SECONDS)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and, as the kernel does then, its containerd, but no container.

        A zombie that a pid file names would keep their successors from starting: dockerd is reaped here,
        containerd may have nobody who does.
        """
        self.process.kill()
        self.process.wait()
        remembered = self.folder / "exec" / "containerd" / "containerd.pid"
        with contextlib.suppress(OSError, ValueError):
            pid = int(remembered.read_text())
            comes_true(lambda: state(Path(f"/proc/{pid}")) in {"", "Z"}, STOP_SECONDS)
            remembered.unlink()

    def stop(self) -> None:
        """Remove its containers, end it, and remove all that it has left."""
        if os.getpid() != self.owner or not self.folder.exists():
            return  # a forked child leaves the engine to its parent
        self.thaw()
        with contextlib.suppress(DockerException, OSError):
            client = docker.APIClient(base_url=self.unix_url, timeout=STOP_SECONDS)
            for container in client.containers(all=True):
                client.remove_container(container["Id"], force=True, v=True)
            client.close()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        self.kill()
        remove(self.folder)


def new_folder() -> Path:
    """Make a folder for an engine; raises EngineUnavailableError where none can be started."""
    if os.geteuid() != 0:
        message = "no Docker Engine answers, and only root can start a private one"
        raise EngineUnavailableError(message)
    if shutil.which("dockerd", path=SEARCH_PATH) is None:
        message = "no Docker Engine answers, and dockerd is not installed"
        raise EngineUnavailableError(message)
    _sweep()
    return Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))


def _material(folder: Path) -> tuple[ThrowawayAuthority, dict[str, Path]]:
    authority = ThrowawayAuthority()
    return authority, write_material(authority.server(), folder / "tls")


def arguments(folder: Path, address: str, tls: dict[str, Path]) -> list[str]:
    """Return the command line of an engine that keeps all it has in its folder and filters no packets."""
    return [
        "dockerd",
        f"--host=unix://{folder}/docker.sock",
        f"--host=tcp://{address}",
        "--tlsverify",
        f"--tlscacert={tls['ca']}",
        f"--tlscert={tls['cert']}",
        f"--tlskey={tls['key']}",
        f"--data-root={folder}/data",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/dockerd.pid",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]


def _command(folder: Path, tls_port: int, tls: dict[str, Path]) -> list[str]:
    return [
        *arguments(folder, f"127.0.0.1:{tls_port}", tls),
        # docker0, if there is none yet, gets the first of the pools, of which the slice is a part.
        f"--default-address-pool=base={_DOCKER0},size={_DOCKER0.prefixlen}",
        "--default-address-pool=base=10.64.0.0/10,size=24",
        f"--fixed-cidr={_slice(folder)}",
    ]


def threads(pid: int) -> Iterator[Path]:
    """Return the folders of a process's threads in /proc."""
    return Path(f"/proc/{pid}/task").iterdir()


def state(process: Path) -> str:
    """Return the letter for the state of a process or thread, or nothing when there is none."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _slice(folder: Path) -> IPv4Network:
    """Return the part of docker0's addresses that the engine of that folder has for itself.

    Engines side by side share docker0: naming another bridge would remove it.
    """
    network = _addresses_of("docker0") or _DOCKER0
    # The first one holds the bridge's own address, unless an engine of these made it: then Docker spares it.
    parts = [str(part) for part in network.subnets(prefixlen_diff=_SLICE_BITS)][1:]
    with Path(tempfile.gettempdir(), f"{FOLDER_PREFIX}slices").open("w") as lock:
        # Several processes of tests start their engines at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken = {path.read_text() for path in folder.parent.glob(f"{FOLDER_PREFIX}*/slice")}
        chosen = random.SystemRandom().choice([part for part in parts if part not in taken])
        (folder / "slice").write_text(chosen)
    return IPv4Network(chosen)


def _addresses_of(interface: str) -> IPv4Network | None:
    """Return the network of an interface, or None when there is none (netdevice(7))."""
    request = struct.pack("256s", interface.encode())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            address, mask = (
                socket.inet_ntoa(fcntl.ioctl(asked.fileno(), question, request)[20:24])
                for question in (_SIOCGIFADDR, _SIOCGIFNETMASK)
            )
        except OSError:
            return None
    return IPv4Network(f"{address}/{mask}", strict=False)


def answers(url: str) -> bool:
    """Whether a Docker Engine answers there."""
    try:
        with contextlib.closing(docker.APIClient(base_url=url, timeout=5)) as client:
            return bool(client.ping())
    except (DockerException, OSError):
        return False


def _sweep() -> None:
    """Remove what test processes left that were killed before they could stop their engine."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*-*"):
        owner = int(folder.name.removeprefix(FOLDER_PREFIX).split("-")[0])
        if not Path(f"/proc/{owner}").exists():
            with contextlib.suppress(OSError, ValueError):
                pid = int((folder / "dockerd.pid").read_text())
                if pid in processes_of(folder):
                    os.kill(pid, signal.SIGTERM)
                    comes_true(lambda: not Path(f"/proc/{pid}").exists(), STOP_SECONDS)  # noqa: B023
            remove(folder)


def remove(folder: Path) -> None:
    """Remove a folder, the processes whose command lines name it, and what is mounted in it."""
    for pid in processes_of(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    library = ctypes.CDLL(None)
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True):
        library.umount2(point.encode(), _LAZY_UNMOUNT)
    shutil.rmtree(folder, ignore_errors=True)


def processes_of(folder: Path) -> Iterator[int]:
    """Return the processes whose command lines name something in the folder."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) + b"/" in (entry / "cmdline").read_bytes():
                yield int(entry.name)

"""Network namespaces of the tests' own, with links between them that can be cut."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

from attrs import define, field

from tests.engine_images import SEARCH_PATH, EngineUnavailableError
from tests.polling import PATIENCE, comes_true

#: The network between brokers and hosts, which exists in the tests' namespaces alone.
_NETWORK: Final = "10.213.0"
HUB: Final = f"{_NETWORK}.1"
_CLONE_NEWNET: Final = 0x40000000
_TOOLS: Final = ("ip", "iptables", "nsenter", "setpriv", "unshare")


class Cut(Enum):
    """How the link between a host and all others is cut: what its packet filter drops."""

    #: Nothing comes, and nothing goes.
    BOTH_WAYS = (("INPUT", "-i", "eth0"), ("OUTPUT", "-o", "eth0"))
    #: The host hears nobody, but could be heard.
    DEAF = (("INPUT", "-i", "eth0"),)
    #: The host hears everybody, and nobody hears it.
    MUTE = (("OUTPUT", "-o", "eth0"),)
    #: Its Docker is asked, and does what it is asked; the answers are lost. Pings arrive.
    REPLIES_LOST = (
        ("OUTPUT", "-o", "eth0", "-p", "tcp", "--sport", "2376", "--tcp-flags", "PSH", "PSH"),
        ("OUTPUT", "-o", "eth0", "-p", "tcp", "--sport", "2376", "--tcp-flags", "FIN", "FIN"),
    )


@define(eq=False)
class Namespace:
    """A network namespace, kept by a process that does nothing else and ends with the tests."""

    holder: subprocess.Popen[bytes]
    _cuts: list[tuple[str, ...]] = field(factory=list, init=False)

    @classmethod
    def make(cls) -> Namespace:
        """Make one with a loopback; raises EngineUnavailableError where that is not possible."""
        for tool in _TOOLS:
            if shutil.which(tool, path=SEARCH_PATH) is None:
                raise EngineUnavailableError(f"{tool} is not installed")
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]
        made = cls(
            subprocess.Popen(command, env=_ENVIRONMENT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        own = Path("/proc/self/ns/net").readlink()
        comes_true(lambda: made.holder.poll() is not None or made.path.readlink() != own, PATIENCE)
        if made.holder.poll() is not None:
            raise EngineUnavailableError("no network namespace can be made")
        made.run("ip", "link", "set", "lo", "up")
        return made

    @property
    def path(self) -> Path:
        """What stands for the namespace."""
        return Path(f"/proc/{self.holder.pid}/ns/net")

    def command(self, *words: str) -> list[str]:
        """Return the command line by which something runs in the namespace; it keeps its process id."""
        return ["nsenter", f"--net={self.path}", *words]

    def run(self, *words: str) -> None:
        """Run a command in the namespace."""
        subprocess.run(self.command(*words), env=_ENVIRONMENT, check=True, capture_output=True)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread, and what it starts, be in the namespace."""
        with Path("/proc/thread-self/ns/net").open("rb") as before, self.path.open("rb") as after:
            _enter(after.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def cut(self, cut: Cut) -> None:
        """Cut the link until it is healed."""
        for rule in cut.value:
            self.run("iptables", "-w", "-A", *rule, "-j", "DROP")
            self._cuts.append(rule)

    def heal(self) -> None:
        """Mend the link."""
        while self._cuts:
            self.run("iptables", "-w", "-D", *self._cuts.pop(), "-j", "DROP")

    def end(self) -> None:
        """Let the namespace go, which is gone when nothing runs in it any more."""
        self.holder.kill()
        self.holder.wait()


def make_hub() -> Namespace:
    """Make the namespace of the brokers, to which hosts are linked."""
    hub = Namespace.make()
    hub.run("ip", "link", "add", "br0", "type", "bridge")
    hub.run("ip", "address", "add", f"{HUB}/24", "dev", "br0")
    hub.run("ip", "link", "set", "br0", "up")
    return hub


def address_of(number: int) -> str:
    """Return the address of a host."""
    return f"{_NETWORK}.{10 + number}"


def link(hub: Namespace, host: Namespace, number: int) -> None:
    """Link a host to the hub."""
    ours, pid = f"host{number}", str(host.holder.pid)
    hub.run("ip", "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", pid)
    hub.run("ip", "link", "set", ours, "master", "br0")
    hub.run("ip", "link", "set", ours, "up")
    host.run("ip", "address", "add", f"{address_of(number)}/24", "dev", "eth0")
    host.run("ip", "link", "set", "eth0", "up")


def _enter(descriptor: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


_ENVIRONMENT: Final = {**os.environ, "PATH": SEARCH_PATH}

"""What the machine itself tells of its memory, processors and disks, without Docker."""

import os
import socket
from contextlib import closing
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from dockerbroker.engines.address import DockerAddress
from dockerbroker.model.docker_addresses import address_of_text, is_loopback

_KIB: Final = 1024
#: The columns of `/proc/stat` that are times in which a processor does nothing: idle, and waiting for disks.
_IDLE_COLUMNS: Final = (3, 4)
#: The times of guests, from here on, are part of others.
_COLUMNS: Final = 8


@frozen
class Ticks:
    """How long the processors have worked and been idle since the machine began, in its own unit."""

    busy: int
    idle: int


def memory_free(meminfo: str) -> int | None:
    """Return the bytes of memory that can be had without swapping (`MemAvailable`)."""
    for line in meminfo.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "MemAvailable:" and words[1].isdecimal():
            return int(words[1]) * _KIB
    return None


def ticks(stat: str) -> Ticks | None:
    """Return what the first line of `/proc/stat` says of all processors together."""
    name, *columns = stat.partition("\n")[0].split() or [""]
    if name != "cpu" or not all(column.isdecimal() for column in columns):
        return None
    times = [int(column) for column in columns[:_COLUMNS]]
    idle = sum(times[column] for column in _IDLE_COLUMNS if column < len(times))
    return Ticks(busy=sum(times) - idle, idle=idle)


def busy_share(before: Ticks | None, after: Ticks | None) -> float | None:
    """Return which part of their time the processors have worked meanwhile, from 0 to 1."""
    if before is None or after is None:
        return None
    busy, idle = max(0, after.busy - before.busy), max(0, after.idle - before.idle)
    return busy / (busy + idle) if busy + idle else None


def is_own(address: DockerAddress) -> bool:
    """Whether the address is this machine's own, so that what the machine tells is told of its Docker."""
    if address.path or is_loopback(address.host):
        return True
    parsed = address_of_text(address.host)
    if parsed is None:
        return False
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6  # noqa: PLR2004 (IPv4)
    try:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.bind((str(parsed), 0))
    except OSError:
        return False
    return True


@define(eq=False)
class Machine:
    """Reads what the machine tells; each method returns None for what cannot be read."""

    proc: Path = Path("/proc")
    _ticks: Ticks | None = field(default=None, init=False)

    def memory_free(self) -> int | None:
        """Return the bytes of memory that are free."""
        return memory_free(self._read("meminfo"))

    def busy_share(self) -> float | None:
        """Return which part of their time the processors have worked since the last call, from 0 to 1."""
        before, self._ticks = self._ticks, ticks(self._read("stat"))
        return busy_share(before, self._ticks)

    def disk(self, folder: str) -> tuple[int | None, int | None]:
        """Return the size of the folder's file system and what is free of it, in bytes."""
        try:
            found = os.statvfs(folder)
        except (OSError, ValueError):
            return None, None
        return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize

    def _read(self, name: str) -> str:
        try:
            return (self.proc / name).read_text(encoding="ascii", errors="replace")
        except OSError:
            return ""

"""Ports of hosts on which something else than a service instance listens, as Docker has told."""

import re
from collections.abc import Collection
from typing import ClassVar, Final

from attrs import define, field
from twisted.logger import Logger

from dockerbroker.model.hosts import HostKey

#: For how long such a port is not chosen again, in seconds: whatever listens there may end.
BLOCKED_FOR: Final = 600.0

_NUMBER: Final = re.compile(r":(\d{1,5})(?!\d)")


def taken(description: str, ports: Collection[int]) -> frozenset[int]:
    """Return which of the ports Docker's sentence says are taken; all of them where it names none."""
    named = frozenset(int(number) for number in _NUMBER.findall(description)).intersection(ports)
    return named or frozenset(ports)


@define(eq=False)
class BlockedPorts:
    """Remembers such ports for a while; times are by the monotonic clock of whoever remembers.

    Each broker finds them out by itself: what is chosen nevertheless costs a start of the container, and
    nothing else.
    """

    _log: ClassVar[Logger] = Logger()

    _until: dict[tuple[HostKey, int], float] = field(factory=dict, init=False)

    def block(self, host: HostKey, ports: Collection[int], description: str, now: float) -> None:
        """Remember that Docker could not publish these ports of the host, or those of them that it names."""
        self._until = {one: until for one, until in self._until.items() if until > now}
        blocked = taken(description, ports)
        self._until |= {(host, port): now + BLOCKED_FOR for port in blocked}
        self._log.warn(
            "ports {ports} of {host} are not chosen for {seconds:g} s: {why}",
            ports=", ".join(map(str, sorted(blocked))),
            host=host.service_host,
            seconds=BLOCKED_FOR,
            why=description,
        )

    def on(self, host: HostKey, now: float) -> frozenset[int]:
        """Return which ports of the host are taken."""
        return frozenset(
            port for (there, port), until in self._until.items() if there == host and until > now
        )

"""How many connections there may be, from one address and in all, and which one goes when there are too many.

Connections that ask nothing cost files and memory, and whoever opens many keeps others out. So it is not the
newcomer that is turned away but the one that has been idle for longest: first of those that never asked
anything, then of those that are kept for a next request, then of those whose body is still arriving. What is
being worked on stays.
"""

from collections import OrderedDict
from enum import IntEnum
from ipaddress import IPv6Address, IPv6Network
from typing import Final, Protocol

from attrs import Factory, define, field
from twisted.internet.address import IPv4Address
from twisted.internet.address import IPv6Address as TwistedIPv6Address

from dockerbroker.model.connections import ConnectionLimits

#: The part of an IPv6 address that somebody has for itself.
_OWN_BITS: Final = 64


class Stage(IntEnum):
    """What a connection does; those that are worth least to their clients come first."""

    FRESH = 0
    KEPT = 1
    READING = 2
    BUSY = 3


class Connection(Protocol):
    """A connection that can be ended."""

    peer: str

    @property
    def is_busy(self) -> bool:
        """Whether a request is being worked on."""

    def evict(self) -> None:
        """End the connection at once, since others are in need of its place."""


def peer_of(address: object) -> str:
    """Return whom an address belongs to: the address itself, the network of an IPv6 host, or nobody's.

    All clients of a socket in the file system count as one.
    """
    if isinstance(address, IPv4Address):
        return address.host
    if not isinstance(address, TwistedIPv6Address):
        return ""
    numbers = IPv6Address(address.host.partition("%")[0])
    if numbers.ipv4_mapped is not None:
        return str(numbers.ipv4_mapped)
    return str(IPv6Network((numbers, _OWN_BITS), strict=False))


@define(eq=False)
class Crowd:
    """Connections by what they do, each in the order in which they began to."""

    size: int = 0
    _by_stage: tuple[OrderedDict[Connection, None], ...] = Factory(
        lambda: tuple(OrderedDict() for _ in range(Stage.BUSY))
    )

    def add(self, connection: Connection, stage: Stage) -> None:
        """Let a connection be the last of its stage."""
        self._by_stage[stage][connection] = None

    def remove(self, connection: Connection, stage: Stage) -> None:
        """Take a connection out of its stage."""
        del self._by_stage[stage][connection]

    def renew(self, connection: Connection, stage: Stage) -> None:
        """Let a connection be the last of the stage in which it is."""
        self._by_stage[stage].move_to_end(connection)

    def idlest(self) -> Connection | None:
        """Return the connection that goes when one must, or None when all are busy."""
        for connections in self._by_stage:
            for connection in connections:
                if not connection.is_busy:
                    return connection
        return None


@define(eq=False)
class Peers:
    """Who is connected. What is remembered of an address is forgotten with its last connection."""

    limits: ConnectionLimits
    everybody: Crowd = field(factory=Crowd, init=False)
    _crowds: dict[str, Crowd] = field(factory=dict, init=False)
    _stages: dict[Connection, Stage] = field(factory=dict, init=False)

    @property
    def names(self) -> list[str]:
        """Whose connections there are."""
        return list(self._crowds)

    def has_room(self, peer: str) -> bool:
        """Return whether one more connection of that peer may come."""
        return not self._has_all(peer) and self.everybody.size < self.limits.in_all

    def make_room(self, peer: str) -> bool:
        """End a connection, of that peer if it has too many; return whether there was one that could go."""
        connection = (self._crowds[peer] if self._has_all(peer) else self.everybody).idlest()
        if connection is None:
            return False
        self.leave(connection)
        connection.evict()
        return True

    def enter(self, connection: Connection) -> None:
        """Count a connection that has asked nothing yet."""
        self._stages[connection] = Stage.FRESH
        for crowd in (self.everybody, self._crowds.setdefault(connection.peer, Crowd())):
            crowd.size += 1
            crowd.add(connection, Stage.FRESH)

    def move(self, connection: Connection, stage: Stage) -> None:
        """Note what a connection does now, unless it has left; one that is busy stays where it is."""
        before = self._stages.get(connection)
        if before is None:
            return
        for crowd in (self.everybody, self._crowds[connection.peer]):
            if before is stage:
                crowd.renew(connection, stage)
            else:
                crowd.remove(connection, before)
                crowd.add(connection, stage)
        self._stages[connection] = stage

    def leave(self, connection: Connection) -> None:
        """Count a connection no more; it may have left already."""
        stage = self._stages.pop(connection, None)
        if stage is None:
            return
        for crowd in (self.everybody, self._crowds[connection.peer]):
            crowd.size -= 1
            crowd.remove(connection, stage)
        if not self._crowds[connection.peer].size:
            del self._crowds[connection.peer]

    def _has_all(self, peer: str) -> bool:
        own = self._crowds.get(peer)
        return own is not None and own.size >= self.limits.per_peer

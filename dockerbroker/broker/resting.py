"""Ports that were given back lately: clients of those who had them may still knock there."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from attrs import define, field

from dockerbroker.model.hosts import HostKey

#: For how long a port is chosen only when there is no other, in seconds.
RESTS_FOR: Final = 60.0


@define(eq=False)
class RestingPorts:
    """Remembers when ports were seen to be leased no more; times are by the monotonic clock of the broker.

    Each broker sees by itself what was leased: whenever it chooses ports, and whenever it compares all
    records with Docker. So it knows of what other brokers have given back as well.
    """

    _leased: dict[HostKey, frozenset[int]] = field(factory=dict, init=False)
    _since: dict[HostKey, dict[int, float]] = field(factory=dict, init=False)

    def see(self, host: HostKey, leased: Collection[int], now: float) -> None:
        """Remember which ports of the host are leased; those that were, and are not, begin to rest."""
        gone = self._leased.pop(host, frozenset()).difference(leased)
        resting = {port: since for port, since in self._resting(host) if now - since < RESTS_FOR}
        if resting := resting | dict.fromkeys(gone, now):
            self._since[host] = resting
        else:
            self._since.pop(host, None)
        if leased:
            self._leased[host] = frozenset(leased)

    def see_all(self, leased: Mapping[HostKey, Collection[int]], now: float) -> None:
        """Remember which ports are leased on all hosts."""
        for host in {*self._leased, *self._since, *leased}:
            self.see(host, leased.get(host, ()), now)

    def choose(self, host: HostKey, ports: Collection[int], now: float) -> None:
        """Remember that these were chosen, and so may be leased and given back before anybody looks again."""
        self._leased[host] = self._leased.get(host, frozenset()).union(ports)
        self._since[host] = dict(self._resting(host)) | dict.fromkeys(ports, now)

    def on(self, host: HostKey, now: float) -> list[int]:
        """Return which ports of the host rest, the one that was given back first at the beginning."""
        found = sorted((since, port) for port, since in self._resting(host) if now - since < RESTS_FOR)
        return [port for _, port in found]

    def _resting(self, host: HostKey) -> Iterable[tuple[int, float]]:
        return self._since.get(host, {}).items()

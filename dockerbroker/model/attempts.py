"""How many wrong passwords an address may try, of one user and in all."""

import ipaddress
from collections import OrderedDict
from typing import Final

from attrs import define, field

from dockerbroker.model.docker_addresses import address_of_text

#: So many wrong passwords an address may try within so many seconds, of one user, and of all together.
MOST: Final = 10
MOST_IN_ALL: Final = 30
WITHIN: Final = 10.0
#: Of so many addresses it is remembered; those that were wrong last.
MOST_ADDRESSES: Final = 10_000

#: All addresses whose first bits are the same are one customer's (RFC 6177).
_PREFIX: Final = 64


def origin_of(peer: str) -> str:
    """Return what stands for all addresses that whoever has this one can take: of IPv6 it is its /64."""
    address = address_of_text(peer)
    if not isinstance(address, ipaddress.IPv6Address):
        return peer if address is None else str(address)
    return f"{int(address) >> _PREFIX:x}/{_PREFIX}"


@define(eq=False)
class WrongAttempts:
    """Counts wrong passwords by the origins (`origin_of`) that they come from, of which each has `most`."""

    most: int = MOST
    _times: OrderedDict[str, tuple[float, ...]] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """Return of how many origins something is remembered."""
        return len(self._times)

    def count(self, origin: str, now: float) -> bool:
        """Count a wrong one; returns whether the origin must wait from now on and did not before."""
        must_wait = self.wait(origin, now) > 0
        known = self._times.pop(origin, ())
        self._times[origin] = (*(time for time in known if time > now - WITHIN), now)[-self.most :]
        self._forget(now)
        return self.wait(origin, now) > 0 and not must_wait

    def wait(self, origin: str, now: float) -> float:
        """Return the seconds until the origin may try again; 0 if it may now."""
        times = self._times.get(origin, ())
        if len(times) < self.most:
            return 0.0
        return max(times[0] + WITHIN - now, 0.0)

    def _forget(self, now: float) -> None:
        while self._times:
            oldest = next(iter(self._times))
            if self._times[oldest][-1] > now - WITHIN and len(self._times) <= MOST_ADDRESSES:
                return
            del self._times[oldest]

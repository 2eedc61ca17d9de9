"""In which order Docker hosts are asked to take an instance: classes that are found by their names.

A dispatcher is any class that can be made without arguments and has a method `order`, see `Dispatcher`. The
configuration names one of `DISPATCHERS`, or one of the user's own as `package.module:Class`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final, Protocol

from attrs import field, frozen

from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.reservations import NOTHING, THOUSANDTHS, Reserved
from dockerbroker.model.vitals import Vitals

#: A host of whose memory or processors this share is in use is filled up no further while there are others.
_STRAINED: Final = 0.9
#: A host that has given away so many times what it has is as full as any.
_LARGEST_SHARE: Final = 1000.0


@frozen(kw_only=True)
class Candidate:
    """A host that may take the instance: what its agent tells, and what the instances there reserve."""

    host: DockerHost
    vitals: Vitals = field(factory=Vitals)
    reserved: Reserved = NOTHING

    @cached_property
    def reserved_share(self) -> float:
        """The largest share of its memory, its processors and its ports that is reserved.

        1 is all of it. What the agent does not tell is left out.
        """
        vitals, reserved = self.vitals, self.reserved
        return max(
            _share(reserved.memory, vitals.memory_total),
            _share(reserved.cpus, (vitals.cpus or 0) * THOUSANDTHS),
            _share(reserved.ports, len(self.host.ports)),
        )

    @cached_property
    def used_share(self) -> float:
        """The larger share of its memory and its processors that is in use, as its agent reports."""
        vitals = self.vitals
        used = 0
        if vitals.memory_total is not None and vitals.memory_free is not None:
            used = vitals.memory_total - vitals.memory_free
        return max(_share(used, vitals.memory_total), _share(vitals.load or 0, vitals.cpus))


def _share(part: float, whole: float | None) -> float:
    if part <= 0 or not whole:
        return 0.0
    # Whatever an agent tells, the shares can be compared.
    return min(part / whole, _LARGEST_SHARE)


class Dispatcher(Protocol):
    """Decides in which order hosts are asked to take an instance.

    It is made once, without arguments, and asked in the broker's own thread: it must neither wait nor do
    anything else than decide.
    """

    def order(self, candidates: Sequence[Candidate], wanted: Reserved) -> Sequence[Candidate]:
        """Return the candidates, the one to be tried first in front; those left out are not tried.

        They come in random order, so that a stable sort decides at random between equals. All of them have
        room for what is `wanted`: what the instance will reserve, but for its ports, which are not known yet.
        """


@frozen
class SimpleDispatcher:
    """Tries the hosts in random order."""

    def order(self, candidates: Sequence[Candidate], wanted: Reserved) -> Sequence[Candidate]:  # noqa: ARG002 (others want it)
        """Return the candidates as they come."""
        return candidates


@frozen
class SpreadDispatcher:
    """Tries the emptiest host first.

    Hosts are compared by their shares in tenths, reserved or in use, whichever is larger, and then by their
    instances; both count as many times as the PerfFactor says, so that a host with 2 gets half as much.
    """

    def order(self, candidates: Sequence[Candidate], wanted: Reserved) -> Sequence[Candidate]:  # noqa: ARG002
        """Return the candidates, the emptiest first."""
        return sorted(candidates, key=_emptiness)


def _emptiness(candidate: Candidate) -> tuple[float, float]:
    factor = candidate.host.perf_factor
    share = max(candidate.reserved_share, candidate.used_share)
    return int(share * factor * 10), candidate.reserved.instances * factor


@frozen
class BinpackDispatcher:
    """Tries the fullest host first, so that others stay empty, for large instances or to be switched off.

    Hosts with a lower PerfFactor are filled before others. Those that are strained come last, the least
    strained first, since what is in use there is more than what is reserved.
    """

    def order(self, candidates: Sequence[Candidate], wanted: Reserved) -> Sequence[Candidate]:  # noqa: ARG002
        """Return the candidates, the fullest first."""
        return sorted(candidates, key=_fullness)


def _fullness(candidate: Candidate) -> tuple[bool, float, float, int]:
    factor, instances = candidate.host.perf_factor, candidate.reserved.instances
    if candidate.used_share >= _STRAINED:
        return True, candidate.used_share, factor, instances
    return False, factor, -candidate.reserved_share, -instances


DISPATCHERS: Final[Mapping[str, Callable[[], Dispatcher]]] = {
    kind.__name__: kind for kind in (SimpleDispatcher, SpreadDispatcher, BinpackDispatcher)
}

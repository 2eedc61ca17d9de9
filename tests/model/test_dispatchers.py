"""In which order hosts are asked to take an instance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.dispatchers import (
    DISPATCHERS,
    BinpackDispatcher,
    Candidate,
    Dispatcher,
    SimpleDispatcher,
    SpreadDispatcher,
)
from dockerbroker.model.reservations import NOTHING, Reserved
from dockerbroker.model.vitals import Vitals
from tests.model.values import HOST, unhurried

GIB = 1024**3


def candidate(name: str, *, instances: int = 0, factor: float = 1.0, **members: Any) -> Candidate:
    """Return a host with so many instances of a thousandth of its memory each."""
    host = evolve(HOST, key=evolve(HOST.key, service_host=name), perf_factor=factor)
    reserved = Reserved(instances=instances, memory=instances * GIB // 1000)
    return Candidate(host=host, reserved=reserved, vitals=Vitals(memory_total=GIB, **members))


def names(found: Sequence[Candidate]) -> list[str]:
    """Return where the candidates are."""
    return [one.host.key.service_host for one in found]


def filled(dispatcher: Dispatcher, hosts: Sequence[Candidate], count: int) -> Counter[str]:
    """Place so many instances one after the other; returns how many are where."""
    placed = {one.host.key.service_host: one for one in hosts}
    one_more = Reserved(instances=1, memory=GIB // 1000)
    for _ in range(count):
        first = dispatcher.order(list(placed.values()), one_more)[0]
        more = evolve(first, reserved=first.reserved + one_more)
        placed[first.host.key.service_host] = more
    return Counter({name: one.reserved.instances for name, one in placed.items()})


#: Totals and what is left of them, known or not.
_AMOUNTS = st.integers(0, 64 * GIB) | st.none()
_CANDIDATES = st.lists(
    st.builds(
        lambda number, factor, reserved, vitals: Candidate(
            host=evolve(HOST, key=evolve(HOST.key, service_host=f"host-{number}"), perf_factor=factor),
            reserved=reserved,
            vitals=vitals,
        ),
        st.integers(0, 10**6),
        st.floats(0, 1e9),
        st.builds(
            Reserved,
            memory=st.integers(0, 2**53),
            cpus=st.integers(0, 10**6),
            ports=st.integers(0, 20000),
            instances=st.integers(0, 10**5),
        ),
        st.builds(
            Vitals,
            memory_total=_AMOUNTS,
            memory_free=_AMOUNTS,
            cpus=st.floats(0, 1024) | st.none(),
            load=st.floats(0, 1e6) | st.none(),
        ),
    ),
    max_size=8,
    unique_by=lambda one: one.host.key,
)


class AnyDispatcherTests(SynchronousTestCase):
    """What all dispatchers have in common."""

    @unhurried
    @given(st.sampled_from(sorted(DISPATCHERS)), _CANDIDATES)
    def test_all(self, name: str, hosts: list[Candidate]) -> None:
        """Every candidate is tried once, whatever is known of it, and the same are ordered the same."""
        dispatcher = DISPATCHERS[name]()
        ordered = dispatcher.order(hosts, NOTHING)
        self.assertCountEqual(ordered, hosts)
        self.assertEqual(dispatcher.order(list(ordered), NOTHING), ordered)

    @unhurried
    @given(st.sampled_from(sorted(DISPATCHERS)), st.permutations([f"host-{number}" for number in range(5)]))
    def test_equals(self, name: str, order: list[str]) -> None:
        """Between equals the order decides in which they come, which is random."""
        hosts = [candidate(one, instances=3) for one in order]
        self.assertEqual(names(DISPATCHERS[name]().order(hosts, NOTHING)), order)

    def test_simple(self) -> None:
        """The simple dispatcher leaves everything to chance."""
        hosts = [candidate("a", instances=9), candidate("b"), candidate("c", factor=5)]
        self.assertEqual(SimpleDispatcher().order(hosts, NOTHING), hosts)


class SpreadTests(SynchronousTestCase):
    """The dispatcher that takes the emptiest host."""

    def order(self, *hosts: Candidate) -> list[str]:
        """Return in which order they are tried."""
        return names(SpreadDispatcher().order(hosts, NOTHING))

    @unhurried
    @given(st.integers(1, 6), st.integers(0, 40))
    def test_evenly(self, hosts: int, count: int) -> None:
        """Instances are spread evenly over equal hosts."""
        found = filled(SpreadDispatcher(), [candidate(f"host-{number}") for number in range(hosts)], count)
        self.assertLessEqual(max(found.values()) - min(found.values()), 1)

    @unhurried
    @given(st.integers(1, 5), st.integers(10, 60))
    def test_weighted(self, factor: int, count: int) -> None:
        """A host with a PerfFactor that is so many times as high gets so many times fewer instances."""
        found = filled(SpreadDispatcher(), [candidate("fast"), candidate("slow", factor=factor)], count)
        self.assertLessEqual(abs(found["fast"] - found["slow"] * factor), factor)

    @unhurried
    @given(_CANDIDATES, st.integers(1, 2**53), st.integers(1, 100))
    def test_emptier(self, hosts: list[Candidate], memory: int, instances: int) -> None:
        """A host that is emptier than another one in every way, and else alike, is tried before it."""
        for one in hosts:
            fuller = evolve(one, reserved=one.reserved + Reserved(memory=memory, instances=instances))
            if one.host.perf_factor > 0:
                self.assertEqual(SpreadDispatcher().order([fuller, one], NOTHING), [one, fuller])

    def test_shares(self) -> None:
        """What counts is the largest share, reserved or in use, of memory, processors and ports."""
        small = candidate("small", instances=200)
        self.assertEqual(self.order(small, evolve(candidate("empty"), host=HOST))[0], HOST.key.service_host)
        busy = candidate("busy", cpus=2, load=1.5)
        used = candidate("used", memory_free=GIB // 2)
        self.assertEqual(self.order(busy, used, small), ["small", "used", "busy"])
        ports = evolve(candidate("ports"), reserved=Reserved(ports=6000))
        cpus = evolve(candidate("cpus", cpus=2), reserved=Reserved(cpus=1800))
        self.assertEqual(self.order(cpus, ports, used), ["used", "ports", "cpus"])

    def test_about_equal(self) -> None:
        """Hosts that are about equally full are compared by their instances."""
        self.assertEqual(
            self.order(
                candidate("more", instances=5, memory_free=GIB * 98 // 100), candidate("less", instances=4)
            ),
            ["less", "more"],
        )


class BinpackTests(SynchronousTestCase):
    """The dispatcher that takes the fullest host."""

    def order(self, *hosts: Candidate) -> list[str]:
        """Return in which order they are tried."""
        return names(BinpackDispatcher().order(hosts, NOTHING))

    @unhurried
    @given(st.integers(1, 6), st.integers(1, 40))
    def test_one_after_the_other(self, hosts: int, count: int) -> None:
        """As long as there is room all instances go to one of several equal hosts."""
        found = filled(BinpackDispatcher(), [candidate(f"host-{number}") for number in range(hosts)], count)
        self.assertEqual(max(found.values()), count)

    def test_cheapest_first(self) -> None:
        """Hosts with a lower PerfFactor are filled before others."""
        self.assertEqual(
            self.order(candidate("dear", factor=2, instances=50), candidate("cheap", factor=0.5)),
            ["cheap", "dear"],
        )

    def test_fullest(self) -> None:
        """The largest reserved share counts, and then the instances."""
        self.assertEqual(
            self.order(candidate("a"), candidate("b", instances=2), candidate("c", instances=5)),
            ["c", "b", "a"],
        )
        none = [
            evolve(candidate(name), reserved=Reserved(instances=count))
            for name, count in (("a", 1), ("b", 2))
        ]
        self.assertEqual(self.order(*none), ["b", "a"])

    def test_strained(self) -> None:
        """A host that is busy already is left for the last."""
        busy = candidate("busy", instances=500, cpus=2, load=1.9)
        swapping = candidate("swapping", instances=500, memory_free=0)
        self.assertEqual(self.order(swapping, busy, candidate("empty")), ["empty", "busy", "swapping"])

"""What authentication costs a catalog request whose password is known, and whether its time tells anything.

Both are measured in this process, without a network: a request is fed to the site as bytes.
"""

import gc
import random
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from math import sqrt
from statistics import fmean, median, variance
from time import perf_counter_ns, process_time
from typing import Final

from attrs import evolve, frozen

from benchmarks.sides import Sides
from dockerbroker.model.credentials import Candidate, Candidates, Salt
from dockerbroker.model.roles import Role
from tests.credentials import CHEAP, credential
from tests.stack import PASSWORD, USER, Stack
from tests.web.connection import Connection

REQUESTS: Final = 2000
_TURNS: Final = 20
#: How often each kind of wrong password is compared.
SAMPLES: Final = 20_000
#: More than this in Welch's t is a leak, as in dudect.
MOST_T: Final = 4.5
_GUESS: Final = "correct horse battery"
#: The slowest part of the samples is what else the machine does.
_KEPT: Final = 0.9


def measure(rounds: int) -> Sides:
    """Measure catalog requests with a password that is known, and with no entrance at all, in turn."""
    stack = Stack()
    token = b64encode(f"{USER}:{PASSWORD}".encode())
    request = (
        b"GET /v2/catalog HTTP/1.1\r\nHost: broker\r\nX-Broker-API-Version: 2.17\r\n"
        b"Authorization: Basic " + token + b"\r\n\r\n"
    )
    root = stack.site._root  # noqa: SLF001 (the one way to take the entrance away)
    with_entrance = root.gates
    without = evolve(with_entrance, platform=evolve(with_entrance.platform, entrance=None))
    stack.request("GET", "/v2/catalog")

    def seconds(count: int) -> float:
        connection = Connection(stack)
        before = process_time()
        for _ in range(count):
            connection.send(request)
        spent = process_time() - before
        assert connection.received().count(b"HTTP/1.1 200") == count
        return spent / count

    ours, bare = [], []
    for _ in range(rounds + 1):
        spent = [0.0, 0.0]
        # Often in turn, so that what else the machine does meets both.
        for _ in range(_TURNS):
            for side, gates in enumerate((with_entrance, without)):
                root.gates = gates
                spent[side] += seconds(REQUESTS // _TURNS) / _TURNS
        ours.append(spent[0])
        bare.append(spent[1])
    # The first round only warms.
    return Sides(ours[1:], bare[1:])


@frozen
class Timing:
    """The largest of Welch's t between two kinds, and of the differences of medians, in microseconds."""

    largest_t: float
    largest_difference: float


def measure_timing(samples: int = SAMPLES) -> Timing:
    """Compare one wrong password with right ones of several kinds, in random order.

    What a real hash costs, which is the same for all, would only hide differences; these cost next to
    nothing.
    """
    size = len(_GUESS)
    kinds: Mapping[str, tuple[str, str]] = {
        "unknown user": ("xx", "x" * size),
        "no prefix": ("cf", "x" * size),
        "half of it": ("cf", _GUESS[: size // 2] + "x" * (size - size // 2)),
        "all but the last": ("cf", _GUESS[:-1] + "x"),
        "shorter": ("cf", _GUESS[:-8]),
        "longer": ("cf", _GUESS + "x" * 8),
    }
    times = _interleaved({kind: _comparison(*right) for kind, right in kinds.items()}, samples)
    pairs = list(combinations([_trimmed(found) for found in times.values()], 2))
    return Timing(
        largest_t=max(abs(_welch(one, other)) for one, other in pairs),
        largest_difference=max(abs(median(one) - median(other)) for one, other in pairs) / 1000,
    )


def _comparison(user: str, right: str) -> Callable[[], Callable[[], object]]:
    def prepare() -> Callable[[], object]:
        # Other objects each time, so that it does not count where in memory they are.
        known = [credential(Role.PLATFORM, user, right), credential(Role.PLATFORM, "other", "other")]
        found = Candidates.of([Candidate.of(one) for one in known], lambda: Salt.new(CHEAP))
        return partial(found.match, b"cf", _GUESS.encode())

    return prepare


def _interleaved(
    calls: Mapping[str, Callable[[], Callable[[], object]]], samples: int
) -> dict[str, list[int]]:
    names = [name for name in calls for _ in range(samples)]
    random.shuffle(names)
    times: dict[str, list[int]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    try:
        for name in names:
            call = calls[name]()
            before = perf_counter_ns()
            call()
            times[name].append(perf_counter_ns() - before)
    finally:
        gc.enable()
    return times


def _trimmed(times: list[int]) -> list[int]:
    return sorted(times)[: int(len(times) * _KEPT)]


def _welch(one: list[int], other: list[int]) -> float:
    spread = variance(one) / len(one) + variance(other) / len(other)
    return (fmean(one) - fmean(other)) / sqrt(spread)

"""What an operation costs where Docker costs nothing: how many a second, and in large databases."""

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from time import perf_counter
from uuid import uuid4

from attrs import frozen

from benchmarks.memory_broker import filled_broker
from benchmarks.processes import cpu_seconds, resident_mebibytes
from benchmarks.sides import Sides
from tests.asking import REDIS
from tests.running import RunningBroker

#: How many instances the databases have; the first one is what the others are compared with.
SIZES = (100, 10_000, 100_000)
CONCURRENCY = 4
#: How often something is provisioned and deprovisioned in a round.
_PAIRS = 40
_PAIRS_OF_A_SIZE = 5

#: The least that an operation writes which survives a crash: what it is about to do, and what came of it.
_INTENT = "INSERT INTO operations VALUES (?, ?)"
_OUTCOME = "UPDATE operations SET document = ? WHERE id = ?"


@frozen
class Rates:
    """Operations per second, and MiB of memory at the end of each round, with those after the first one."""

    operations: Sides
    memory: Sides


@frozen
class Costs:
    """Seconds for an operation in a database of one size, beside those in the smallest one."""

    instances: int
    wall: Sides
    processor: Sides


def measure_rates(rounds: int) -> Rates:
    """Measure provisions and deprovisions, several at once, beside SQLite's transactions alone."""
    rates: list[tuple[float, float]] = []
    memory: list[float] = []
    with filled_broker(SIZES[0]) as running:
        assert running.broker is not None
        for number in range(rounds + 1):
            rate = _rate(running)
            if number:  # the first round warms up
                rates.append((rate, _least_rate(running.folder / f"least-{number}.db")))
            memory.append(resident_mebibytes(running.broker.pid))
    operations = Sides([rate[0] for rate in rates], [rate[1] for rate in rates])
    return Rates(operations, Sides(memory[-1:], memory[:1]))


def measure_costs(rounds: int, sizes: Sequence[int] = SIZES) -> list[Costs]:
    """Measure an operation, one at a time, in databases of all sizes in turn."""
    with ExitStack() as stack:
        brokers = [stack.enter_context(filled_broker(size)) for size in sizes]
        taken: list[list[tuple[float, float]]] = [[] for _ in sizes]
        for number in range(rounds + 1):
            order = list(range(len(sizes)))
            for position in order if number % 2 else reversed(order):
                cost = _cost(brokers[position])
                if number:  # the first round warms up
                    taken[position].append(cost)
    sides = [
        [Sides([one[i] for one in costs], [one[i] for one in taken[0]]) for i in (0, 1)] for costs in taken
    ]
    return [Costs(size, wall, processor) for size, (wall, processor) in zip(sizes, sides, strict=True)]


def _rate(running: RunningBroker) -> float:
    start = perf_counter()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(lambda _: _pair(running), range(_PAIRS)))
    return 2 * _PAIRS / (perf_counter() - start)


def _cost(running: RunningBroker) -> tuple[float, float]:
    assert running.broker is not None
    processor, start = cpu_seconds(running.broker.pid), perf_counter()
    for _ in range(_PAIRS_OF_A_SIZE):
        _pair(running)
    wall = perf_counter() - start
    count = 2 * _PAIRS_OF_A_SIZE
    return wall / count, (cpu_seconds(running.broker.pid) - processor) / count


def _pair(running: RunningBroker) -> None:
    instance_id = str(uuid4())
    answer = running.provision(instance_id, REDIS.name)
    assert answer.status == 201, answer.document
    answer = running.deprovision(instance_id, REDIS.name)
    assert answer.status == 200, answer.document


def _least_rate(path: Path) -> float:
    document = "x" * 500
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE operations (id TEXT PRIMARY KEY, document TEXT)")
        start = perf_counter()
        for _ in range(2 * _PAIRS):
            operation_id = str(uuid4())
            connection.execute(_INTENT, (operation_id, document))
            connection.execute(_OUTCOME, (document, operation_id))
        return 2 * _PAIRS / (perf_counter() - start)

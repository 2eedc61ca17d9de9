"""Measures the broker beside a baseline, prints a table and writes JSON: `python -m benchmarks --help`."""

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import define

from benchmarks import (
    abuse,
    agents,
    authentication,
    catalog,
    guessing,
    operations,
    passes,
    pings,
    placement,
    provisioning,
    queries,
    starting,
    success,
    tls,
    writes,
)
from benchmarks.backends import DRIVERS
from benchmarks.sides import HEADER
from tests.real_engine import RealEngine, engine
from tests.running import RunningBroker

CATALOG_ROUNDS = 3
REQUESTS_OF_A_ROUND = 1000

Row = tuple[str, ...]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--output", type=Path, default=Path("benchmark-results.json"))
    parser.add_argument("--rounds", type=int, default=10, help="of provisions, one at a time")
    parser.add_argument(
        "--only", nargs="+", choices=list(FIGURES), default=list(FIGURES), help="what to measure"
    )
    arguments = parser.parse_args()
    bench = Bench(arguments.rounds)
    rows: list[Row] = [HEADER]
    for name, measure in FIGURES.items():
        if name in arguments.only:
            rows += measure(bench)
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    results = [dict(zip(HEADER, row, strict=True)) for row in rows[1:]]
    report = {"python": platform.python_version(), "machine": platform.machine(), "results": results}
    arguments.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


@define(eq=False)
class Bench:
    """What is measured, each by a method that returns lines of the table."""

    rounds: int

    @property
    def few_rounds(self) -> int:
        """The rounds of what takes longer than a provision."""
        return max(2, self.rounds // 2)

    def provision(self) -> list[Row]:
        """Measure provisions through the broker and by Docker alone."""
        rows = []
        with _broker() as (docker_engine, running):
            for concurrency, aim in ((1, "<= 1.15"), (4, "<= 1.25")):
                rounds = max(2, self.rounds // concurrency)
                sides = provisioning.measure(docker_engine, running, concurrency, rounds)
                rows.append(sides.row(f"provision of a Redis, {concurrency} at once (s)", aim))
        return rows

    def success(self) -> list[Row]:
        """Measure the time until Cloud Foundry shows success."""
        with _broker() as (docker_engine, running):
            sides = success.measure(docker_engine, running, self.few_rounds)
        return [sides.row("until Cloud Foundry shows success (s)", "< 1.5 s")]

    def catalog(self) -> list[Row]:
        """Measure catalog requests, and the memory after them."""
        with _broker() as (_, running):
            measured = catalog.measure(running, CATALOG_ROUNDS, REQUESTS_OF_A_ROUND)
        requests = CATALOG_ROUNDS * REQUESTS_OF_A_ROUND
        return [
            measured.requests.row("catalog requests per CPU-second", digits=0),
            measured.memory.row(f"memory after {requests} requests (MiB)", "< 90 MiB", digits=1),
        ]

    def authentication(self) -> list[Row]:
        """Measure what authentication costs a catalog request, beside none."""
        sides = authentication.measure(self.rounds)
        return [
            sides.row("a catalog request with a known password, and with none (CPU s)", "<= 1.1", digits=6)
        ]

    def guessing(self) -> list[Row]:
        """Measure what a client notices while strangers guess passwords."""
        sides = guessing.measure(self.few_rounds)
        figure = f"99 of 100 catalog requests while {guessing.STRANGERS} strangers guess, and not (ms)"
        return [sides.row(figure, "< 200 ms", digits=1)]

    def timing(self) -> list[Row]:
        """Measure whether the time of comparing a wrong password tells anything of the right one."""
        measured = authentication.measure_timing()
        figures = (
            ("largest Welch's t of wrong passwords", measured.largest_t, f"< {authentication.MOST_T}"),
            ("largest difference of medians of wrong passwords (us)", measured.largest_difference, "< 1"),
        )
        return [(name, f"{value:.2f}", "", "", "", aim) for name, value, aim in figures]

    def operations(self) -> list[Row]:
        """Measure how many operations there are in a second, and whether memory grows by them."""
        rates = operations.measure_rates(self.few_rounds)
        several = f"{operations.CONCURRENCY} at once"
        return [
            rates.operations.row(f"operations per second, {several}", digits=1),
            rates.memory.row("memory after all rounds, and after one (MiB)", digits=1),
        ]

    def sizes(self) -> list[Row]:
        """Measure an operation in databases of several sizes."""
        rows = []
        for cost in operations.measure_costs(self.rounds)[1:]:
            where = f"with {cost.instances} instances"
            rows.append(cost.processor.row(f"operation {where} (CPU s)", "<= 1.3", digits=4))
            rows.append(cost.wall.row(f"operation {where} (s)", "<= 1.3", digits=4))
        return rows

    def passes(self) -> list[Row]:
        """Measure the comparison of rows with Docker."""
        return [
            passes.measure(self.few_rounds).row(f"comparing {passes.INSTANCES} instances (CPU s)", digits=2)
        ]

    def writes(self) -> list[Row]:
        """Measure how many writes each database takes, beside the bare driver."""
        rows = []
        for driver in DRIVERS:
            if (measured := writes.measure(driver, self.rounds)) is not None:
                where = f"{writes.CLIENTS} at once, {driver}"
                rows.append(measured.rate.row(f"writes per second, {where}", ">= 0.6", digits=0))
                rows.append(measured.slow.row(f"99 of 100 writes, {where} (ms)", digits=1))
        together = writes.measure_groups(self.rounds)
        where = f"{writes.CLIENTS} at once, sqlite, and one by one"
        return [*rows, together.rate.row(f"writes per second, {where}", ">= 2", digits=0)]

    def queries(self) -> list[Row]:
        """Measure the calls of each persister in a large database, beside a small one."""
        rows = []
        for driver in DRIVERS:
            for name, sides in (queries.measure(driver, self.rounds) or {}).items():
                figure = f"{name}, with {queries.LARGE} instances, {driver} (s)"
                rows.append(sides.row(figure, "<= 1.3", digits=5))
        return rows

    def pings(self) -> list[Row]:
        """Measure the pings of many agents on each database, and by the broker's web."""
        rows = []
        for driver in DRIVERS:
            if (measured := pings.measure(driver, self.few_rounds)) is not None:
                where = f"{pings.CROWD.agents} agents, {driver}"
                rows.append(measured.slow.row(f"99 of 100 pings, {where} (ms)", measured.verdict, digits=1))
                rows.append(measured.processor.row(f"a ping, {where} (CPU s)", digits=5))
        return rows

    def agents(self) -> list[Row]:
        """Measure how many agents a broker hears over HTTP and HTTPS."""
        rows = []
        for how, is_encrypted, aim in (("HTTP", False, ">= 2000"), ("HTTPS", True, ">= 1500")):
            heard = agents.measure(self.few_rounds, is_encrypted=is_encrypted)
            where = f"{how}, keepalive {agents.BUSY.keep_alive:g} s"
            rows.append(heard.agents.row(f"agents per core, {where}", f"{aim}; {heard.verdict}", digits=0))
            figure = f"99 of 100 pings of {agents.BUSY.agents} agents, {where} (ms)"
            rows.append((figure, f"{heard.slow:.1f}", "", "", "", ""))
        return rows

    def fleet(self) -> list[Row]:
        """Measure the pings of many agents at two brokers while instances are made."""
        measured = agents.measure_fleet(2)
        where = (
            f"pings of {agents.FLEET.agents} agents at 2 brokers, {measured.instances} instances made (ms)"
        )
        return [
            measured.middle.row(f"half of {where}", digits=1),
            measured.slow.row(f"99 of 100 {where}", f"< 250 ms; {measured.verdict}", digits=1),
        ]

    def abuse(self) -> list[Row]:
        """Measure what others notice of clients that mean harm."""
        rows = []
        for name, measured in abuse.measure(self.few_rounds).items():
            rows.append(measured.stall.row(f"worst stall under {name} (ms)", "<= 200 ms", digits=1))
            rows.append(measured.computed.row(f"worst computing under {name} (ms)", digits=1))
            rows.append(measured.slowest.row(f"slowest catalog under {name} (ms)", digits=1))
        return rows

    def placement(self) -> list[Row]:
        """Measure how long it takes to choose a host."""
        rows = []
        for driver in DRIVERS:
            if (measured := placement.measure(driver, self.rounds)) is not None:
                where = f"among {placement.HOSTS} hosts with {placement.LARGE} instances, {driver}"
                rows.append(measured.choosing.row(f"placement {where} (s)", "< 0.005 s, <= 1.3", digits=4))
                rows.append(measured.processor.row(f"placement {where} (CPU s)", "< 0.005 s", digits=4))
                rows.append(measured.anew.row("the same after a look (s)", "<= 1.3", digits=4))
                rows.append(measured.looking.row(f"a look {where} (s)", "<= 1.3", digits=4))
        return rows

    def tls(self) -> list[Row]:
        """Measure catalog requests over TLS beside those over plain HTTP."""
        sides = tls.measure(self.rounds)
        return [sides.row("a catalog request over kept TLS (CPU s)", "<= 1.5", digits=6)]

    def starting(self) -> list[Row]:
        """Measure the loading of the program."""
        measured = starting.measure(self.rounds)
        return [
            measured.processor.row("loading the program (CPU s)"),
            measured.memory.row("memory after loading (MiB)", digits=1),
        ]


#: What can be measured, by the names for `--only`; some need a Docker Engine.
FIGURES: dict[str, Callable[[Bench], list[Row]]] = {
    "provision": Bench.provision,
    "success": Bench.success,
    "catalog": Bench.catalog,
    "authentication": Bench.authentication,
    "guessing": Bench.guessing,
    "timing": Bench.timing,
    "operations": Bench.operations,
    "sizes": Bench.sizes,
    "passes": Bench.passes,
    "writes": Bench.writes,
    "queries": Bench.queries,
    "pings": Bench.pings,
    "agents": Bench.agents,
    "fleet": Bench.fleet,
    "abuse": Bench.abuse,
    "placement": Bench.placement,
    "tls": Bench.tls,
    "starting": Bench.starting,
}


@contextmanager
def _broker() -> Iterator[tuple[RealEngine, RunningBroker]]:
    docker_engine = engine()
    docker_engine.build_services()
    running = RunningBroker([provisioning.SERVICE], docker_engine.unix_url)
    try:
        yield docker_engine, running.start()
    finally:
        running.stop()


if __name__ == "__main__":
    main()

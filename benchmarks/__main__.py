"""Runs every measurement, prints a table and writes JSON: `python -m benchmarks [--output FILE]`."""

import argparse
import json
import platform
from pathlib import Path
from typing import Any

from benchmarks import catalog, provisioning
from benchmarks.processes import resident_mebibytes
from tests.real_engine import engine
from tests.running import RunningBroker

REQUESTS_BEFORE_MEMORY = 1000


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("benchmark-results.json"))
    parser.add_argument("--rounds", type=int, default=10, help="rounds of provisions, one at a time")
    arguments = parser.parse_args()
    rows = _measure(arguments.rounds)
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    results = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    report = {"python": platform.python_version(), "machine": platform.machine(), "results": results}
    arguments.output.write_text(json.dumps(report, indent=2) + "\n", "utf-8")


def _measure(rounds: int) -> list[list[str]]:
    docker_engine = engine()
    docker_engine.build_services()
    running = RunningBroker([provisioning.SERVICE], docker_engine.unix_url).start()
    try:
        return _rows(docker_engine, running, rounds)
    finally:
        running.stop()


def _rows(docker_engine: Any, running: RunningBroker, rounds: int) -> list[list[str]]:
    assert running.broker is not None
    rows = [["figure", "broker", "baseline", "ratio", "aim"]]
    for concurrency, aim in ((1, "<= 1.15"), (4, "<= 1.25")):
        measured = provisioning.measure(docker_engine, running, concurrency, max(2, rounds // concurrency))
        rows.append(
            [
                f"provision, {concurrency} at once (s)",
                f"{measured.broker:.3f}",
                f"{measured.raw:.3f}",
                f"{measured.ratio:.2f}",
                aim,
            ]
        )
    requests = catalog.measure(running, rounds=3, requests=REQUESTS_BEFORE_MEMORY)
    figures = [f"{requests.broker:.0f}", f"{requests.bare:.0f}", f"{requests.ratio:.2f}"]
    rows.append(["catalog requests per CPU-second", *figures, ""])
    memory = resident_mebibytes(running.broker.pid)
    rows.append(
        [f"memory after {3 * REQUESTS_BEFORE_MEMORY} requests (MiB)", f"{memory:.1f}", "", "", "< 90"]
    )
    return rows


if __name__ == "__main__":
    main()

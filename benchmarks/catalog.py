"""Catalog requests for each second of the server's processor time, against a bare resource."""

import http.client
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from attrs import frozen

from benchmarks.processes import cpu_seconds, resident_mebibytes
from benchmarks.sides import Sides
from tests.ports import free_port
from tests.running import PASSWORD, USER, RunningBroker

CONNECTIONS = 4


@frozen
class Catalog:
    """Requests per second of processor time, and MiB of memory after all of them."""

    requests: Sides
    memory: Sides


def measure(running: RunningBroker, rounds: int, requests: int) -> Catalog:
    """Measure both servers in turn, each round with so many requests over kept connections."""
    assert running.broker is not None
    catalog = running.folder / "catalog.json"
    catalog.write_bytes(_get(running.port))
    with _bare(catalog) as (pid, port):
        figures = [
            (
                _per_cpu_second(running.broker.pid, running.port, requests),
                _per_cpu_second(pid, port, requests),
            )
            for _ in range(rounds)
        ]
        memory = Sides([resident_mebibytes(running.broker.pid)], [resident_mebibytes(pid)])
    return Catalog(Sides([figure[0] for figure in figures], [figure[1] for figure in figures]), memory)


@contextmanager
def _bare(body: Path) -> Iterator[tuple[int, int]]:
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "benchmarks.bare", str(port), str(body)])
    try:
        deadline = monotonic() + 30
        while True:
            try:
                _get(port)
                break
            except OSError:
                if monotonic() > deadline:
                    raise
                sleep(0.05)
        yield server.pid, port
    finally:
        server.terminate()
        server.wait(30)


def _per_cpu_second(pid: int, port: int, requests: int) -> float:
    before = cpu_seconds(pid)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(lambda _: _get(port, requests // CONNECTIONS), range(CONNECTIONS)))
    return requests / (cpu_seconds(pid) - before)


def _get(port: int, times: int = 1) -> bytes:
    token = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
    headers = {"Authorization": f"Basic {token}", "X-Broker-API-Version": "2.17"}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = b""
    for _ in range(times):
        connection.request("GET", "/v2/catalog", headers=headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == http.client.OK, body
    connection.close()
    return body

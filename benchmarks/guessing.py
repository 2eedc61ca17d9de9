"""What a client whose password is known notices while strangers guess from many addresses."""

import http.client
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Final

from benchmarks.memory_broker import filled_broker
from benchmarks.sides import Sides
from tests.running import PASSWORD, USER, RunningBroker

#: So many guess at once, each from so many addresses of this machine in turn.
STRANGERS: Final = 40
ADDRESSES: Final = 250
#: For how many seconds each side is measured in a round, with so many seconds between two requests.
SPAN: Final = 4.0
_PAUSE: Final = 0.02
_PATIENCE: Final = 30.0
_SLOW: Final = 0.99


def measure(rounds: int) -> Sides:
    """Measure what 99 of 100 catalog requests are faster than, in milliseconds: while many guess, and not."""
    guessed, quiet = [], []
    with filled_broker(10) as running:
        _slow(running)
        for number in range(rounds):
            with _strangers(running.port, number):
                guessed.append(_slow(running))
            quiet.append(_slow(running))
    return Sides(guessed, quiet)


def _slow(running: RunningBroker) -> float:
    token = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
    headers = {"Authorization": f"Basic {token}", "X-Broker-API-Version": "2.17"}
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=_PATIENCE)
    times = []
    end = time.monotonic() + SPAN
    while time.monotonic() < end:
        before = time.monotonic()
        connection.request("GET", "/v2/catalog", headers=headers)
        response = connection.getresponse()
        response.read()
        assert response.status == http.client.OK, response.status
        times.append(time.monotonic() - before)
        time.sleep(_PAUSE)
    connection.close()
    return sorted(times)[int(len(times) * _SLOW)] * 1000


@contextmanager
def _strangers(port: int, seed: int) -> Iterator[None]:
    ended = Event()
    threads = [Thread(target=_guess, args=(port, seed, one, ended)) for one in range(STRANGERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _guess(port: int, seed: int, stranger: int, ended: Event) -> None:
    number = 0
    while not ended.is_set():
        number += 1
        token = b64encode(f"{USER}:{seed}-{stranger}-{number}".encode())
        # Whoever waits for a comparison waits no longer than the measurement.
        with suppress(OSError), socket.socket() as one:
            one.settimeout(1.0)
            one.bind((f"127.0.{stranger + 1}.{1 + number % ADDRESSES}", 0))
            one.connect(("127.0.0.1", port))
            one.sendall(b"GET /v2/catalog HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + token + b"\r\n\r\n")
            one.recv(4096)

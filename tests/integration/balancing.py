"""A load balancer in front of several brokers, and a platform behind it: who must not notice a restart."""

from __future__ import annotations

import http.client
import json
import select
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import count
from threading import Event, Lock, Thread
from typing import Any, Final

from attrs import define, field

from dockerbroker.web.guard import LAST_REQUESTS
from tests.integration import keeper
from tests.polling import PATIENCE
from tests.running import PASSWORD, USER, Answer

_TOKEN: Final = b64encode(f"{USER}:{PASSWORD}".encode()).decode("ascii")
_HEADERS: Final = {"Authorization": f"Basic {_TOKEN}", "X-Broker-API-Version": "2.17"}
#: Between two polls, in seconds.
_PAUSE: Final = 0.05
#: Between two looks at the catalog, in seconds: at any moment connections are made and used.
_BREATH: Final = 0.005

#: What was not used for so many seconds is not used any more: brokers that end close what is idle for longer.
_IDLE: Final = LAST_REQUESTS / 2

#: What a client sees when its connection drops before there is a status line.
_DROPPED: Final = (
    http.client.RemoteDisconnected,
    http.client.BadStatusLine,
    ConnectionResetError,
    BrokenPipeError,
)


@define(eq=False)
class Tally:
    """What all clients have seen together."""

    answered: int = 0
    lives: int = 0
    refused: int = 0
    #: Requests of clients that were held up for longer than a broker that ends waits for them.
    late: int = 0
    #: Connections that were lost while a request was under way.
    drops: list[str] = field(factory=list)
    failures: list[str] = field(factory=list)
    _lock: Lock = field(factory=Lock)

    def count(self, what: str) -> None:
        """Count one more."""
        with self._lock:
            setattr(self, what, getattr(self, what) + 1)


@define(eq=False)
class Client:
    """A client that keeps its connections as long as it uses them, as load balancers do; one thread has it.

    The brokers have their turns. One that refuses a connection is left out; a request whose connection drops
    is sent once more, as Cloud Controller's client does it by itself.
    """

    ports: list[int]
    tally: Tally
    _turn: Iterator[int] = field(factory=count)
    _connections: dict[int, http.client.HTTPConnection] = field(factory=dict)
    #: When each connection was made, or its last answer came; and when its last request was sent.
    _used: dict[http.client.HTTPConnection, float] = field(factory=dict)
    _asked: dict[http.client.HTTPConnection, float] = field(factory=dict)

    def send(self, method: str, path: str, body: Any = None) -> Answer:
        """Send a request, at most twice; raises `AssertionError` when nobody has answered then."""
        for _ in range(2):
            connection = self._connected()
            try:
                answer = self._exchanged(connection, method, path, body)
            except _DROPPED as error:
                connection.close()
                age = self._asked[connection] - self._used[connection]
                if age > _IDLE:
                    self.tally.count("late")
                else:
                    self.tally.drops.append(f"{method} {path}: {error!r}, used {age:.3f} s before")
                continue
            self._used[connection] = time.monotonic()
            self.tally.count("answered")
            return answer
        raise AssertionError(f"{method} {path}: the connection was lost twice")

    def _connected(self) -> http.client.HTTPConnection:
        for _ in self.ports:
            port = self.ports[next(self._turn) % len(self.ports)]
            connection = self._connections.setdefault(
                port, http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            )
            is_idle = time.monotonic() - self._used.get(connection, 0.0) > _IDLE
            if connection.sock is not None and (is_idle or _was_closed(connection)):
                connection.close()
            try:
                if connection.sock is None:
                    connection.connect()
                    self._used[connection] = time.monotonic()
            except (ConnectionRefusedError, ConnectionResetError):
                # Reset: listening ended in the midst of the handshake, before anything was asked.
                self.tally.count("refused")
            else:
                return connection
        raise AssertionError("no broker takes a connection")

    def _exchanged(self, connection: http.client.HTTPConnection, method: str, path: str, body: Any) -> Answer:
        try:
            connection.request(method, path, None if body is None else json.dumps(body), _HEADERS)
        finally:
            self._asked[connection] = time.monotonic()
        with connection.getresponse() as response:
            text = response.read()
        return Answer(response.status, json.loads(text), dict(response.getheaders()))

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()


def _was_closed(connection: http.client.HTTPConnection) -> bool:
    # Nothing may come without a request; so what is there to be read is the end.
    return bool(select.select([connection.sock], [], [], 0)[0])


@define(eq=False)
class Load:
    """Clients that work at once until they are told to end: some live through instances, others look on."""

    ports: list[int]
    tally: Tally = field(factory=Tally)
    _ending: Event = field(factory=Event)
    _threads: list[Thread] = field(factory=list)

    def start(self, *, users: int, readers: int, strangers: int) -> None:
        """Let so many users of services work, readers of the catalog, and such as never keep a connection."""
        for number in range(users):
            self._run(lambda client, number=number: self._use(client, number))  # type: ignore[misc]
        for _ in range(readers):
            self._run(lambda client: self._read(client, keeps=True))
        for _ in range(strangers):
            self._run(lambda client: self._read(client, keeps=False))

    def end(self) -> None:
        """Let all finish what they have begun."""
        self._ending.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _run(self, work: Callable[[Client], None]) -> None:
        def run() -> None:
            client = Client(self.ports, self.tally)
            try:
                work(client)
            except Exception as error:  # noqa: BLE001 (whatever it is: a platform has noticed something)
                self.tally.failures.append(f"{type(error).__name__}: {error}")
            finally:
                client.close()

        thread = Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self, client: Client, *, keeps: bool) -> None:
        while not self._ending.is_set():
            expect(client.send("GET", "/v2/catalog"), 200)
            if not keeps:
                client.close()
            time.sleep(_BREATH)

    def _use(self, client: Client, number: int) -> None:
        for life in count():
            if self._ending.is_set():
                return
            live(client, f"user-{number}-{life}")
            self.tally.count("lives")


def live(client: Client, instance_id: str) -> None:
    """Provision an instance, bind it, unbind it and deprovision it."""
    ids = {"service_id": keeper.NAME, "plan_id": keeper.SMALL}
    query = f"service_id={keeper.NAME}&plan_id={keeper.SMALL}"
    instance = f"/v2/service_instances/{instance_id}"
    binding = f"{instance}/service_bindings/b-1"
    body = ids | {"organization_guid": "o", "space_guid": "s"}
    expect(client.send("PUT", f"{instance}?accepts_incomplete=true", body), 200, 201, 202)
    _poll(client, instance)
    bound = expect(client.send("PUT", binding, ids), 200, 201)
    assert bound.document["credentials"]["password"], "a binding without credentials"
    expect(client.send("DELETE", f"{binding}?{query}"), 200, 410)
    expect(client.send("DELETE", f"{instance}?{query}&accepts_incomplete=true"), 200, 202, 410)
    _poll(client, instance)


def _poll(client: Client, instance: str) -> None:
    """Poll until the operation has succeeded."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        polled = expect(client.send("GET", f"{instance}/last_operation"), 200, 410)
        if polled.status == 410 or polled.document["state"] == "succeeded":
            return
        assert polled.document["state"] == "in progress", polled
        time.sleep(_PAUSE)
    raise AssertionError(f"{instance}: the operation does not end")


def expect(answer: Answer, *statuses: int) -> Answer:
    """Return the answer, which must have one of these statuses."""
    assert answer.status in statuses, answer
    return answer

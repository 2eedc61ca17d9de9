"""A broker and an agent over HTTPS, as real programs."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config import load_agent
from dockerbroker.tls.pairs import load_pair
from tests.engines.certificates import Authority
from tests.polling import PATIENCE, poll
from tests.running import RunningBroker
from tests.tls.files import Files
from tests.tls.memory import pair_of

_IMAGE: Final[dict[str, Any]] = {"name": "redis", "plan": "100"}
_CROWD: Final = 4


class HttpsTests(SynchronousTestCase):
    """One start of the two programs, on a port and on a socket of the file system."""

    def setUp(self) -> None:
        """Start both; the broker makes its own certificate."""
        self.running = RunningBroker(
            [_IMAGE], "unix:///var/run/absent.sock", agent_settings={"watchdocker": False}
        )
        self.addCleanup(self.running.stop)
        self.folder = self.running.folder
        self.running.settings |= {
            "listen": [f"tcp:{self.running.port}:interface=127.0.0.1", "unix:broker.socket"],
            "tls": {"selfsigned": True},
        }
        self.running.start()

    def test_life(self) -> None:
        """All is said over TLS, with the broker's own certificate and then with another, to the end."""
        self.check_own_certificate()
        self.check_plain_requests()
        crowd = Crowd(self.running.port, self.folder / "broker.socket", self.trusted())
        crowd.start()
        self.exchange(crowd)
        assert self.running.broker is not None
        self.running.broker.send_signal(signal.SIGTERM)
        self.running.broker.wait(PATIENCE)
        self.assertEqual(crowd.stop(), [])
        self.assertGreater(crowd.answers, _CROWD)
        self.assertFalse((self.folder / "broker.socket").exists())

    def check_own_certificate(self) -> None:
        """Its fingerprint is in the log, the key is its owner's alone, and the agent has believed it."""
        certificate, key = self.folder / "broker.crt", self.folder / "broker.key"
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        fingerprint = load_pair(certificate, key, "tls.").fingerprint
        self.assertIn(f"has the SHA-256 fingerprint {fingerprint}", self.running.log())
        self.assertIn(f"https://127.0.0.1:{self.running.port}/ping", self.agents_url())
        self.assertEqual(self.running.request("GET", "/readyz").status, 200)
        self.assertEqual(self.running.request("GET", "/admin/tls").document["Fingerprint"], fingerprint)

    def agents_url(self) -> str:
        """Return where the agent, which has registered, sends its pings."""
        (server,) = load_agent(self.folder / "agent.config").brokers
        return server.url

    def check_plain_requests(self) -> None:
        """Who speaks no TLS gets no answer in HTTP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        with self.assertRaises((http.client.HTTPException, ConnectionError)):
            connection.request("GET", "/healthz")
            connection.getresponse()

    def trusted(self) -> ssl.SSLContext:
        """Return the context of a client that trusts the broker's certificate and the test's authority."""
        self.authority = Authority()
        context = ssl.create_default_context(cafile=self.folder / "broker.crt")
        context.load_verify_locations(cadata=self.authority.pem().decode("ascii"))
        return context

    def exchange(self, crowd: Crowd) -> None:
        """Exchange the certificate while many connect, and wait until the broker shows the new one."""
        pair = self.authority.issue("localhost", "127.0.0.1")
        Files(self.folder).put(*pair)
        fingerprint = pair_of(*pair).fingerprint
        poll(lambda: fingerprint in self.running.log(), self.running.log)
        answered = crowd.answers
        poll(lambda: crowd.answers > answered + 2 * _CROWD, lambda: str(crowd.failures))
        self.assertEqual(crowd.failures, [])


@define(eq=False)
class Crowd:
    """Clients each of which connects anew for every request, over the port and the socket in turn.

    They end when nobody listens any more; a connection that was made and gets no answer is a failure.
    """

    port: int
    path: Path
    context: ssl.SSLContext
    answers: int = field(default=0, init=False)
    failures: list[str] = field(factory=list, init=False)
    _threads: list[threading.Thread] = field(factory=list, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def start(self) -> None:
        """Begin."""
        for connect in (self._by_port, self._by_path) * (_CROWD // 2):
            self._threads.append(threading.Thread(target=self._ask, args=(connect,), daemon=True))
            self._threads[-1].start()

    def stop(self) -> list[str]:
        """Wait until all have ended; return what has failed."""
        for thread in self._threads:
            thread.join(PATIENCE)
        return self.failures

    def _by_port(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def _by_path(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(os.fspath(self.path))
        return connection

    def _ask(self, connect: Callable[[], socket.socket]) -> None:
        while True:
            try:
                plain = connect()
            except OSError:
                return
            try:
                self._answer(plain)
            except Exception as error:  # noqa: BLE001 (the test tells)
                self.failures.append(f"{connect.__name__}: {error!r}")
                return

    def _answer(self, plain: socket.socket) -> None:
        with self.context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            head = connection.recv(65536)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise AssertionError(f"no answer: {head!r}")
        with self._lock:
            self.answers += 1

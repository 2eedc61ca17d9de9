"""Ports of hosts that strangers have taken, or that are all taken."""

from __future__ import annotations

import socket

from tests.fleet.case import FleetCase
from tests.fleet.hosts import FIRST_PORT, PORTS
from tests.fleet.services import on

_ALL = range(FIRST_PORT, FIRST_PORT + PORTS)


class PortTests(FleetCase):
    """A host has few ports."""

    def take(self, number: int, port: int) -> None:
        """Let a stranger listen at the host's port."""
        with self.fleet.host(number).namespace.entered():
            listener = socket.create_server(("", port))
        self.addCleanup(listener.close)

    def test_stranger(self) -> None:
        """Where somebody else listens no instance is: it gets another port, though all look free."""
        taken = set(_ALL[:2])
        for port in taken:
            self.take(2, port)
        self.provision_all({"i-1": on(2), "i-2": on(2)})
        ports = self.served_by(self.fleet.host(2), ("i-1", "i-2"))
        self.assertEqual(set(ports.values()), set(_ALL) - taken)
        self.assertEqual(self.containers()[2], 2)

    def test_exhausted(self) -> None:
        """When all ports are taken the refusal says so, and on how many hosts; nothing is left of it."""
        # Of host 2 brokers may remember for minutes where strangers have listened.
        instances = {f"i-{number}": on(3) for number in range(PORTS)}
        self.provision_all(instances)
        refusal = self.provision("i-more", on(3))
        self.assertEqual(refusal.status, 503)
        for words in ("of 3 Docker hosts 2 lack the label host=3 and 1 has no free port", "0 of 20000 to"):
            self.assertIn(words, refusal.description)
        self.assertEqual(self.containers()[3], PORTS)
        ports = self.served_by(self.fleet.host(3), instances)
        self.assertEqual(sorted(ports.values()), list(_ALL))
        self.assertEqual(self.delete("i-0").status, 200)
        self.assertEqual(self.provision("i-more", on(3)).status, 201)

"""What `dockerbroker hosts` says and does."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred

from dockerbroker.model.hosts import HostKey
from tests.command.case import LineCase
from tests.pinging import pings
from tests.stack import HOST, add_service

OTHER = evolve(HOST, key=HostKey(service_host="10.0.0.7", docker_host="10.0.0.8", docker_port=2375))


class HostsTests(LineCase):
    """A broker with one host and one instance."""

    def listed(self) -> list[list[str]]:
        """Return what is listed, in fields."""
        return [line.split("\t") for line in self.ask("hosts", "list").stdout.splitlines()]

    def test_list(self) -> None:
        """Each host is listed with its state, its last ping, and what it has."""
        self.stack.advance(2)
        self.assertEqual(self.listed(), [["10.0.0.1,10.0.0.2,2375", "alive", "2.0 s ago", "1", "no", ""]])

    def test_cordon(self) -> None:
        """A cordon is put around a host, and taken away."""
        self.assert_said(self.ask("hosts", "cordon", "10.0.0.1"), 0, "Nothing is placed")
        self.assertEqual(self.listed()[0][4:], ["yes", "An administrator has cordoned it."])
        self.assertEqual(self.stack.provision("i-2").status, 503)
        self.assert_said(self.ask("hosts", "uncordon", "10.0.0.1"), 0, "again")
        self.assertEqual(self.listed()[0][4:], ["no", ""])
        self.assertEqual(self.stack.provision("i-2").status, 201)

    def test_drain(self) -> None:
        """A host is emptied while the command waits, and tells of it."""
        add_service(self.stack.add_host(OTHER))
        self.stack.drainer.start()
        result = self.ask("hosts", "drain", "--wait", "10.0.0.1")
        self.assert_said(result, 0, "brokers move", "0 moved, 0 moving, 1 waiting", "bytes copied")
        [moved] = [line.split("\t") for line in result.stdout.splitlines()]
        self.assertEqual(moved, ["i-1", "moved", "0", "", "It is on 10.0.0.7."])
        self.assertEqual(self.listed()[0][3:], ["0", "yes", "An administrator has it drained."])
        self.assert_said(self.ask("hosts", "undrain", "10.0.0.1"), 0, "stays")
        self.assertEqual(self.listed()[0][4:], ["yes", "An administrator has cordoned it."])

    def test_drain_of_the_only_host(self) -> None:
        """When something stays the status tells it, and the reason is shown; without waiting it is not."""
        self.stack.drainer.start()
        self.assert_said(self.ask("hosts", "drain", "10.0.0.1"), 0, "brokers move")
        result = self.ask("hosts", "drain", "--wait", "10.0.0.1")
        self.assert_said(result, 1)
        self.assertIn("No Docker host is available", result.stdout)

    def test_forget(self) -> None:
        """A host with an instance is forgotten by force alone."""
        self.assertIn("i-1", self.one_line(self.ask("hosts", "forget", "10.0.0.1"), 1))
        self.assertEqual(len(self.listed()), 1)
        self.assert_said(self.ask("hosts", "forget", "--force", "10.0.0.1"), 0, "forgotten")
        self.assertEqual(self.listed(), [])

    def test_refused(self) -> None:
        """An unknown host, and one of several of the same service host, is one line."""
        twin = evolve(
            HOST, key=HostKey(service_host="10.0.0.1", docker_host="unix:///run/docker.sock", docker_port=0)
        )
        Deferred.fromCoroutine(self.stack.persister.record_pings(pings([twin])))
        for word in ("cordon", "uncordon", "drain", "undrain", "forget"):
            self.one_line(self.ask("hosts", word, "elsewhere"), 1)
            self.assertIn("unix:///run/docker.sock,0", self.one_line(self.ask("hosts", word, "10.0.0.1"), 1))
        self.assert_said(self.ask("hosts", "cordon", "10.0.0.1,unix:///run/docker.sock,0"), 0)

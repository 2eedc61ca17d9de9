"""Which addresses of Docker agents may announce (S32), and which of them need TLS (S48)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Forbidden
from dockerbroker.model.docker_addresses import (
    AllowedAddresses,
    folded_host,
    is_host,
    is_loopback,
    read_addresses,
)
from dockerbroker.model.hosts import HostKey

#: Addresses at which no Docker may be, in whatever way they are written.
NEVER = (
    "169.254.169.254",
    "169.254.0.1",
    "::ffff:169.254.169.254",
    "[::ffff:a9fe:a9fe]",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "::",
    "255.255.255.255",
    "240.0.0.1",
    "224.0.0.1",
    "ff02::1",
)
#: What the resolver takes for addresses, and nobody else does.
DISGUISED = (
    "2130706433",
    "0x7f000001",
    "127.1",
    "0x7f.1",
    "0177.0.0.1",
    "169.254.43518",
    "a.0x1",
    "10.0.0.1.",
)


class AllowedTests(SynchronousTestCase):
    """What is allowed to whom."""

    def is_allowed(self, allowed: AllowedAddresses, docker_host: str, peer: str = "192.0.2.7") -> bool:
        """Whether an agent at `peer` may announce that."""
        try:
            allowed.check(HostKey(service_host="any", docker_host=docker_host, docker_port=2376), peer)
        except Forbidden as error:
            self.assertNotIn("\n", error.description)
            self.assertTrue(error.description.endswith("."))
            return False
        return True

    def test_own(self) -> None:
        """Where nothing is configured an agent may announce the address that it comes from, and no other."""
        default = AllowedAddresses()
        self.assertTrue(self.is_allowed(default, "192.0.2.7"))
        self.assertTrue(self.is_allowed(default, "[2001:db8::7]", "2001:db8::7"))
        self.assertTrue(self.is_allowed(default, "2001:DB8::0007", "2001:db8::7"))
        self.assertTrue(self.is_allowed(default, "192.0.2.7", "::ffff:192.0.2.7"))
        for other in ("192.0.2.8", "127.0.0.1", "localhost", "docker1", "unix:///var/run/docker.sock", "::1"):
            self.assertFalse(self.is_allowed(default, other), other)

    def test_loopback(self) -> None:
        """An agent on the broker's machine may announce any socket there, and loopback."""
        default = AllowedAddresses()
        for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            for own in ("unix:///var/run/docker.sock", "unix:///x", "127.0.0.1", "localhost", "::1"):
                self.assertTrue(self.is_allowed(default, own, peer), own)
            self.assertFalse(self.is_allowed(default, "192.0.2.7", peer))

    def test_networks(self) -> None:
        """What is configured stands in place of what is not, unless the word `agent` is there."""
        networks = ["10.0.0.0/8", "192.0.2.8", "2001:db8::/32"]
        for entries in (networks, [*networks, "agent"]):
            allowed = read_addresses(entries)
            for inside in ("10.1.2.3", "::ffff:10.1.2.3", "192.0.2.8", "[2001:db8::1]"):
                self.assertTrue(self.is_allowed(allowed, inside), inside)
            for outside in ("11.0.0.1", "2001:db9::1", "docker1", "unix:///var/run/docker.sock"):
                self.assertFalse(self.is_allowed(allowed, outside), outside)
            self.assertEqual(self.is_allowed(allowed, "192.0.2.7"), "agent" in entries)
            self.assertEqual(self.is_allowed(allowed, "unix:///s", "127.0.0.1"), "agent" in entries)

    def test_names(self) -> None:
        """Names are allowed one by one, or by what they end with; case and a dot at the end do not count."""
        allowed = read_addresses(["Docker1", "*.example.org"])
        for inside in ("docker1", "DOCKER1.", "a.example.org", "a.b.Example.org"):
            self.assertTrue(self.is_allowed(allowed, inside), inside)
        for outside in ("docker2", "docker1.org", "example.org", "aexample.org", "a.example.org.evil"):
            self.assertFalse(self.is_allowed(allowed, outside), outside)

    def test_sockets(self) -> None:
        """Sockets are allowed one by one, or below a folder; nothing leads out of that."""
        allowed = read_addresses(["unix:///run/docker.sock", "unix:///srv/engines/"])
        for inside in ("unix:///run/docker.sock", "unix:///srv/engines/a/b.sock"):
            self.assertTrue(self.is_allowed(allowed, inside), inside)
        for outside in (
            "unix:///run/docker.socket",
            "unix:///srv/engines",
            "unix:///srv/engines/../../run/other.sock",
            "unix:///srv/engines//a",
            "unix:///srv/engines/./a",
            "unix:///",
        ):
            self.assertFalse(self.is_allowed(allowed, outside), outside)

    def test_never(self) -> None:
        """Link-local and metadata addresses are refused whatever is configured, also to who is there."""
        everything = read_addresses(["agent", "0.0.0.0/0", "::/0", "*.internal"])
        for address in NEVER:
            self.assertFalse(self.is_allowed(everything, address, folded_host(address)), address)

    def test_disguised(self) -> None:
        """Nothing passes for a name that the resolver would take for an address."""
        everything = read_addresses(["agent", "0.0.0.0/0", "::/0", "*.org", "a.b"])
        for text in (*DISGUISED, "", " ", "a b", "a/b", "a@b", "a:1", "[a]", "-a"):
            self.assertFalse(self.is_allowed(everything, text, "127.0.0.1"), text)

    @settings(deadline=None, database=None)
    @given(text=st.text(), peer=st.sampled_from(["127.0.0.1", "::1", "192.0.2.7", ""]))
    def test_anything(self, text: str, peer: str) -> None:
        """Whatever is announced by whomever is allowed or refused."""
        self.is_allowed(AllowedAddresses(), text, peer)
        self.is_allowed(AllowedAddresses(), f"unix:///{text}", peer)


class ReadingTests(SynchronousTestCase):
    """What may be configured."""

    def test_wrong(self) -> None:
        """What is neither a network nor a name nor a socket is an error that names it."""
        for entry in (
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "a/b",
            "unix:run",
            "unix://run",
            "*",
            "*.",
            "1.2.3",
            "a b",
        ):
            error = self.assertRaises(ValueError, read_addresses, ["10.0.0.0/8", entry])
            self.assertEqual(error.args, (entry,))

    def test_nothing(self) -> None:
        """An empty list allows nothing."""
        empty = read_addresses([])
        key = HostKey(service_host="any", docker_host="127.0.0.1", docker_port=1)
        self.assertRaises(Forbidden, empty.check, key, "127.0.0.1")


class HostsTests(SynchronousTestCase):
    """Names and addresses."""

    def test_folded(self) -> None:
        """There is one way of writing a host."""
        for text, folded in (
            ("Docker1", "docker1"),
            ("docker1.", "docker1"),
            ("[::1]", "::1"),
            ("0:0::1", "::1"),
            ("::FFFF:1.2.3.4", "1.2.3.4"),
            (" a ", "a"),
        ):
            self.assertEqual(folded_host(text), folded)
            self.assertEqual(folded_host(folded), folded)

    def test_loopback(self) -> None:
        """Only what certainly stays on this machine is loopback."""
        for text in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"):
            self.assertTrue(is_loopback(text), text)
        for text in ("", "10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "::2", "127.1"):
            self.assertFalse(is_loopback(text), text)

    def test_is_host(self) -> None:
        """Names and addresses are hosts."""
        for text in ("a", "a.b-c.d_e", "1a.b", "a.b1", "10.0.0.1", "::1", "x" * 63):
            self.assertTrue(is_host(text), text)
        for text in ("", ".", "a..b", "-a", "a-", "x" * 64, "\u00fc", "a\n", *DISGUISED):
            self.assertFalse(is_host(text), text)

"""The pair that the broker makes for itself."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import stat
from ipaddress import ip_address
from pathlib import Path

from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.endpoints import TcpEndpoint, UnixEndpoint
from dockerbroker.config.listening import TlsConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.tls.contexts import server_context
from dockerbroker.tls.pairs import load_pair
from dockerbroker.tls.selfsigned import make_pair
from tests.engines.certificates import Authority
from tests.tls.files import Files
from tests.tls.memory import asked

_HERE = TcpEndpoint(host="192.0.2.9", port=1)
_EVERYWHERE = TcpEndpoint(host="0.0.0.0", port=1)


class SelfSignedTests(SynchronousTestCase):
    """`make_pair`."""

    def setUp(self) -> None:
        """Name the files, which are not there."""
        self.files = Files.of(self)
        folder = self.files.folder
        self.configuration = TlsConfiguration(
            certificate=folder / "broker.crt",
            private_key=folder / "broker.key",
            is_self_signed=True,
            names=("lb.example.org",),
        )
        self.now = dt.datetime.now(dt.UTC)

    def make(self, *endpoints: TcpEndpoint | UnixEndpoint) -> bool:
        """Make the pair for these endpoints."""
        return make_pair(self.configuration, endpoints or (_HERE,), self.now.timestamp())

    def certificate(self) -> x509.Certificate:
        """Return the certificate that was made."""
        return load_pair(self.configuration.certificate, self.configuration.private_key, "tls.").certificate

    def test_made(self) -> None:
        """It has a key on P-256 that only its owner reads, and is no authority; nothing else is left."""
        self.assertTrue(self.make())
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in self.files.folder.iterdir()}
        self.assertEqual(modes, {"broker.crt": 0o644, "broker.key": 0o600})
        certificate = self.certificate()
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.assertIsInstance(key.curve, ec.SECP256R1)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        self.assertFalse(constraints.ca)
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        self.assertEqual(((self.now - begins).days, (ends - self.now).days), (2, 1825))

    def test_names(self) -> None:
        """It is for where the broker listens, the names that are told, the machine's own, and loopback."""
        for endpoints, more in (
            ((_HERE,), {ip_address("192.0.2.9")}),
            ((UnixEndpoint(path=self.files.folder / "socket"),), set()),
        ):
            self.make(*endpoints)
            self.assertEqual(
                self.names(),
                {"lb.example.org", socket.gethostname(), "localhost", *_LOOPBACK, *more},
            )
            self.configuration.certificate.unlink()
        self.make(_EVERYWHERE)
        self.assertNotIn(ip_address("0.0.0.0"), self.names())

    def names(self) -> set[object]:
        """Return the names and addresses that the certificate is for."""
        found = self.certificate().extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return {*found.get_values_for_type(x509.DNSName), *found.get_values_for_type(x509.IPAddress)}

    def test_trusted(self) -> None:
        """Who trusts the certificate, however strictly, gets an answer by each of its names."""
        self.make()
        pair = load_pair(self.configuration.certificate, self.configuration.private_key, "tls.")
        for name in ("lb.example.org", "192.0.2.9", "127.0.0.1", "::1"):
            context = ssl.create_default_context(cafile=self.configuration.certificate)
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            client = asked(context, server_context(pair, "1.2", None), name=name)
            self.assertIsNotNone(client.getpeercert())
        context = ssl.create_default_context(cafile=self.configuration.certificate)
        with self.assertRaises(ssl.SSLCertVerificationError):
            asked(context, server_context(pair, "1.2", None), name="other.example.org")

    def test_kept(self) -> None:
        """What is there is never overwritten: not a pair, and not a key whose certificate is absent."""
        self.make()
        certificate, key = (file.read_bytes() for file in self.pair())
        self.assertFalse(self.make())
        self.assertEqual([file.read_bytes() for file in self.pair()], [certificate, key])
        self.configuration.certificate.unlink()
        self.assertTrue(self.make())
        self.assertEqual(self.configuration.private_key.read_bytes(), key)
        self.certificate()

    def pair(self) -> tuple[Path, Path]:
        """Return the two files."""
        return self.configuration.certificate, self.configuration.private_key

    def test_refused(self) -> None:
        """A certificate without its key, a key of another kind, and a folder that is absent are sentences."""
        self.files.write("broker.crt", Authority().issue("mine")[0])
        self.assertIn("remove that one as well", self.refusal())
        self.configuration.certificate.unlink()
        self.files.write("broker.key", b"no key")
        self.assertIn("tls.privatekey: ", self.refusal())
        absent = self.files.folder / "absent" / "broker.key"
        self.configuration = evolve(self.configuration, private_key=absent)
        self.assertIn("cannot be written: No such file or directory", self.refusal())

    def refusal(self) -> str:
        """Return why no pair is made."""
        return str(self.assertRaises(InvalidConfiguration, self.make).description)


_LOOPBACK = (ip_address("127.0.0.1"), ip_address("::1"))

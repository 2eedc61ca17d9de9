"""What the broker agrees to by TLS, and whom it lets in."""

from __future__ import annotations

import datetime as dt
import ssl
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.tls.contexts import CIPHERS, HTTP, Authorities, load_authorities, server_context
from tests.engines.certificates import Authority, self_signed
from tests.tls.files import Files
from tests.tls.memory import (
    ALERT,
    HANDSHAKE,
    SSL3,
    TLS10,
    TLS11,
    TLS12,
    Meeting,
    answer_to,
    asked,
    client_context,
    hello,
    pair_of,
)

_DAY: Final = dt.timedelta(days=1)
#: Cipher suites by their numbers (IANA).
_ECDSA_GCM, _RSA_KEY_GCM, _RSA_KEY_CBC = 0xC02B, 0x009C, 0x002F
_ECDSA_CBC, _ECDSA_CBC_SHA256, _ECDSA_RC4, _ECDSA_NULL = 0xC009, 0xC023, 0xC007, 0xC006
_RC4, _TRIPLE_DES, _EXPORT, _DHE_GCM, _ANONYMOUS = 0x0005, 0x000A, 0x0003, 0x009E, 0xC018
_ALL: Final = (_ECDSA_GCM, _ECDSA_CBC, _RSA_KEY_GCM, _RSA_KEY_CBC, _RC4, _TRIPLE_DES, _EXPORT)

_REFUSED: Final = {
    "SSLv3": (SSL3, _ALL),
    "TLS 1.0": (TLS10, _ALL),
    "TLS 1.1": (TLS11, _ALL),
    "the key exchange of RSA": (TLS12, (_RSA_KEY_GCM, _RSA_KEY_CBC)),
    "CBC": (TLS12, (_ECDSA_CBC, _ECDSA_CBC_SHA256)),
    "RC4": (TLS12, (_ECDSA_RC4, _RC4)),
    "3DES": (TLS12, (_TRIPLE_DES,)),
    "export": (TLS12, (_EXPORT,)),
    "no cipher": (TLS12, (_ECDSA_NULL,)),
    "DHE": (TLS12, (_DHE_GCM,)),
    "no certificate": (TLS12, (_ANONYMOUS,)),
}


class AgreementTests(SynchronousTestCase):
    """Versions and ciphers."""

    def setUp(self) -> None:
        """Make the broker's pair."""
        self.pair = pair_of(*Authority().issue("broker"))
        self.context = server_context(self.pair, "1.2", None)

    def test_refused(self) -> None:
        """Every version and cipher with a known weakness is answered with an alert, and with nothing else."""
        for what, (version, suites) in _REFUSED.items():
            answer = answer_to(self.context, hello(version, suites))
            self.assertEqual((answer[:1], len(answer)), (bytes([ALERT]), 7), what)
        answer = answer_to(self.context, hello(TLS12, _ALL, compression=b"\x01\x00"))
        self.assertEqual(answer[0], HANDSHAKE)
        suite_and_compression = answer[5 + 4 + 2 + 32 + 1 :][:3]
        self.assertEqual(suite_and_compression, b"\xc0\x2b\x00")

    def test_agreed(self) -> None:
        """Each of the ciphers for its key is agreed to in TLS 1.2, and TLS 1.3 is preferred."""
        for cipher in CIPHERS:
            if "ECDSA" in cipher:
                meeting = self.meet(partial(_only, cipher)).shake()
                self.assertEqual(
                    (meeting.client.get_protocol_version_name(), meeting.client.get_cipher_name()),
                    ("TLSv1.2", cipher),
                )
        self.assertEqual(self.meet().shake().client.get_protocol_version_name(), "TLSv1.3")

    def test_minimum(self) -> None:
        """A broker whose minimum is 1.3 agrees to nothing less."""
        strict = server_context(self.pair, "1.3", None)
        self.assertRaises(SSL.Error, Meeting.of(client_context(_at_most_12), strict).shake)
        meeting = Meeting.of(client_context(), strict).shake()
        self.assertEqual(meeting.client.get_protocol_version_name(), "TLSv1.3")

    def test_renegotiation(self) -> None:
        """A client that wants to negotiate anew is refused."""
        meeting = self.meet(_at_most_12).shake()
        meeting.client.renegotiate()
        with self.assertRaises(SSL.Error):
            meeting.shake()
        self.assertEqual(meeting.server.total_renegotiations(), 0)

    def test_sessions(self) -> None:
        """No session is taken up by another connection, so that each one is verified."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.maximum_version = version
            first = asked(context, self.context)
            self.assertFalse(asked(context, self.context, first.session).session_reused)

    def test_protocols(self) -> None:
        """HTTP/1.1 alone is offered: who wants HTTP/2 as well gets it, who wants nothing else gets none."""
        for offered, chosen in (([b"h2", HTTP], HTTP), ([b"h2"], b""), ([b"h2c", b"spdy/3"], b"")):
            meeting = self.meet(lambda context, offered=offered: context.set_alpn_protos(offered)).shake()
            self.assertEqual(meeting.client.get_alpn_proto_negotiated(), chosen, offered)

    def test_too_weak(self) -> None:
        """A key that OpenSSL refuses is a sentence."""
        refusal = self.assertRaises(InvalidConfiguration, server_context, pair_of(*_weak()), "1.2", None)
        self.assertIn("too weak", refusal.description)

    def meet(self, configure: object = bool) -> Meeting:
        """Return a client that is configured so, and the broker."""
        return Meeting.of(client_context(configure), self.context)  # type: ignore[arg-type]


class ClientTests(SynchronousTestCase):
    """Certificates of those who connect, where the broker wants them."""

    def setUp(self) -> None:
        """Make the broker, and the authority of its clients."""
        self.files = Files.of(self)
        self.authority = Authority("clients")
        self.pair = pair_of(*Authority().issue("broker"))

    def test_refused(self) -> None:
        """Nobody gets in without a certificate of that authority that is valid for a client now."""
        revoked = self.authority.issue("host")
        context = self.context(self.authority.revoke(revoked[0]))
        issue, server = self.authority.issue, ExtendedKeyUsageOID.SERVER_AUTH
        for what, shown in {
            "none": None,
            "of another authority": Authority("others").issue("host"),
            "of another authority of the same name": Authority("clients").issue("host"),
            "ended": issue("host", lasts=-_DAY / 24),
            "not begun": issue("host", begins=_DAY / 24),
            "of a server": issue("host", usage=server),
            "signed by itself, with the same subject": self_signed("host"),
            "revoked": revoked,
        }.items():
            for configure in (_at_most_12, bool):
                client = client_context(partial(_showing, shown, configure))
                self.assertRaises(SSL.Error, Meeting.of(client, context).shake)
                self.assertIsNone(_peer(Meeting.of(client, context)), what)

    def test_let_in(self) -> None:
        """A client's certificate of that authority is let in, whatever its use if it names none."""
        other = self.authority.issue("other")
        for context in (self.context(), self.context(self.authority.revoke(other[0]))):
            for usage in (ExtendedKeyUsageOID.CLIENT_AUTH, None):
                client = client_context(partial(_showing, self.authority.issue("host", usage=usage), bool))
                self.assertIsNotNone(Meeting.of(client, context).shake().server.get_peer_certificate())

    def test_not_wanted(self) -> None:
        """A broker that wants no certificates does not look at them."""
        client = client_context(partial(_showing, Authority("others").issue("host"), bool))
        meeting = Meeting.of(client, server_context(self.pair, "1.2", None)).shake()
        self.assertIsNone(meeting.server.get_peer_certificate())

    def test_unusable(self) -> None:
        """A file without certificates is a sentence with its key."""
        for content in (b"", b"junk", self.authority.revoke()):
            path = self.files.write("ca.pem", content)
            refusal = self.assertRaises(InvalidConfiguration, load_authorities, path, "tls.clientca")
            self.assertIn("tls.clientca: ", refusal.description)

    def context(self, *more: bytes) -> SSL.Context:
        """Return the broker's context; the file of the authority holds more than its certificate."""
        path = self.files.write("ca.pem", b"".join((self.authority.pem(), *more)))
        authorities: Authorities = load_authorities(path, "tls.clientca")
        return server_context(self.pair, "1.2", authorities)


def _peer(meeting: Meeting) -> object:
    try:
        meeting.shake()
    except SSL.Error:
        return None
    return meeting


def _at_most_12(context: SSL.Context) -> None:
    context.set_max_proto_version(SSL.TLS1_2_VERSION)


def _only(cipher: str, context: SSL.Context) -> None:
    _at_most_12(context)
    context.set_cipher_list(cipher.encode("ascii"))


def _showing(shown: tuple[bytes, bytes] | None, configure: object, context: SSL.Context) -> None:
    configure(context)  # type: ignore[operator]
    if shown is not None:
        pair = pair_of(*shown)
        context.use_certificate(pair.certificate)
        context.use_privatekey(pair.key.reveal())  # type: ignore[arg-type]


def _weak() -> tuple[bytes, bytes]:
    """Return a certificate with a key that is too short by now, and that key."""
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 (that is what is refused)
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    now = dt.datetime.now(dt.UTC)
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + _DAY)
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM), key.private_bytes(*form)

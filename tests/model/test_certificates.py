"""Which certificates of Docker hosts are good, and what is told of them."""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest, TooLarge
from dockerbroker.model.certificates import (
    LARGEST_BODY,
    HostCertificate,
    check_dates,
    decode_certificate,
    encode_certificate,
)
from tests.engine_transport import ThrowawayAuthority
from tests.engines.certificates import Authority

AUTHORITY = ThrowawayAuthority()
CLIENT = AUTHORITY.client()
OTHER = ThrowawayAuthority().client()
NOW = dt.datetime.now(dt.UTC)


def body(**changes: Any) -> bytes:
    """Return the body of a good upload with those members changed."""
    good = {
        "Host": "docker1",
        "ClientCert": CLIENT.certificate.decode(),
        "ClientKey": CLIENT.key.decode(),
        "CA": CLIENT.ca.decode(),
    }
    return json.dumps({**good, **changes}).encode()


def decoded(**changes: Any) -> HostCertificate:
    """Return a good upload with those members changed, decoded."""
    return decode_certificate("docker1", body(**changes))


def pem_of(public: rsa.RSAPublicNumbers, *, p: int, q: int, d: int, dmp1: int, dmq1: int, iqmp: int) -> str:
    """Return a key of RSA with these numbers, whether they fit each other or not (PKCS #1)."""
    numbers = (0, public.n, public.e, d, p, q, dmp1, dmq1, iqmp)
    integers = [one.to_bytes(one.bit_length() // 8 + 1, "big") for one in numbers]
    data = _der(0x30, b"".join(_der(0x02, one) for one in integers))
    return f"-----BEGIN RSA PRIVATE KEY-----\n{b64encode(data).decode()}\n-----END RSA PRIVATE KEY-----\n"


def _der(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    long_form = bytes([0x80 | len(size)]) if len(content) > 127 else b""
    return bytes([tag]) + long_form + size + content


class DecodingTests(SynchronousTestCase):
    """What a PUT may bring."""

    def refused(self, words: str, **changes: Any) -> str:
        """Check that an upload is refused with a sentence of one line that tells nothing secret."""
        error = self.assertRaises(InvalidRequest, decoded, **changes)
        self.assertIn(words, error.description)
        self.assertNotIn("\n", error.description)
        self.assertNotIn(CLIENT.key.decode().splitlines()[1], error.description)
        return str(error.description)

    def test_plain(self) -> None:
        """PEM is taken as it is; the name of the host counts without case."""
        found = decode_certificate("Docker1.", body(Host="DOCKER1"))
        self.assertEqual(found.host, "docker1")
        self.assertEqual(found.certificate.encode(), CLIENT.certificate)
        self.assertEqual(found.ca.encode(), CLIENT.ca)
        self.assertEqual(found.key.reveal().encode(), CLIENT.key)

    def test_base64(self) -> None:
        """PEM in base64, in one line or several, is the same."""
        lines = [b64encode(CLIENT.key).decode()[start:][:76] for start in range(0, 400, 76)]
        encoded = b64encode(CLIENT.certificate).decode()
        self.assertEqual(decoded(ClientCert=encoded, ClientKey="\r\n".join(lines)), decoded())

    def test_around(self) -> None:
        """Line ends of other systems, and text around the blocks, change nothing and are not kept."""
        for change in (
            lambda text: text.replace("\n", "\r\n"),
            lambda text: text.replace("\n", "\n  "),
            lambda text: f"Bag Attributes\n  secret words\nsubject=/CN=x\n{text}\ntrailing \u00fc",
            lambda text: f"\ufeff{text}".removesuffix("\n"),
        ):
            parts = {
                "ClientCert": change(CLIENT.certificate.decode()),
                "ClientKey": change(CLIENT.key.decode()),
                "CA": change(CLIENT.ca.decode()),
            }
            self.assertEqual(decoded(**parts), decoded())

    def test_both_in_each(self) -> None:
        """One file that holds certificate and key may be sent as both; no key gets among the certificates."""
        both = (CLIENT.certificate + CLIENT.key + CLIENT.ca).decode()
        found = decoded(ClientCert=both, ClientKey=both)
        self.assertEqual(found.key, decoded().key)
        self.assertNotIn("KEY", found.certificate)
        self.assertEqual(found.certificate.count("BEGIN CERTIFICATE"), 2)

    def test_keys(self) -> None:
        """Keys of the old formats of OpenSSL, and with their parameters before them, are taken."""
        key = load_pem_private_key(CLIENT.key, None)
        old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
        self.assertIn("BEGIN EC PRIVATE KEY", old)
        parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        self.assertEqual(decoded(ClientKey=parameters + old), decoded())

    def test_missing(self) -> None:
        """Every part must be there, and all that is wrong is said at once."""
        sentence = self.refused("clientkey: is missing", ClientKey="", CA=None, ClientCert=7)
        self.assertIn("ca: is missing", sentence)
        self.assertIn("clientcert: must be a string", sentence)

    def test_not_pem(self) -> None:
        """What holds no PEM, or a damaged one, is refused."""
        half = CLIENT.certificate[: len(CLIENT.certificate) // 2].decode()
        cut = CLIENT.certificate.decode().splitlines()
        for text in ("words", "ü", b64encode(b"words").decode(), half, CLIENT.key.decode()):
            self.refused("clientcert: holds no certificate", ClientCert=text)
        shorter = "\n".join(cut[:2] + cut[3:])
        self.refused("clientcert: holds a certificate that is damaged", ClientCert=shorter)
        self.refused("clientkey: must hold one private key", ClientKey=CLIENT.certificate.decode())
        self.refused("clientkey: must hold one private key", ClientKey=CLIENT.key.decode() * 2)
        broken = CLIENT.key.decode().replace("M", "N", 1)
        self.refused("clientkey: holds a private key that is damaged", ClientKey=broken)

    def test_many_beginnings(self) -> None:
        """What looks like blocks without an end is refused at once."""
        for text in ("-----BEGIN CERTIFICATE-----" * 9000, "-----BEGIN " * 20000, CLIENT.key.decode() * 900):
            self.refused("clientcert: holds no certificate", ClientCert=text)
        self.refused("clientkey: is longer than", ClientKey=CLIENT.key.decode().replace("M", "M" * 9000, 1))

    def test_another_key(self) -> None:
        """The key must be that of the certificate."""
        self.refused("clientkey: is not the key", ClientKey=OTHER.key.decode())
        plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for key in (rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()):
            self.refused("clientkey: is not the key", ClientKey=key.private_bytes(*plain).decode())

    def test_rsa(self) -> None:
        """A key of RSA is taken; one whose numbers do not fit each other is damaged."""
        key = rsa.generate_private_key(65537, 2048)
        numbers = key.private_numbers()
        certificate = AUTHORITY.certificate_for(key.public_key()).decode()
        plain = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        good = decoded(ClientCert=certificate, ClientKey=key.private_bytes(*plain).decode())
        self.assertEqual(good.key.reveal().encode(), key.private_bytes(*plain))
        names = ("p", "q", "d", "dmp1", "dmq1", "iqmp")
        for name in names:
            parts = {one: getattr(numbers, one) + (2 if one == name else 0) for one in names}
            text = pem_of(numbers.public_numbers, **parts)
            self.refused("private key that is damaged", ClientCert=certificate, ClientKey=text)
        right = pem_of(numbers.public_numbers, **{one: getattr(numbers, one) for one in names})
        self.assertEqual(decoded(ClientCert=certificate, ClientKey=right), good)

    def test_passphrase(self) -> None:
        """A key that needs a passphrase is refused, in both formats."""
        key = load_pem_private_key(CLIENT.key, None)
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            closed = key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"word")).decode()
            self.refused("clientkey: needs a passphrase", ClientKey=closed)

    def test_authority(self) -> None:
        """The authority must be one; in a bundle every certificate must."""
        self.refused("ca: is not the certificate of an authority", CA=CLIENT.certificate.decode())
        both = (CLIENT.ca + CLIENT.certificate).decode()
        self.refused("is not the certificate of an authority: CN=dockerbroker", CA=both)
        bundle = (CLIENT.ca + OTHER.ca).decode()
        self.assertEqual(decoded(CA=bundle).ca, bundle)
        self.refused("ca: holds more than", CA=CLIENT.ca.decode() * 21)

    def test_for_servers(self) -> None:
        """A certificate that is for servers alone opens no engine, and is refused."""
        server = AUTHORITY.issue("server", ExtendedKeyUsageOID.SERVER_AUTH)
        parts = {"ClientCert": server.certificate.decode(), "ClientKey": server.key.decode()}
        self.refused("clientcert: is not for clients", **parts)

    def test_any_use(self) -> None:
        """A certificate that says nothing of its use is for every one."""
        certificate, key = Authority().issue("name")
        decoded(ClientCert=certificate.decode(), ClientKey=key.decode())

    def test_host(self) -> None:
        """The host of the body, if there is one, must be that of the path, and a name or an address."""
        decoded(Host=None)
        self.refused("host: is docker2, but the path names docker1", Host="docker2")
        wrong = ("", " ", "a b", "a/b", "unix:///run/docker.sock", "-a", "a..b", "1.2.3", "0x7f.1", "x" * 254)
        for name in wrong:
            error = self.assertRaises(InvalidRequest, decode_certificate, name, body(Host=None))
            self.assertIn("host: must be the name or address", error.description)
        for name, same in (("[FD00::0001]", "fd00::1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("a_b.c", "a_b.c")):
            self.assertEqual(decode_certificate(name, body(Host=None)).host, same)

    def test_large(self) -> None:
        """A body larger than any certificate is not looked at."""
        self.assertRaises(TooLarge, decode_certificate, "docker1", b"[" * (LARGEST_BODY + 1))

    @settings(deadline=None, database=None)
    @given(text=st.text() | st.binary().map(lambda data: b64encode(data).decode()))
    def test_anything(self, text: str) -> None:
        """Whatever is sent is decoded or refused."""
        for part in ("ClientCert", "ClientKey", "CA", "Host"):
            for sent in (text, f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"):
                try:
                    decoded(**{part: sent})
                except InvalidRequest as error:
                    self.assertNotIn("\n", error.description)


class DatesTests(SynchronousTestCase):
    """Certificates are valid for a time."""

    def test_certificate(self) -> None:
        """A certificate that has expired or is not valid yet is refused, with the date."""
        check_dates(decoded(), NOW)
        later = self.assertRaises(InvalidRequest, check_dates, decoded(), NOW + dt.timedelta(days=2))
        self.assertRegex(later.description, r"clientcert: has expired on 20..-..-..T..:..:..Z; ca: has ")
        early = self.assertRaises(InvalidRequest, check_dates, decoded(), NOW - dt.timedelta(days=3))
        self.assertIn("clientcert: is not valid before 20", early.description)

    def test_authority(self) -> None:
        """Of the authorities of a bundle one must be valid."""
        old = Authority(lasts=dt.timedelta(hours=-1)).pem()
        refused = self.assertRaises(InvalidRequest, check_dates, decoded(CA=old.decode()), NOW)
        self.assertIn("ca: has expired", refused.description)
        check_dates(decoded(CA=(old + CLIENT.ca).decode()), NOW)


class EncodingTests(SynchronousTestCase):
    """What is told."""

    def test_facts(self) -> None:
        """Fingerprints, names and dates are told, and nothing of the material."""
        told = encode_certificate(decoded())
        self.assertEqual(told["Host"], "docker1")
        self.assertEqual((told["Subject"], told["Issuer"]), ("CN=dockerbroker", "CN=dockerbroker tests"))
        self.assertRegex(told["Fingerprint"], r"\A([0-9A-F]{2}:){31}[0-9A-F]{2}\Z")
        self.assertLess(told["NotBefore"], told["NotAfter"])
        [authority] = told["CA"]
        self.assertEqual(authority["Subject"], "CN=dockerbroker tests")
        self.assertNotIn("-----", json.dumps(told))

    def test_secret(self) -> None:
        """A certificate does not print its key."""
        self.assertNotIn(CLIENT.key.decode().splitlines()[1], repr(decoded()))

"""Certificates that are wrong: each is refused in one line, and the one that was there stays."""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.engines.trials import DockerTrials
from dockerbroker.model.certificates import LARGEST_BODY, HostCertificate
from tests.engine_transport import ThrowawayAuthority, TlsMaterial
from tests.engines.certificates import Authority, self_signed
from tests.memory_trials import MemoryTrials
from tests.model.values import documents, unhurried
from tests.stack import HOST, Answer, Stack
from tests.web.test_bad_input import NO_OBJECTS, NO_VALUES, beside

NAME: Final = HOST.key.docker_host
PATH: Final = f"/certificate/{NAME}"
_PEM: Final = (Encoding.PEM, PrivateFormat.PKCS8)
#: Keys of so many bits can be broken.
SHORT: Final = 1024
_HOUR: Final = dt.timedelta(hours=1)


class StrictTrials(MemoryTrials):
    """Reaches no engine, and checks whether the material can be used as TLS does."""

    def check(self, certificate: HostCertificate) -> None:
        """Raise what keeps every connection from being made."""
        engines: Any = None
        DockerTrials(engines).check(certificate)


def wrong_parts(good: TlsMaterial, authority: ThrowawayAuthority) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return members that spoil a good upload, and what is told of each, by what they are."""
    other = ThrowawayAuthority().client()
    server = authority.issue("server", ExtendedKeyUsageOID.SERVER_AUTH)
    own_certificate, own_key = self_signed(NAME)
    cut = good.certificate.decode().splitlines()
    key = load_pem_private_key(good.key, None)
    locked = key.private_bytes(*_PEM, BestAvailableEncryption(b"word"))
    old_locked = key.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"word")
    )
    expired = Authority().issue(lasts=-_HOUR)
    bytes_of = {
        "another's key": ("clientkey: is not", {"ClientKey": other.key}),
        "another's certificate": ("clientkey: is not", {"ClientCert": other.certificate}),
        "chain in the wrong order": ("clientkey: is not", {"ClientCert": good.ca + good.certificate}),
        "key as certificate": ("clientcert: holds no", {"ClientCert": good.key}),
        "certificate as key": ("clientkey: must hold one", {"ClientKey": good.certificate}),
        "two keys": ("clientkey: must hold one", {"ClientKey": good.key + other.key}),
        "key with a passphrase": ("clientkey: needs a passphrase", {"ClientKey": locked}),
        "old key with a passphrase": ("clientkey: needs a passphrase", {"ClientKey": old_locked}),
        "for servers": ("not for clients", {"ClientCert": server.certificate, "ClientKey": server.key}),
        "expired": ("clientcert: has expired", {"ClientCert": expired[0], "ClientKey": expired[1]}),
        "expired authority": ("ca: has expired", {"CA": Authority(lasts=-_HOUR).pem()}),
        "no authority": ("ca: is not the certificate of an authority", {"CA": good.certificate}),
        "self-signed": ("ca: is not the certificate of an authority", {"CA": own_certificate}),
        "authority and another": ("ca: is not", {"CA": good.ca + good.certificate}),
        "self-signed key": ("clientkey: is not", {"ClientKey": own_key}),
        "many": ("ca: holds more than", {"CA": good.ca * 21}),
        "cut": ("clientcert: holds no", {"ClientCert": good.certificate[:300]}),
        "a line short": ("damaged", {"ClientCert": "\n".join(cut[:3] + cut[4:]).encode()}),
        "key of garbage": (
            "damaged",
            {"ClientKey": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
        ),
    }
    return {
        what: (told, {name: part.decode() for name, part in parts.items()})
        for what, (told, parts) in bytes_of.items()
    }


def weak_parts(authority: ThrowawayAuthority) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the parts of certificates whose keys are not for TLS, and what is told of each."""
    keys: dict[str, tuple[str, Any]] = {
        "short RSA": ("RSA with 1024 bits", rsa.generate_private_key(65537, SHORT)),
        "DSA": ("of a kind that is not used", dsa.generate_private_key(SHORT)),
        "X25519": ("of a kind that is not used", x25519.X25519PrivateKey.generate()),
    }
    found = {}
    for what, (told, key) in keys.items():
        parts = (authority.certificate_for(key.public_key()), key.private_bytes(*_PEM, NoEncryption()))
        found[what] = (told, dict(zip(("ClientCert", "ClientKey"), map(bytes.decode, parts), strict=True)))
    return found


class BadCertificateTests(SynchronousTestCase):
    """A broker that has a good certificate for its host."""

    def setUp(self) -> None:
        """Give it the certificate."""
        self.stack = Stack(trials=StrictTrials())
        self.stack.skew = dt.datetime.now(dt.UTC).timestamp() - self.stack._wall()
        self.authority = ThrowawayAuthority()
        self.material = self.authority.client()
        self.good = {
            "Host": NAME,
            "ClientCert": self.material.certificate.decode(),
            "ClientKey": self.material.key.decode(),
            "CA": self.material.ca.decode(),
        }
        self.assertEqual(self.send(self.good).status, 201)
        self.before = self.stored()

    def send(self, body: Any, path: str = PATH) -> Answer:
        """Send a certificate."""
        return self.stack.request("PUT", path, body)

    def stored(self) -> str:
        """Return all records."""
        return repr(self.stack.persister.tables)

    def assert_refused(self, body: Any, status: int, told: object, path: str = PATH) -> str:
        """The answer is one line without anything secret, and nothing is stored; returns the line."""
        tried = list(self.stack.trials.tried)
        answer = self.send(body, path)
        self.assertEqual(answer.status, status, (told, answer.body[:300]))
        self.assertEqual(set(answer.json), {"description"}, told)
        self.assertTrue(answer.description.isprintable(), told)
        self.assertLess(len(answer.description), 600, told)
        self.assertEqual(self.stored(), self.before, told)
        # Nor is an engine asked with it.
        self.assertEqual(self.stack.trials.tried, tried, told)
        return answer.description

    def test_material(self) -> None:
        """What can never open an engine is 400, and the line tells which part is wrong, and how."""
        wrong = wrong_parts(self.material, self.authority)
        for what, (told, parts) in wrong.items():
            described = self.assert_refused({**self.good, **parts}, 400, what)
            self.assertIn(told, described, what)
            encoded = {name: b64encode(part.encode()).decode() for name, part in parts.items()}
            self.assertEqual(self.assert_refused({**self.good, **encoded}, 400, what), described)

    def test_weak(self) -> None:
        """Keys that TLS does not take, or not any more, are 400, of clients and of authorities."""
        for what, (told, parts) in weak_parts(self.authority).items():
            self.assertIn(told, self.assert_refused({**self.good, **parts}, 400, what), what)
        authority = Authority(key=rsa.generate_private_key(65537, SHORT))  # type: ignore[arg-type]
        described = self.assert_refused({**self.good, "CA": authority.pem().decode()}, 400, "authority")
        self.assertIn("ca: has a key of RSA with 1024 bits", described)

    def test_strong(self) -> None:
        """Keys that TLS takes are taken, with their chain or without."""
        keys: tuple[Any, ...] = (
            rsa.generate_private_key(65537, 2048),
            ec.generate_private_key(ec.SECP384R1()),
            ed25519.Ed25519PrivateKey.generate(),
        )
        for key in keys:
            certificate = self.authority.certificate_for(key.public_key())
            for chain in (certificate, certificate + self.material.ca):
                parts = (chain, key.private_bytes(*_PEM, NoEncryption()))
                body = dict(zip(("ClientCert", "ClientKey"), map(bytes.decode, parts), strict=True))
                self.assertEqual(self.send({**self.good, **body}).status, 200, type(key))

    def test_not_yet_valid(self) -> None:
        """A certificate that is not valid yet is 400 by the broker's clock, and one that has expired, too."""
        for skew, told in ((-10 * 24, "is not valid before"), (10 * 24, "has expired on")):
            self.stack.skew += skew * 3600
            self.assertIn(f"clientcert: {told} 20", self.assert_refused(self.good, 400, told))
            self.stack.skew -= skew * 3600

    def test_members(self) -> None:
        """Parts that are missing, empty, of a wrong kind or no PEM are 400, and named."""
        values: tuple[Any, ...] = (
            "",
            None,
            7,
            True,
            [],
            ["x"],
            {},
            "words",
            "\u00fc",
            "-----BEGIN CERTIFICATE-----",
            "AAAA",
        )
        for member in ("ClientCert", "ClientKey", "CA"):
            for value in values:
                described = self.assert_refused({**self.good, member: value}, 400, (member, value))
                self.assertIn(f"{member.lower()}: ", described)
        self.assert_refused({}, 400, "nothing")
        self.assert_refused({**self.good, "clientcert": self.good["ClientCert"]}, 400, "twice")

    def test_wrong_host(self) -> None:
        """A certificate whose body names another host than its path, or that names none, is 400."""
        for host in ("10.0.0.3", "docker1", 7, ["10.0.0.2"]):
            self.assert_refused({**self.good, "Host": host}, 400, host)
        for path in ("unix:%2F%2F%2Frun", "a%20b", "a..b", "-a", "1.2.3", "0x7f.1", "x" * 254, "%2e%2e"):
            self.assert_refused({**self.good, "Host": None}, 400, path, f"/certificate/{path}")

    def test_no_object(self) -> None:
        """A body that is no JSON object in UTF-8, or has what is no JSON, is 400."""
        for body in (*NO_OBJECTS, *(json.dumps(self.good).encode(one) for one in ("utf-16", "utf-32"))):
            self.assert_refused(body, 400, body[:50])
        for value in NO_VALUES:
            body = beside(value, self.good)
            # What is larger than any certificate is not even looked at.
            self.assert_refused(body, 400 if len(body) <= LARGEST_BODY else 413, value[:50])

    def test_large(self) -> None:
        """What is larger than any certificate is 413."""
        for size in (300_000, 10_000_000):
            self.assert_refused({**self.good, "More": "x" * size}, 413, size)
            self.assert_refused({**self.good, "CA": self.good["CA"] * (size // 500)}, 413, size)

    @unhurried
    @given(st.sampled_from(["Host", "ClientCert", "ClientKey", "CA", "Any"]), documents, st.binary())
    def test_anything(self, member: str, value: Any, raw: bytes) -> None:
        """Whatever is sent is stored, or refused in one line."""
        block = f"-----BEGIN CERTIFICATE-----\n{b64encode(raw).decode()}\n-----END CERTIFICATE-----\n"
        for body in ({**self.good, member: value}, {**self.good, member: block}, raw):
            answer = self.send(body)
            self.assertLess(answer.status, 500)
            if answer.status >= 400:
                self.assertTrue(answer.description.isprintable(), answer.description)

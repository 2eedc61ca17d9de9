"""The certificates by which Docker hosts are reached over TLS: how they are told, and which are good."""

import binascii
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPrivateNumbers, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from dockerbroker.errors import TooLarge
from dockerbroker.model.docker_addresses import folded_host, is_host
from dockerbroker.model.members import Members, shown
from dockerbroker.model.secrets import Secret
from dockerbroker.wire import decode_object, fold

#: No body that brings a certificate is larger, in bytes.
LARGEST_BODY: Final = 256 * 1024
#: A chain or a bundle has no more certificates.
_MOST: Final = 20

#: One of RSA with 8192 bits is smaller.
_LONGEST_KEY: Final = 8 * 1024

#: TLS takes no shorter ones, in bits.
_LEAST_RSA: Final = 2048
_LEAST_CURVE: Final = 224

_CERTIFICATES: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE"})
_PUBLIC: Final = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_CLIENT_USES: Final = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})

_T = TypeVar("_T")


@frozen(kw_only=True)
class HostCertificate:
    """What mutual TLS with the Docker Engines at one address needs, as PEM and nothing else.

    `host` is their name or address as `folded_host` writes it, `certificate` the broker's own with its
    chain, `key` the key of the first one, `ca` the authorities by which the engine proves who it is.
    """

    host: str
    certificate: str
    key: Secret[str]
    ca: str


def decode_certificate(name: str, body: bytes) -> HostCertificate:
    """Decode what was PUT for the host of that name.

    Each part is PEM, or that in base64; what is around the blocks is dropped. Raises `TooLarge`, or
    `InvalidRequest` with every complaint that can be made without knowing what time it is.
    """
    if len(body) > LARGEST_BODY:
        raise TooLarge(f"The body is larger than {LARGEST_BODY} bytes.")
    members = Members(document=fold(decode_object(body)))
    host = folded_host(name)
    if not is_host(host):
        members.complain("host", "must be the name or address of a Docker host; a unix:// path has no TLS")
    if (told := members.text("host", name)) and folded_host(told) != host:
        members.complain("host", f"is {shown(told)}, but the path names {shown(name)}")
    chain = _certificates(members, "clientcert")
    key = _key(members, "clientkey")
    authorities = _certificates(members, "ca")
    _check_client(members, chain, key)
    _check_authorities(members, authorities)
    members.check()
    assert key is not None
    return HostCertificate(
        host=host, certificate=_pem(chain), key=Secret(_key_pem(key)), ca=_pem(authorities)
    )


def check_dates(certificate: HostCertificate, now: datetime) -> None:
    """Raise `InvalidRequest` when the certificate is not valid now, or no authority is."""
    members = Members(document={})
    _, authorities = _loaded(certificate)
    if (complaint := _untimely(_leaf(certificate), now)) is not None:
        members.complain("clientcert", complaint)
    complaints = [_untimely(one, now) for one in authorities]
    if all(complaints):
        members.complain("ca", str(complaints[0]))
    members.check()


def encode_certificate(certificate: HostCertificate) -> dict[str, Any]:
    """Return what may be told of a certificate: nothing by which anybody could use it."""
    _, authorities = _loaded(certificate)
    return {
        "Host": certificate.host,
        **_facts(_leaf(certificate)),
        "CA": [_facts(one) for one in authorities],
    }


def _loaded(certificate: HostCertificate) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    chain, authorities = (
        x509.load_pem_x509_certificates(pem.encode()) for pem in (certificate.certificate, certificate.ca)
    )
    return chain, authorities


def _leaf(certificate: HostCertificate) -> x509.Certificate:
    return _loaded(certificate)[0][0]


def _certificates(members: Members, key: str) -> list[x509.Certificate]:
    """Return the certificates of a member; none when there is a complaint."""
    blocks = [block for kind, block in _blocks(members, key) if kind in _CERTIFICATES]
    if not blocks and members.document.get(key):
        members.complain(key, "holds no certificate in the PEM format")
    if len(blocks) > _MOST:
        members.complain(key, f"holds more than {_MOST} certificates")
        return []
    found = [_load(members, key, "certificate", partial(_certificate, block)) for block in blocks]
    return [one for one in found if one is not None] if all(found) else []


def _certificate(body: str) -> x509.Certificate:
    found = x509.load_der_x509_certificate(b64decode("".join(body.split()), validate=True))
    # Names and keys are only looked at when they are asked for, and may be damaged as well.
    _facts(found)
    found.public_key()
    return found


def _key(members: Members, key: str) -> PrivateKeyTypes | None:
    """Return the private key of a member; none when there is a complaint."""
    blocks = [one for one in _blocks(members, key) if one[0].endswith("PRIVATE KEY")]
    if not members.document.get(key):
        return None
    if len(blocks) != 1:
        members.complain(key, "must hold one private key in the PEM format")
        return None
    [(kind, body)] = blocks
    if len(body) > _LONGEST_KEY:
        members.complain(key, f"is longer than {_LONGEST_KEY} characters")
        return None
    if kind.startswith("ENCRYPTED") or "ENCRYPTED" in body:
        members.complain(key, "needs a passphrase, which nobody could enter; send it without one")
        return None
    lines = "\n".join(body.split())
    pem = f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n".encode()
    return _load(members, key, "private key", lambda: _private_key(pem))


def _private_key(pem: bytes) -> PrivateKeyTypes:
    # That its factors are primes takes a large part of a second to be found out, and nobody else is served.
    key = load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    if isinstance(key, RSAPrivateKey) and not _is_consistent(key.private_numbers()):
        raise ValueError("the numbers of the key do not fit each other")
    return key


def _is_consistent(numbers: RSAPrivateNumbers) -> bool:
    """Whether the numbers fit each other, if the factors are primes."""
    p, q, d = numbers.p, numbers.q, numbers.d
    e, n = numbers.public_numbers.e, numbers.public_numbers.n
    if p <= 1 or q <= 1 or p * q != n or n % 2 == 0:
        return False
    halves = ((p - 1, numbers.dmp1), (q - 1, numbers.dmq1))
    return numbers.iqmp * q % p == 1 and all(d % m == part and e * d % m == 1 for m, part in halves)


def _blocks(members: Members, key: str) -> list[tuple[str, str]]:
    """Return the kinds and contents of the PEM blocks of a member, which may be in base64."""
    text = members.text(key, required=True)
    if text and "-----BEGIN" not in text:
        try:
            text = b64decode("".join(text.split()), validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            text = ""
    return list(_pem_blocks(text))


def _pem_blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the kind and the content of each block, in a time that grows with the text alone."""
    for part in text.split("-----BEGIN ")[1:]:
        kind, _, rest = part.partition("-----")
        content, end, _ = rest.partition(f"-----END {kind}-----")
        if end:
            yield kind, content


def _load(members: Members, key: str, what: str, load: Callable[[], _T]) -> _T | None:
    try:
        return load()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the libraries say may tell of the key.
        members.complain(key, f"holds a {what} that is damaged, or of a kind that is not supported")
        return None


def _check_client(members: Members, chain: Sequence[x509.Certificate], key: PrivateKeyTypes | None) -> None:
    if not chain:
        return
    certified = chain[0].public_key().public_bytes(*_PUBLIC)
    if key is not None and key.public_key().public_bytes(*_PUBLIC) != certified:
        members.complain("clientkey", "is not the key of the first certificate of clientcert")
    _check_strength(members, "clientcert", chain)
    uses = _extension(chain[0], x509.ExtendedKeyUsage)
    if uses is not None and not _CLIENT_USES.intersection(uses):
        members.complain("clientcert", "is not for clients: its extended key usage lacks clientAuth")


def _check_strength(members: Members, key: str, certificates: Sequence[x509.Certificate]) -> None:
    """Complain of keys that are too short for TLS, or that it does not take at all, such as DSA's."""
    for one in certificates:
        match one.public_key():
            case RSAPublicKey(key_size=bits) if bits < _LEAST_RSA:
                weakness = f"has a key of RSA with {bits} bits, and {_LEAST_RSA} are the least"
            case EllipticCurvePublicKey(key_size=bits) if bits < _LEAST_CURVE:
                weakness = f"has a key on a curve of {bits} bits, and {_LEAST_CURVE} are the least"
            case RSAPublicKey() | EllipticCurvePublicKey() | Ed25519PublicKey() | Ed448PublicKey():
                continue
            case _:
                weakness = "has a key of a kind that is not used for TLS"
        members.complain(key, f"{weakness}: {shown(_name(one.subject))}")


def _check_authorities(members: Members, authorities: Sequence[x509.Certificate]) -> None:
    _check_strength(members, "ca", authorities)
    for one in authorities:
        constraints = _extension(one, x509.BasicConstraints)
        usage = _extension(one, x509.KeyUsage)
        if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
            members.complain("ca", f"is not the certificate of an authority: {shown(_name(one.subject))}")


def _extension(certificate: x509.Certificate, kind: type[_T]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value  # type: ignore[type-var]
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _untimely(certificate: x509.Certificate, now: datetime) -> str | None:
    """Return why the certificate is not valid at that time, as the end of a sentence."""
    if now > certificate.not_valid_after_utc:
        return f"has expired on {_time(certificate.not_valid_after_utc)}"
    if now < certificate.not_valid_before_utc:
        return f"is not valid before {_time(certificate.not_valid_before_utc)}"
    return None


def _facts(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "Fingerprint": certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        "Subject": _name(certificate.subject),
        "Issuer": _name(certificate.issuer),
        "NotBefore": _time(certificate.not_valid_before_utc),
        "NotAfter": _time(certificate.not_valid_after_utc),
    }


def _name(name: x509.Name) -> str:
    return name.rfc4514_string()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in certificates)


def _key_pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")

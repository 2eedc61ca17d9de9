"""A certificate that the broker makes for itself."""

import ipaddress
import os
import secrets
import socket
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dockerbroker.config.endpoints import Endpoint, TcpEndpoint
from dockerbroker.config.listening import TlsConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.tls.pairs import load_file

#: For how long it is valid; it begins earlier, for clocks that are wrong.
VALID: Final = timedelta(days=1826)
EARLIER: Final = timedelta(days=2)

_KEY_MODE, _CERTIFICATE_MODE = 0o600, 0o644
_LONGEST_NAME: Final = 64
_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104
#: Only a route is chosen for it: nothing is sent to this address, which is one of documents.
_FAR_AWAY: Final = ("203.0.113.1", 9)


def make_pair(configuration: TlsConfiguration, endpoints: Iterable[Endpoint], now: float) -> bool:
    """Make the pair whose files are absent, and return whether that was so; nothing is ever overwritten.

    Where only the certificate is absent, as after a power cut, it is made for the key that is there. Raises
    `InvalidConfiguration` when only the key is absent, or a file cannot be written.
    """
    certificate, key = configuration.certificate, configuration.private_key
    if certificate.exists():
        if not key.exists():
            raise InvalidConfiguration(
                f"tls.privatekey: {key} is absent although {certificate} is there; remove that one as "
                "well, and another pair is made."
            )
        return False
    if not key.exists():
        _write(key, _new_key(), _KEY_MODE)
    private = load_file(key, "tls.privatekey", lambda data: load_pem_private_key(data, password=None))
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise InvalidConfiguration(f"tls.privatekey: {key} is no key of an elliptic curve.")
    names = own_names(endpoints, configuration.names)
    _write(certificate, self_signed(private, names, datetime.fromtimestamp(now, UTC)), _CERTIFICATE_MODE)
    return True


def own_names(endpoints: Iterable[Endpoint], more: Iterable[str]) -> tuple[str, ...]:
    """Return the names and addresses by which this machine is reached, those that were told in front."""
    hosts = [endpoint.host for endpoint in endpoints if isinstance(endpoint, TcpEndpoint)]
    told = [host for host in hosts if host not in _ANYWHERE]
    if len(told) < len(hosts):
        told += _address_of_default_route()
    return tuple(dict.fromkeys([*more, *told, socket.gethostname(), "localhost", "127.0.0.1", "::1"]))


def self_signed(key: ec.EllipticCurvePrivateKey, names: Iterable[str], now: datetime) -> bytes:
    """Return a certificate for these names and addresses that only a server can use, in the PEM format."""
    alternatives = [general for name in names if (general := _general_name(name)) is not None]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _common_name(alternatives))])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        # Who trusts it trusts no other certificate by it.
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _general_name(name: str) -> x509.GeneralName | None:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name) if name and name.isascii() else None


def _common_name(names: Iterable[x509.GeneralName]) -> str:
    return next((str(name.value) for name in names if len(str(name.value)) <= _LONGEST_NAME), "broker")


def _address_of_default_route() -> list[str]:
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(_FAR_AWAY)
        return [str(probe.getsockname()[0])]
    return []


def _write(path: Path, data: bytes, mode: int) -> None:
    """Put a whole file in place, unless there is one by now."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            # Another broker that starts beside this one may have been quicker.
            os.link(part, path)
    except OSError as error:
        raise InvalidConfiguration(f"tls: {path} cannot be written: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)

"""A certificate with its key, as they stand in their files."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from attrs import frozen
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from dockerbroker.config.private import check_private_file
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.secrets import Secret

#: No file with certificates is larger, in bytes.
LARGEST_FILE: Final = 1024 * 1024

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_DAY: Final = 86400.0

_Loaded = TypeVar("_Loaded")


@frozen(kw_only=True)
class Pair:
    """A certificate, those between it and its authority, and its key."""

    chain: tuple[Certificate, ...]
    key: Secret[PrivateKeyTypes]

    @property
    def certificate(self) -> Certificate:
        """The certificate itself."""
        return self.chain[0]

    @property
    def fingerprint(self) -> str:
        """Its SHA-256 fingerprint."""
        return fingerprint_of(self.certificate)

    @property
    def ends(self) -> datetime:
        """Until when it is valid."""
        return self.certificate.not_valid_after_utc

    def days_left(self, now: float) -> float:
        """Return for how many days it is still valid; less than none when it has ended."""
        return (self.ends.timestamp() - now) / _DAY

    def has_begun(self, now: float) -> bool:
        """Whether it is valid already."""
        return self.certificate.not_valid_before_utc <= datetime.fromtimestamp(now, UTC)


def fingerprint_of(certificate: Certificate) -> str:
    """Return a certificate's SHA-256 fingerprint as people compare it."""
    return certificate.fingerprint(SHA256()).hex(":").upper()


def load_pair(certificate: Path, key: Path, where: str) -> Pair:
    """Return what the two files hold; `where` stands before the keys of a configuration file in sentences.

    Raises `InvalidConfiguration` unless both are readable and PEM, others cannot reach the key, it needs no
    passphrase, and it is that of the file's first certificate.
    """
    chain = load_file(certificate, f"{where}certificate", load_pem_x509_certificates)
    try:
        check_private_file(key)
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"{where}privatekey: {error.description}") from None
    loaded = load_file(key, f"{where}privatekey", lambda data: load_pem_private_key(data, password=None))
    if chain[0].public_key().public_bytes(*_PUBLIC) != loaded.public_key().public_bytes(*_PUBLIC):
        raise InvalidConfiguration(f"{where}privatekey: {key} is not the key of the certificate.")
    return Pair(chain=tuple(chain), key=Secret(loaded))


def load_file(path: Path, key: str, load: Callable[[bytes], _Loaded]) -> _Loaded:
    """Return what is made of a file; raises `InvalidConfiguration` with the key by which it is configured."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise InvalidConfiguration(f"{key}: {path} is larger than {LARGEST_FILE} bytes.")
        return load(data)
    except OSError as error:
        raise InvalidConfiguration(f"{key}: {path} cannot be read: {error.strerror}.") from None
    except UnsupportedAlgorithm:
        raise InvalidConfiguration(f"{key}: {path} is of a kind that is not supported.") from None
    except (ValueError, TypeError) as error:
        # A key with a passphrase is a TypeError.
        what = "needs a passphrase" if isinstance(error, TypeError) else "is not in the PEM format"
        raise InvalidConfiguration(f"{key}: {path} {what}.") from None

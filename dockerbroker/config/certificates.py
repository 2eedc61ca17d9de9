"""The files of the agent's client certificate for its Docker host."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from dockerbroker.errors import InvalidConfiguration

CERTIFICATE_OPTIONS = ("clientcert", "clientkey", "cacert")

_Loaded = TypeVar("_Loaded")


def check_certificates(files: Mapping[str, str | None]) -> bool:
    """Return whether the files of `CERTIFICATE_OPTIONS` are given.

    Raises `InvalidConfiguration` unless all or none are, each is readable and PEM, and the key, which needs
    no passphrase, is that of the certificate.
    """
    missing = [f"--{option}" for option in CERTIFICATE_OPTIONS if not files.get(option)]
    if len(missing) == len(CERTIFICATE_OPTIONS):
        return False
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InvalidConfiguration(
            f"--clientcert, --clientkey and --cacert belong together: {' and '.join(missing)} {verb} missing."
        )
    certificates = _load("clientcert", files, load_pem_x509_certificates)
    key = _load("clientkey", files, lambda data: load_pem_private_key(data, password=None))
    _load("cacert", files, load_pem_x509_certificates)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if certificates[0].public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        raise InvalidConfiguration("--clientkey: the key is not that of the certificate of --clientcert.")
    return True


def _load(option: str, files: Mapping[str, str | None], load: Callable[[bytes], _Loaded]) -> _Loaded:
    path = Path(files[option] or "")
    try:
        return load(path.read_bytes())
    except OSError as error:
        raise InvalidConfiguration(f"--{option}: {path} cannot be read: {error.strerror}.") from None
    except (ValueError, TypeError) as error:
        # A key with a passphrase is a TypeError.
        what = "needs a passphrase" if isinstance(error, TypeError) else "is not in the PEM format"
        raise InvalidConfiguration(f"--{option}: {path} {what}.") from None

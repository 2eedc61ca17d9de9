"""The files of the agent's client certificate for its Docker host."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from dockerbroker.config.private import check_private_file
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.secrets import Secret

CERTIFICATE_OPTIONS = ("clientcert", "clientkey", "cacert")

_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

_Loaded = TypeVar("_Loaded")


def load_certificates(files: Mapping[str, str | None], host: str) -> HostCertificate | None:
    """Return what the files of `CERTIFICATE_OPTIONS` hold for the Docker host, None when none is given.

    Raises `InvalidConfiguration` unless all or none are given, each is readable and PEM, and the key, which
    needs no passphrase and which nobody else can reach, is that of the certificate.
    """
    missing = [f"--{option}" for option in CERTIFICATE_OPTIONS if not files.get(option)]
    if len(missing) == len(CERTIFICATE_OPTIONS):
        return None
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InvalidConfiguration(
            f"--clientcert, --clientkey and --cacert belong together: {' and '.join(missing)} {verb} missing."
        )
    certificate, public = _load("clientcert", files, _certificates)[1]
    _check_key(Path(files["clientkey"] or ""))
    key_text, key = _load("clientkey", files, lambda data: load_pem_private_key(data, password=None))
    authorities, _ = _load("cacert", files, _certificates)[1]
    if public != key.public_key().public_bytes(*_PUBLIC):
        raise InvalidConfiguration("--clientkey: the key is not that of the certificate of --clientcert.")
    return HostCertificate(host=host, certificate=certificate, key=Secret(key_text), ca=authorities)


def _check_key(path: Path) -> None:
    try:
        check_private_file(path)
    except InvalidConfiguration as error:
        raise InvalidConfiguration(f"--clientkey: {error.description}") from None


def _certificates(pem: bytes) -> tuple[str, bytes]:
    """Return the certificates alone, since a key may stand beside them, and the public key of the first."""
    found = load_pem_x509_certificates(pem)
    text = "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in found)
    return text, found[0].public_key().public_bytes(*_PUBLIC)


def _load(
    option: str, files: Mapping[str, str | None], load: Callable[[bytes], _Loaded]
) -> tuple[str, _Loaded]:
    """Return the text of a file, and what it holds."""
    path = Path(files[option] or "")
    try:
        data = path.read_bytes()
        return data.decode("utf-8", "replace"), load(data)
    except OSError as error:
        raise InvalidConfiguration(f"--{option}: {path} cannot be read: {error.strerror}.") from None
    except UnsupportedAlgorithm:
        raise InvalidConfiguration(f"--{option}: {path} is of a kind that is not supported.") from None
    except (ValueError, TypeError) as error:
        # A key with a passphrase is a TypeError.
        what = "needs a passphrase" if isinstance(error, TypeError) else "is not in the PEM format"
        raise InvalidConfiguration(f"--{option}: {path} {what}.") from None

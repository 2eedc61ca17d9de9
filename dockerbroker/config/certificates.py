"""The files of the agent's client certificate for its Docker host."""

from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from dockerbroker.errors import InvalidConfiguration

_OPTIONS = ("clientcert", "clientkey", "cacert")


def check_certificates(clientcert: str | None, clientkey: str | None, cacert: str | None) -> bool:
    """Return whether the three files are given; raises `InvalidConfiguration` unless all or none are.

    Each must be readable and PEM, the key must have no passphrase, and it must be that of the certificate.
    """
    files = {"clientcert": clientcert, "clientkey": clientkey, "cacert": cacert}
    missing = [f"--{option}" for option in _OPTIONS if not files[option]]
    if len(missing) == len(_OPTIONS):
        return False
    if missing:
        raise InvalidConfiguration(
            f"--clientcert, --clientkey and --cacert belong together: {' and '.join(missing)} missing."
        )
    certificate = _checked("clientcert", clientcert, load_pem_x509_certificates)[0]
    key = _checked("clientkey", clientkey, lambda data: load_pem_private_key(data, None))
    _checked("cacert", cacert, load_pem_x509_certificates)
'''
'''

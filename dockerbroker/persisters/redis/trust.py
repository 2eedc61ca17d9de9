"""By what a Redis server proves over TLS who it is."""

from pathlib import Path

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)

from dockerbroker.config.persister import Tls
from dockerbroker.persisters.databases import refusal
from dockerbroker.persisters.troubles import PEM


def trust(tls: Tls, host: str) -> IOpenSSLClientConnectionCreator:
    """Return what makes TLS connections to the host; raises `InvalidConfiguration`."""
    if not tls.verify:
        return CertificateOptions()
    root = platformTrust() if tls.ca is None else trustRootFromCertificates(_authorities(tls.ca))
    return optionsForClientTLS(host, root)


def _authorities(path: Path) -> list[Certificate]:
    try:
        found = load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise refusal("tls.ca", f"{path} cannot be read: {error.strerror}; {PEM}") from None
    except ValueError:
        raise refusal("tls.ca", f"{path} holds no certificate; {PEM}") from None
    return [Certificate(X509.from_cryptography(one)) for one in found]

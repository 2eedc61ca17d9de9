"""Whose a certificate is that somebody has shown."""

from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.x509.oid import NameOID
from OpenSSL.crypto import X509
from twisted.internet.interfaces import ISSLTransport

from dockerbroker.tls.pairs import fingerprint_of


@frozen(kw_only=True)
class ShownCertificate:
    """A client's certificate, which the handshake has verified.

    `subject` is all of its name, such as `CN=host1,O=Example`; `names` are its alternative names and
    addresses, or its common name where there are none, all in lower case.
    """

    subject: str
    names: frozenset[str]
    fingerprint: str


def shown_on(transport: object) -> ShownCertificate | None:
    """Return the certificate that was shown on a connection; None where none was asked for."""
    if not ISSLTransport.providedBy(transport):
        return None
    encrypted: Any = transport
    certificate: X509 | None = encrypted.getPeerCertificate()
    return None if certificate is None else names_of(certificate.to_cryptography())


def names_of(certificate: x509.Certificate) -> ShownCertificate:
    """Return whose a certificate is."""
    names = _alternatives(certificate) or _common_names(certificate)
    return ShownCertificate(
        subject=certificate.subject.rfc4514_string(),
        names=frozenset(name.lower() for name in names),
        fingerprint=fingerprint_of(certificate),
    )


def _alternatives(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*found.get_values_for_type(x509.DNSName), *map(str, addresses)]


def _common_names(certificate: x509.Certificate) -> list[str]:
    return [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]

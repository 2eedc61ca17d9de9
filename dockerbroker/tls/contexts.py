"""What the broker agrees to with those who connect by TLS."""

import re
from pathlib import Path
from typing import Any, Final

from attrs import frozen
from cryptography.x509 import (
    Certificate,
    CertificateRevocationList,
    load_pem_x509_certificates,
    load_pem_x509_crl,
)
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.tls.pairs import Pair, load_file

#: Of TLS 1.2: a key for each connection, and a cipher that cannot be tampered with. TLS 1.3 has nothing else.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
#: The one protocol that is spoken over TLS.
HTTP: Final = b"http/1.1"

_VERSIONS: Final = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_OPTIONS: Final = (
    SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_TICKET
)
_MEMORY: Final = 0x10  # SSL_MODE_RELEASE_BUFFERS: idle connections keep none
_REVOCATIONS: Final = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----\r?\n?", re.DOTALL)


@frozen(kw_only=True)
class Authorities:
    """Who signs the certificates that others show, and which of these were revoked.

    When there is one list of revoked certificates, there must be one of each authority.
    """

    certificates: tuple[Certificate, ...]
    revocations: tuple[CertificateRevocationList, ...] = ()


def load_authorities(path: Path, key: str) -> Authorities:
    """Return what a file holds; raises `InvalidConfiguration` with the key by which it is configured."""

    def load(data: bytes) -> Authorities:
        revocations = [load_pem_x509_crl(one) for one in _REVOCATIONS.findall(data)]
        certificates = load_pem_x509_certificates(_REVOCATIONS.sub(b"", data))
        return Authorities(certificates=tuple(certificates), revocations=tuple(revocations))

    return load_file(path, key, load)


def server_context(pair: Pair, minimum: str, authorities: Authorities | None) -> SSL.Context:
    """Return the context of connections on which the pair is shown.

    `minimum` is the lowest version of TLS. With `authorities` whoever connects must show a certificate of
    theirs. No session outlives its connection, so that each is verified. Raises `InvalidConfiguration`.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[minimum])
    context.set_options(_OPTIONS)
    context.set_mode(_MEMORY)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(":".join(CIPHERS).encode("ascii"))
    context.set_alpn_select_callback(_choose_protocol)
    try:
        context.use_certificate(pair.certificate)
        for one in pair.chain[1:]:
            context.add_extra_chain_cert(one)
        context.use_privatekey(pair.key.reveal())  # type: ignore[arg-type]
        if authorities is not None:
            _require_certificate(context, authorities)
    except (SSL.Error, TypeError, ValueError):
        raise InvalidConfiguration(
            "tls: the certificate, its key or an authority is of a kind, or too weak, that OpenSSL refuses."
        ) from None
    return context


def _choose_protocol(connection: SSL.Connection, offered: list[bytes]) -> Any:
    del connection
    return HTTP if HTTP in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _require_certificate(context: SSL.Context, authorities: Authorities) -> None:
    store = context.get_cert_store()
    assert store is not None, "every context has one"
    for one in authorities.certificates:
        store.add_cert(X509.from_cryptography(one))
        context.add_client_ca(one)
    for revocation in authorities.revocations:
        store.add_crl(revocation)
    if authorities.revocations:
        store.set_flags(X509StoreFlags.CRL_CHECK)
    # OpenSSL decides, with what it asks of a client's certificate: dates, purpose, signatures.
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)

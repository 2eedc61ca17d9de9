"""Certificates of every quality, and a server that shows them."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import socket
import ssl
import tempfile
import threading
from pathlib import Path

from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)
_PEM = serialization.Encoding.PEM
_ANSWER = json.dumps({"ApiVersion": "1.41"}).encode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@define(eq=False)
class Authority:
    """A certificate authority of a test, which `lasts` from now."""

    name: str = "authority"
    lasts: dt.timedelta = _DAY
    key: ec.EllipticCurvePrivateKey = field(factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def pem(self) -> bytes:
        """Return the authority's own certificate."""
        builder = self._builder(_name(self.name), self.key.public_key(), self.lasts)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(_PEM)

    def issue(
        self,
        *names: str,
        lasts: dt.timedelta = _DAY,
        begins: dt.timedelta = -2 * _DAY,
        subject: str = "subject",
        usage: x509.ObjectIdentifier | None = None,
    ) -> tuple[bytes, bytes]:
        """Return a certificate for the names and addresses, which is for this use alone, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(subject), key.public_key(), lasts, begins)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if names:
            alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256()).public_bytes(_PEM)
        plain = serialization.NoEncryption()
        return certificate, key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain)

    def revoke(self, *certificates: bytes) -> bytes:
        """Return the authority's list of these certificates of its own, which count no more."""
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(_name(self.name))
        builder = builder.last_update(now - _DAY).next_update(now + _DAY)
        for certificate in certificates:
            serial = x509.load_pem_x509_certificate(certificate).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - _DAY)
            builder = builder.add_revoked_certificate(one.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(_PEM)

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        lasts: dt.timedelta,
        begins: dt.timedelta = -2 * _DAY,
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name(self.name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + lasts)
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def self_signed(*names: str) -> tuple[bytes, bytes]:
    """Return a certificate that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = Authority("subject", key=key)
    builder = own._builder(_name("subject"), key.public_key(), _DAY)
    alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
    certificate = builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    return certificate.public_bytes(_PEM), key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, plain)


@define(eq=False)
class TlsServer:
    """A server on loopback that shows a certificate and tells the version of an engine.

    With `client_ca` it demands a certificate of that authority. It speaks no newer TLS than `newest`.
    """

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    _listener: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)), init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    @property
    def port(self) -> int:
        """The server's port."""
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        """Serve in a thread."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "both.pem")
            path.write_bytes(self.certificate + b"\n" + self.key)
            context.load_cert_chain(path)
        if self.newest is not ssl.TLSVersion.MAXIMUM_SUPPORTED:
            # OpenSSL allows what is old at this level alone.
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = self.newest
        if self.client_ca is not None:
            context.load_verify_locations(cadata=self.client_ca.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        self._thread = threading.Thread(target=self._serve, args=(context,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        assert self._thread is not None
        self._thread.join(5)

    def _serve(self, context: ssl.SSLContext) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(5)
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(65536)
                    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(_ANSWER)}\r\n\r\n"
                    secure.sendall(head.encode() + _ANSWER)

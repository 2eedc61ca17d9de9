"""Lets a Docker Engine that listens on a UNIX socket be reached over TCP and TLS as well."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import select
import socket
import ssl
import threading
from pathlib import Path

from attrs import define, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CHUNK = 65536
FAREWELL_SECONDS = 5


@frozen(kw_only=True)
class TlsMaterial:
    """What a client needs for mutual TLS: authority, certificate and key, each PEM bytes."""

    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)


@define(eq=False)
class ThrowawayAuthority:
    """A certificate authority that lives for one test run and signs for this machine alone.

    Its certificates are good for a clock that is two days wrong.
    """

    _key: ec.EllipticCurvePrivateKey = field(factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    _name: x509.Name = field(factory=lambda: _common_name("dockerbroker tests"))

    def certificate(self) -> bytes:
        """The authority's own certificate, PEM."""
        builder = _builder(self._name, self._name, self._key.public_key())
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return _certificate_pem(builder.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, usage: x509.ObjectIdentifier, *addresses: str) -> TlsMaterial:
        """A certificate for `usage` with the loopback names and these addresses, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        loopback: list[x509.GeneralName] = [
            x509.DNSName("localhost"),
            *(x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", *addresses)),
        ]
        builder = (
            _builder(_common_name(name), self._name, key.public_key())
            .add_extension(x509.SubjectAlternativeName(loopback), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        certificate = _certificate_pem(builder.sign(self._key, hashes.SHA256()))
        return TlsMaterial(ca=self.certificate(), certificate=certificate, key=pem)

    def certificate_for(self, key: CertificatePublicKeyTypes) -> bytes:
        """A certificate for a key of somebody else's, PEM."""
        return _certificate_pem(
            _builder(_common_name("key"), self._name, key).sign(self._key, hashes.SHA256())
        )

    def server(self, *addresses: str) -> TlsMaterial:
        """Material for the engine's side."""
        return self.issue("localhost", ExtendedKeyUsageOID.SERVER_AUTH, *addresses)

    def client(self) -> TlsMaterial:
        """Material for the broker's side."""
        return self.issue("dockerbroker", ExtendedKeyUsageOID.CLIENT_AUTH)


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + dt.timedelta(days=2))
    )


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def write_material(material: TlsMaterial, folder: Path) -> dict[str, Path]:
    """Write the three PEM files into `folder`; their paths by `ca`, `cert` and `key`."""
    folder.mkdir(mode=0o700)
    paths = {part: folder / f"{part}.pem" for part in ("ca", "cert", "key")}
    paths["ca"].write_bytes(material.ca)
    paths["cert"].write_bytes(material.certificate)
    paths["key"].touch(mode=0o600)
    paths["key"].write_bytes(material.key)
    return paths


def server_context(paths: dict[str, Path]) -> ssl.SSLContext:
    """A context that demands a client certificate of the authority, as `dockerd --tlsverify` does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(paths["cert"], paths["key"])
    context.load_verify_locations(paths["ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def forward(unix_path: str, context: ssl.SSLContext | None = None) -> int:
    """Forward connections to a new loopback port on to a UNIX socket until the process ends.

    Each direction is half-closed when its source is, so that an exec's end of input passes through.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=_accept, args=(listener, unix_path, context), daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def cut_replies(unix_path: str, request: bytes, keep: int) -> int:
    """Forward connections to a new loopback port, but of the reply to `request` only `keep` bytes.

    The request is passed on as it is; after that much of its reply the connection is closed.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(
                target=_serve_cut, args=(connection, unix_path, request, keep), daemon=True
            ).start()

    threading.Thread(target=accept, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def _serve_cut(connection: socket.socket, unix_path: str, request: bytes, keep: int) -> None:
    with contextlib.suppress(OSError), connection as client, socket.socket(socket.AF_UNIX) as upstream:
        upstream.connect(unix_path)
        asked, room = b"", CHUNK
        while room:
            for source in select.select([client, upstream], [], [])[0]:
                data = source.recv(CHUNK)
                if not data:
                    return
                if source is client:
                    asked += data
                    upstream.sendall(data)
                    continue
                if request in asked:
                    room = min(room, keep)
                    room -= len(data := data[:room])
                client.sendall(data)


def _accept(listener: socket.socket, unix_path: str, context: ssl.SSLContext | None) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve, args=(connection, unix_path, context), daemon=True).start()


def _serve(connection: socket.socket, unix_path: str, context: ssl.SSLContext | None) -> None:
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(OSError))
        client = stack.enter_context(connection)
        if context is not None:
            client = stack.enter_context(context.wrap_socket(client, server_side=True))
        upstream = stack.enter_context(socket.socket(socket.AF_UNIX))
        upstream.connect(unix_path)
        _shuttle(client, upstream)


def _shuttle(client: socket.socket, upstream: socket.socket) -> None:
    """Copy both ways from one thread: a TLS connection must not be read and written at once."""
    peers = {client: upstream, upstream: client}
    while upstream in peers:
        pending = isinstance(client, ssl.SSLSocket) and client in peers and client.pending() > 0
        readable = [client] if pending else select.select(list(peers), [], [])[0]
        for source in readable:
            data = source.recv(CHUNK)
            if data:
                peers[source].sendall(data)
            else:
                _end_output(peers.pop(source))


def _end_output(sink: socket.socket) -> None:
    if isinstance(sink, ssl.SSLSocket):
        # The engine's end of output ends the whole connection: waiting for the farewell loses nothing.
        sink.settimeout(FAREWELL_SECONDS)
        sink.unwrap()
    else:
        sink.shutdown(socket.SHUT_WR)

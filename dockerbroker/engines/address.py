"""Where the Docker Engine of a host is reached, and what is trusted there."""

import os
import socket
import ssl

from attrs import frozen

from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.docker_addresses import address_of_text
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.secrets import Secret

#: How long a connection may take to be made, in seconds.
CONNECT = 3.0
_UNIX = "unix://"


@frozen(kw_only=True)
class TlsMaterial:
    """What mutual TLS with one host needs, as PEM: its authority, and the broker's certificate and key."""

    ca: bytes
    certificate: bytes
    key: Secret[bytes]


@frozen(kw_only=True)
class DockerAddress:
    """A UNIX socket's `path`, or a `host` and `port` over TCP, with TLS if there is material for it."""

    path: str = ""
    host: str = ""
    port: int = 0
    tls: TlsMaterial | None = None

    def __str__(self) -> str:
        """Return the address as a person writes it."""
        if self.path:
            return _UNIX + self.path
        return f"{self._bracketed}:{self.port}"

    @property
    def url(self) -> str:
        """What docker-py calls the base URL."""
        return _UNIX + self.path if self.path else f"tcp://{self._bracketed}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def context(self) -> ssl.SSLContext | None:
        """Return what makes TLS connections that trust the host's own authority alone, or None without TLS.

        The environment (`SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`) has no influence. Raises `ssl.SSLError` when
        the material is damaged or key and certificate do not belong together.
        """
        if self.tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=self.tls.ca.decode("ascii"))
        # OpenSSL reads keys from files only: a file in memory, so that the key never is on a disk.
        memory = os.memfd_create("dockerbroker-tls")
        try:
            with os.fdopen(os.dup(memory), "wb") as file:
                file.write(self.tls.certificate + b"\n" + self.tls.key.reveal())
            context.load_cert_chain(f"/proc/self/fd/{memory}")
        finally:
            os.close(memory)
        return context

    def connect(self, timeout: float) -> socket.socket:
        """Return a socket that is connected, without TLS; raises `OSError`."""
        if not self.path:
            return socket.create_connection((self.host, self.port), timeout=timeout)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout)
            connection.connect(self.path)
        except OSError:
            connection.close()
            raise
        return connection


def material_of(certificate: HostCertificate) -> TlsMaterial:
    """Return what TLS with the certificate's host needs."""
    return TlsMaterial(
        ca=certificate.ca.encode(),
        certificate=certificate.certificate.encode(),
        key=Secret(certificate.key.reveal().encode()),
    )


def port_address(host: DockerHost) -> str:
    """Return the address by which applications reach the host; empty where that is a name."""
    address = address_of_text(host.key.service_host)
    return "" if address is None else str(address)


def address_of(host: DockerHost, tls: TlsMaterial | None = None) -> DockerAddress:
    """Return where the host's Docker Engine is reached."""
    if host.key.docker_host.startswith(_UNIX):
        return DockerAddress(path=host.key.docker_host.removeprefix(_UNIX))
    return DockerAddress(host=host.key.docker_host.strip("[]"), port=host.key.docker_port, tls=tls)

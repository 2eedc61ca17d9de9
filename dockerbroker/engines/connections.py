"""The way to the Docker Engine of one host, which changes when its certificate does."""

from collections.abc import Awaitable, Callable

from attrs import define, field

from dockerbroker.engines.address import DockerAddress, address_of, material_of
from dockerbroker.engines.client import Clients
from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.docker_addresses import is_loopback
from dockerbroker.model.hosts import DockerHost

#: Finds the certificate of a host, None when it has none; raises `EngineUnreachable`.
Trust = Callable[[DockerHost], Awaitable[HostCertificate | None]]


@define(eq=False)
class Connections:
    """Hands out the clients of one host, which are others as soon as its certificate is another one.

    Without a certificate there is no TLS, and a host that is reached over a network is only connected to
    when `allows_plain` says so.
    """

    _host: DockerHost
    _trust: Trust
    _allows_plain: bool
    clients: Clients = field(init=False)
    _is_closed: bool = field(default=False, init=False)

    @clients.default
    def _first(self) -> Clients:
        return Clients(address_of(self._host))

    async def renew(self) -> None:
        """Let `clients` be those with the certificate of now; raises `EngineUnreachable`."""
        certificate = await self._trust(self._host)
        address = address_of(self._host, None if certificate is None else material_of(certificate))
        is_safe = self._allows_plain or _is_safe(address)
        if address != self.clients.address and not self._is_closed:
            self.clients.retire()
            clients = Clients(address)
            if not is_safe:
                # Calls that wait for their turn were let in when there was a certificate.
                clients.close()
            self.clients = clients
        if not is_safe:
            raise _unsafe(address)

    def close(self) -> None:
        """Close what is idle, and everything else once it comes back."""
        self._is_closed = True
        self.clients.close()


def _is_safe(address: DockerAddress) -> bool:
    return address.tls is not None or bool(address.path) or is_loopback(address.host)


def _unsafe(address: DockerAddress) -> EngineUnreachable:
    return EngineUnreachable(
        f"The Docker host {address} has no certificate, and connections without TLS are made to this "
        "machine alone: give its agent --clientcert, --clientkey and --cacert, or let the broker's "
        "configuration say plaindocker."
    )

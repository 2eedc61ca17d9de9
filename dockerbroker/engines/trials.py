"""Trying whether a certificate opens the Docker Engine of a host."""

import ssl

from attrs import define
from zope.interface import implementer

from dockerbroker.engines.address import DockerAddress, address_of, material_of
from dockerbroker.engines.client import Clients
from dockerbroker.engines.docker import DockerEngines
from dockerbroker.engines.interfaces import ITrials
from dockerbroker.errors import InvalidRequest
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.hosts import DockerHost

#: Seconds for a connection and the engine's answer over it.
_PATIENCE = 5.0


@implementer(ITrials)
@define(eq=False)
class DockerTrials:
    """Tries certificates in the threads of the hosts that they are for."""

    engines: DockerEngines

    def check(self, certificate: HostCertificate) -> None:
        """Raise what keeps every connection from being made; see `ITrials.check`."""
        try:
            DockerAddress(tls=material_of(certificate)).context()
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise InvalidRequest(
                f"The certificate cannot be used for TLS: {str(reason).replace('_', ' ').lower()}."
            ) from None

    async def attempt(self, host: DockerHost, certificate: HostCertificate) -> None:
        """Ask the engine what version it is; see `ITrials.attempt`."""
        clients = Clients(address_of(host, material_of(certificate)))

        def ask(remaining: float) -> None:
            try:
                # In TLS 1.3 a client learns only by the answer whether its certificate was accepted.
                clients.version(remaining)
            finally:
                clients.close()

        await self.engines(host).calls.run(_PATIENCE, ask)

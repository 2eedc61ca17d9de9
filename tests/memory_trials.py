"""Trials of certificates whose outcome a test decides."""

from __future__ import annotations

from attrs import define, field
from zope.interface import implementer

from dockerbroker.engines.interfaces import ITrials
from dockerbroker.errors import EngineUnreachable, InvalidRequest
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.hosts import DockerHost


@implementer(ITrials)
@define(eq=False)
class MemoryTrials:
    """Finds every certificate good but for that of the hosts in `damaged` and `closed`, by their names.

    `tried` has the ports on which certificates were tried.
    """

    damaged: set[str] = field(factory=set)
    closed: set[str] = field(factory=set)
    tried: list[int] = field(factory=list)

    def check(self, certificate: HostCertificate) -> None:
        """Refuse the certificate of a host that is damaged."""
        if certificate.host in self.damaged:
            raise InvalidRequest("The certificate cannot be used for TLS.")

    async def attempt(self, host: DockerHost, certificate: HostCertificate) -> None:
        """Be refused by a host that is closed."""
        self.tried.append(host.key.docker_port)
        if certificate.host in self.closed:
            raise EngineUnreachable(f"The Docker host {certificate.host} cannot be reached.")

"""What is trusted when a Docker host is connected to."""

from typing import ClassVar

from attrs import define, field
from twisted.logger import Logger

from dockerbroker.errors import EngineUnreachable, Unavailable
from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.docker_addresses import UNIX, folded_host
from dockerbroker.model.hosts import DockerHost
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Trust:
    """Finds the certificates of Docker hosts, those that are stored now.

    They are looked up at each call of Docker, so that a new one is used at once by every broker. While the
    database does not answer, what was found last holds.
    """

    _log: ClassVar[Logger] = Logger()

    _persister: IPersister
    _last: dict[str, HostCertificate | None] = field(factory=dict, init=False, repr=False)

    async def __call__(self, host: DockerHost) -> HostCertificate | None:
        """Return the host's certificate, None when it has none; raises `EngineUnreachable`."""
        if host.key.docker_host.startswith(UNIX):
            return None
        name = folded_host(host.key.docker_host)
        try:
            self._last[name] = await self._persister.certificate(name)
        except Unavailable as error:
            if name not in self._last:
                raise EngineUnreachable(
                    f"The certificate of the Docker host {name} cannot be found: {error.description}"
                ) from error
        return self._last[name]

"""Finds the host of an instance."""

from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.persisters.interfaces import IPersister


async def known_host(persister: IPersister, key: HostKey) -> DockerHost:
    """Return the host with that key, alive or not; raises `EngineUnreachable` when it is not known."""
    if (host := await persister.host(key)) is not None:
        return host
    raise EngineUnreachable(
        f"The Docker host {key.service_host} of the service instance is not known to the broker: "
        "start its agent with the same servicehost, dockerhost and dockerport as before."
    )

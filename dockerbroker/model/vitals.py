"""What an agent tells of its Docker host with each ping, beside its configuration."""

from attrs import field, frozen

from dockerbroker.model.audit import ITSELF, Origin
from dockerbroker.model.hosts import DockerHost


@frozen(kw_only=True)
class Vitals:
    """How a Docker host is, as its agent sees it; what is not known is None.

    `session` is another one each time the agent starts, and `sequence` counts its pings. `engine_session` is
    another one when Docker may have been restarted since the look before. `trouble` is a sentence about
    Docker, empty when it is well. Sizes are in bytes, `load` is in busy processors.
    """

    session: str | None = None
    sequence: int | None = None
    engine_id: str | None = None
    engine_version: str | None = None
    api_version: str | None = None
    runc_version: str | None = None
    engine_session: str | None = None
    trouble: str = ""
    memory_total: int | None = None
    memory_free: int | None = None
    cpus: float | None = None
    load: float | None = None
    disk_total: int | None = None
    disk_free: int | None = None
    containers: int | None = None


@frozen(kw_only=True)
class Ping:
    """What a ping says: the host as its agent is configured, and how it is.

    The next ping comes within `host.keep_alive` seconds. When a broker has asked for that interval,
    `own_keep_alive` is the one that the agent would keep otherwise. `origin` tells who has sent it, and
    `is_bound` whether that one may speak for this `ServiceHost` alone.
    """

    host: DockerHost
    vitals: Vitals = field(factory=Vitals)
    own_keep_alive: float | None = None
    origin: Origin = ITSELF
    is_bound: bool = False

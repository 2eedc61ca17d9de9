"""Plans of a service, and what a plan asks of the container."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

#: What Docker does when a container ends by itself (Docker API, RestartPolicy).
RESTARTS = ("unless-stopped", "always", "on-failure", "no")
#: The one by which Docker never restarts a container.
UNKEPT = RESTARTS[-1]


@frozen(kw_only=True)
class MaintenanceInfo:
    """The version of a plan, by semantic versioning, and what an upgrade to it does."""

    version: str
    description: str | None = None


@frozen(kw_only=True)
class ContainerOptions:
    """How the containers of a plan are made.

    `memory` is in bytes, `cpus` in processors, `pids` counts processes; None is without a limit.
    `volumes` maps names to absolute paths in the container. `command` replaces the image's when it is not
    empty. `environment` is visible to whoever may inspect the container, and so no place for secrets.
    """

    environment: Mapping[str, str] = field(factory=dict)
    command: tuple[str, ...] = ()
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    restart: str = RESTARTS[0]
    volumes: Mapping[str, str] = field(factory=dict)


@frozen(kw_only=True)
class Plan:
    """One plan of an offering (OSB section Catalog Management, Plan Object).

    `bindable` and `updateable` are None where the offering's own value counts. `schemas` is the object that
    the catalog shows. `maximum_polling_duration` is in seconds. A plan that is `asynchronous_only` refuses
    requests that cannot be answered before their work is done.
    """

    id: str
    name: str
    description: str | None = None
    free: bool = True
    metadata: Mapping[str, Any] = field(factory=dict)
    schemas: Mapping[str, Any] = field(factory=dict)
    maintenance: MaintenanceInfo | None = None
    maximum_polling_duration: int | None = None
    bindable: bool | None = None
    updateable: bool | None = None
    binding_rotatable: bool = False
    asynchronous_only: bool = False
    options: ContainerOptions = field(factory=ContainerOptions)

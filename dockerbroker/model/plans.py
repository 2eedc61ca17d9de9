"""Plans of a service, and what a plan asks of the container."""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dockerbroker.model.confinement import Confinement

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

    `memory` is in bytes, `cpus` in processors; None is without a limit. `pids` counts processes; None is
    `DEFAULT_PIDS`. `volumes` maps names to absolute paths in the container. `command` replaces the image's
    when it is not empty. `environment` is visible to whoever may inspect the container, and so no place for
    secrets.
    """

    environment: Mapping[str, str] = field(factory=dict)
    command: tuple[str, ...] = ()
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    restart: str = RESTARTS[0]
    volumes: Mapping[str, str] = field(factory=dict)
    confinement: Confinement = field(factory=Confinement)


#: Whether instances of one service in one space may be on one Docker host.
SAME_HOST = ("allowed", "avoided", "never")


@frozen(kw_only=True)
class PlacementRules:
    """Where the instances of a plan may be.

    A host must have all `host_labels`. `same_host` is one of `SAME_HOST`; it holds among the instances whose
    plans do not say `allowed`.
    """

    host_labels: Mapping[str, str] = field(factory=dict)
    same_host: str = SAME_HOST[0]

    @property
    def is_apart(self) -> bool:
        """Whether instances shall be apart from others of their space."""
        return self.same_host != SAME_HOST[0]

    @property
    def is_alone(self) -> bool:
        """Whether instances are never on a host that has another one of their space."""
        return self.same_host == SAME_HOST[-1]


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
    placement: PlacementRules = field(factory=PlacementRules)

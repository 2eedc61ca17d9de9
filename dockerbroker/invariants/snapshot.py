"""What was seen of a deployment: at one moment, and before it."""

from collections.abc import Mapping
from functools import cached_property

from attrs import field, frozen

from dockerbroker.invariants.history import Event, Resource
from dockerbroker.model.containers import Container, Volume
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import (
    InstanceState,
    Operation,
    Phase,
    ServiceBinding,
    ServiceInstance,
)
from dockerbroker.model.orphans import Removal
from dockerbroker.model.reservations import Reserved
from dockerbroker.model.world import Place, place_of


@frozen(kw_only=True)
class HostView:
    """What was seen of a host; `complaint` tells why it did not answer, and then nothing was seen.

    `leased_ports` is what the database says, and so is `reserved`, if it was asked.
    """

    host: DockerHost
    is_alive: bool = True
    complaint: str | None = None
    containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    leased_ports: frozenset[int] = frozenset()
    reserved: Reserved | None = None


@frozen(kw_only=True)
class Sample:
    """What was seen at another moment: the running containers by instance, the phases of operations by id."""

    at: float
    running: Mapping[str, tuple[str, ...]] = field(factory=dict)
    phases: Mapping[str, Phase] = field(factory=dict)


@frozen(kw_only=True)
class Run:
    """One run of an executable of a service image; `ended` is None while it goes on, times are seconds."""

    action: str
    instance_id: str
    binding_id: str | None = None
    began: float = 0.0
    ended: float | None = None
    exit_code: int | None = None


@frozen(kw_only=True)
class Snapshot:
    """All that an invariant may look at; what nobody has seen is empty, and then nothing is said about it.

    `now` is by the persister's clock. `faults` are the times, by the history's clock, in which something was
    broken on purpose. `believed` tells what a platform believes to exist or not; without it that follows from
    the history. `resources` maps what a program holds to its amount before and after. `counters` are counts.
    """

    cluster_id: str
    now: float = 0.0
    instances: tuple[ServiceInstance, ...] = ()
    bindings: tuple[ServiceBinding, ...] = ()
    operations: tuple[Operation, ...] = ()
    conditions: Mapping[str, str] = field(factory=dict)
    hosts: tuple[HostView, ...] = ()
    history: tuple[Event, ...] = ()
    believed: Mapping[Resource, bool] | None = None
    faults: tuple[tuple[float, float], ...] = ()
    samples: tuple[Sample, ...] = ()
    runs: tuple[Run, ...] = ()
    removals: tuple[Removal, ...] = ()
    log: tuple[str, ...] = ()
    counters: Mapping[str, float] = field(factory=dict)
    resources: Mapping[str, tuple[float, float]] = field(factory=dict)

    @cached_property
    def places(self) -> dict[Place, HostView]:
        """The hosts by where their Docker is reached."""
        return {place_of(view.host.key): view for view in self.hosts}

    def view(self, key: HostKey) -> HostView | None:
        """Return what was seen of the host, None when it is not known."""
        return self.places.get(place_of(key))

    def is_dark(self, key: HostKey) -> bool:
        """Whether nothing could be seen of the host."""
        view = self.view(key)
        return view is None or view.complaint is not None

    @cached_property
    def busy(self) -> frozenset[str]:
        """The ids of the instances on which an operation is not over."""
        return frozenset(operation.instance_id for operation in self.operations if not operation.is_over)

    def is_settled(self, instance: ServiceInstance) -> bool:
        """Whether the instance is ready and nothing changes it."""
        held = instance.operation_id is not None or instance.id in self.busy
        return instance.state is InstanceState.READY and not held

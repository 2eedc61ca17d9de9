"""Image definitions: what the catalog is made of."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, field, frozen

from dockerbroker.errors import Conflict, InvalidRequest
from dockerbroker.model.plans import Plan
from dockerbroker.model.secrets import Secret

#: Names and ids are no longer, so that every platform can store them.
LONGEST_NAME = 255


@frozen(kw_only=True)
class ImageDefinition:
    """One entry of the catalog: a Docker image, or an existing container, offered as a service.

    `credentials` and `dashboard_url` are templates with `$HOST` and `$PORT`; either makes the service
    static: none of the image's executables is run. `container_name` names a container that exists already.

    An instance keeps a definition that is narrowed to its one plan.
    """

    name: str
    image: str
    plans: tuple[Plan, ...]
    id: str | None = None
    description: str | None = None
    bindable: bool = True
    tags: tuple[str, ...] = ("docker",)
    requires: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(factory=dict)
    dashboard_client: Secret[dict[str, Any]] | None = None
    plan_updateable: bool = False
    instances_retrievable: bool = True
    bindings_retrievable: bool = True
    allow_context_updates: bool = False
    dashboard_url: str | None = field(default=None, repr=False)
    credentials: Secret[dict[str, Any]] | None = None
    numinstances: int = 1
    container_name: str | None = None
    legacy_arguments: bool = False
    host_labels: Mapping[str, str] = field(factory=dict)

    @property
    def is_static(self) -> bool:
        """Whether the definition itself holds what a binding gets."""
        return self.credentials is not None or self.dashboard_url is not None

    @property
    def service_id(self) -> str:
        """The offering's id; by default the name, as the original made it."""
        return self.name if self.id is None else self.id

    @property
    def plan(self) -> Plan:
        """The plan of a definition that is narrowed to one."""
        (plan,) = self.plans
        return plan

    @property
    def wanted_labels(self) -> Mapping[str, str]:
        """The labels that a host must have for an instance of the plan; the plan's own beat the image's."""
        return {**self.host_labels, **self.plan.placement.host_labels}

    def narrowed(self, plan_id: str) -> "ImageDefinition | None":
        """Return the definition with the one plan of that id, or None when there is none."""
        for plan in self.plans:
            if plan.id == plan_id:
                return evolve(self, plans=(plan,))
        return None

    def is_bindable(self, plan: Plan) -> bool:
        """Whether instances of the plan can be bound."""
        return self.bindable if plan.bindable is None else plan.bindable

    def is_updateable(self, plan: Plan) -> bool:
        """Whether instances of the plan can be moved to another plan."""
        return self.plan_updateable if plan.updateable is None else plan.updateable

    def require_room_for(self, other: "ImageDefinition") -> None:
        """Raise `Conflict` when the other one cannot stand beside this one in a catalog."""
        if found := collisions([self, other] if self.name != other.name else [other]):
            raise Conflict(f"The image {other.name!r} cannot be added: {'; '.join(found)}.")


def chosen(definitions: Iterable[ImageDefinition], service_id: str, plan_id: str) -> ImageDefinition:
    """Return the definition, narrowed to the plan; raises `InvalidRequest` that names the unknown id."""
    for definition in definitions:
        if definition.service_id == service_id:
            if (narrowed := definition.narrowed(plan_id)) is not None:
                return narrowed
            raise InvalidRequest(
                f"The service {service_id!r} has no plan with the plan_id {plan_id[:LONGEST_NAME]!r}."
            )
    raise InvalidRequest(f"The catalog has no service with the service_id {service_id[:LONGEST_NAME]!r}.")


def collisions(definitions: Iterable[ImageDefinition]) -> list[str]:
    """Return a sentence for each name and each id that two definitions share.

    The plan id joins name and plan, so that `a_b` with plan `c` meets `a` with plan `b_c`.
    """
    found: list[str] = []
    names: set[str] = set()
    owners: dict[tuple[str, str], str] = {}
    for definition in definitions:
        if definition.name in names:
            found.append(f"the name {definition.name!r} occurs twice")
            continue
        names.add(definition.name)
        for what, identifier in _identifiers(definition):
            other = owners.setdefault((what, identifier), definition.name)
            if other != definition.name:
                shown = "" if what == _CLIENT else f" {identifier!r}"
                found.append(f"{definition.name!r} and {other!r} have the same {what}{shown}")
    return found


_CLIENT = "id of the dashboard's client"


def _identifiers(definition: ImageDefinition) -> Iterator[tuple[str, str]]:
    """Yield what must be unique in a catalog: what it is, and the identifier."""
    yield "service id", definition.service_id
    for plan in definition.plans:
        yield "plan id", plan.id
    if definition.dashboard_client is not None:
        yield _CLIENT, str(definition.dashboard_client.reveal().get("id"))

"""Image definitions, and the offerings and plans that Cloud Foundry sees of them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen

from dockerbroker.errors import Conflict, InvalidRequest
from dockerbroker.model.members import Members
from dockerbroker.model.plans import Plan
from dockerbroker.model.secrets import Secret
from dockerbroker.wire import fold

#: A Docker image reference: [registry/]path[:tag][@digest] (Docker's reference grammar, bounded).
_REFERENCE = re.compile(
    r"(?=.{1,500}\Z)(?:[A-Za-z0-9]+(?:(?:\.|-+)[A-Za-z0-9]+)*(?::\d{1,5})?/)?"
    r"[a-z0-9]+(?:(?:[._/]|__|-+)[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[a-f0-9]{64})?\Z"
)
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}\Z")
_LONGEST_NAME = 255


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
    dashboard_url: str | None = None
    credentials: Secret[dict[str, Any]] | None = None
    numinstances: int = 1
    container_name: str | None = None
    legacy_arguments: bool = False

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


def read_image(members: Members) -> ImageDefinition:
    """Read a definition from folded members in the README's format; complaints are left in `members`."""
    name = _read_short(members, "name")
    container_name = members.text("containername") or None
    image = members.text("image") or name
    if container_name is None and image and not _REFERENCE.match(image):
        members.complain("image" if members.text("image") else "name", "is not the name of a Docker image")
    plan = _read_short(members, "plan")
    return ImageDefinition(
        name=name,
        plans=(Plan(id=f"{name}_{plan}", name=plan),),
        image=image,
        dashboard_url=_read_dashboard(members),
        credentials=Secret(credentials) if (credentials := members.object("credentials")) else None,
        numinstances=_read_numinstances(members, container_name),
        container_name=container_name,
        legacy_arguments=members.truth("legacyarguments", default=False),
    )


def _read_short(members: Members, key: str) -> str:
    text = members.text(key, required=True)
    if len(text) > _LONGEST_NAME or any(unicodedata.category(character) == "Cc" for character in text):
        members.complain(key, f"must have at most {_LONGEST_NAME} characters and no control character")
    return text


def _read_dashboard(members: Members) -> str | None:
    value = members.document.get("dashboardurl")
    if isinstance(value, str):
        return members.text("dashboardurl") or None
    url = fold(members.object("dashboardurl")).get("dashboard_url", "")
    if not isinstance(url, str):
        members.complain("dashboardurl.dashboard_url", "must be a string")
        return None
    return url or None


def _read_numinstances(members: Members, container_name: str | None) -> int:
    # The README writes the key in both ways; they are one.
    keys = [key for key in ("numinstances", "numinstance") if key in members.document]
    members.seen.update(("numinstances", "numinstance"))
    if len(keys) > 1:
        members.complain("numinstance", "is the same key as numinstances; keep one")
    key = keys[0] if keys else "numinstances"
    count = members.integer(key, 0 if container_name else 1, least=0, most=1)
    if container_name is None and count == 0:
        members.complain(key, "is 0, so containername must name the container to use")
    if container_name is not None:
        if count != 0:
            members.complain(key, "must be 0 when containername is given")
        if not _CONTAINER_NAME.match(container_name):
            members.complain("containername", "is not the name or id of a Docker container")
    return count


def decode_image(document: Mapping[str, Any], name: str) -> ImageDefinition:
    """Decode the body of a PUT of the image named `name`; raises `InvalidRequest` with every complaint."""
    members = Members(document={"name": name, **fold(document)})
    definition = read_image(members)
    if definition.name != name:
        members.complain("name", f"is not {name!r}, the name in the path")
    members.check()
    return definition


def encode_image(definition: ImageDefinition) -> dict[str, Any]:
    """Encode a definition in the README's format and key casing; absent members are left out."""
    document: dict[str, Any] = {"Name": definition.name, "Plan": definition.plan.name}
    document["Numinstances"] = definition.numinstances
    if definition.image != definition.name:
        document["Image"] = definition.image
    if definition.dashboard_url is not None:
        document["DashBoardUrl"] = {"dashboard_url": definition.dashboard_url}
    if definition.credentials is not None:
        document["Credentials"] = definition.credentials.reveal()
    if definition.container_name is not None:
        document["Containername"] = definition.container_name
    if definition.legacy_arguments:
        document["Legacyarguments"] = True
    return document


def offering(definition: ImageDefinition) -> dict[str, Any]:
    """Return the offering that Cloud Foundry sees (OSB section Catalog Management)."""
    description = f"{definition.name} docker service"
    return {
        "id": definition.service_id,
        "name": definition.name,
        "description": description,
        "bindable": True,
        "tags": ["docker"],
        "plans": [
            {
                "id": plan.id,
                "name": plan.name,
                "description": plan.description or f"{description}, plan {plan.name}",
                "free": plan.free,
            }
            for plan in definition.plans
        ],
    }


def catalog(definitions: Iterable[ImageDefinition]) -> dict[str, Any]:
    """Return the body of GET /v2/catalog, in the order of the names."""
    ordered = sorted(definitions, key=lambda definition: definition.name)
    return {"services": [offering(definition) for definition in ordered]}


def chosen(definitions: Iterable[ImageDefinition], service_id: str, plan_id: str) -> ImageDefinition:
    """Return the definition, narrowed to the plan; raises `InvalidRequest` that names the unknown id."""
    for definition in definitions:
        if definition.service_id == service_id:
            if (narrowed := definition.narrowed(plan_id)) is not None:
                return narrowed
            raise InvalidRequest(
                f"The service {service_id!r} has no plan with the plan_id {plan_id[:_LONGEST_NAME]!r}."
            )
    raise InvalidRequest(f"The catalog has no service with the service_id {service_id[:_LONGEST_NAME]!r}.")


def collisions(definitions: Iterable[ImageDefinition]) -> list[str]:
    """Return a sentence for each name and each plan id that two definitions share.

    The plan id joins name and plan, so that `a_b` with plan `c` meets `a` with plan `b_c`.
    """
    found: list[str] = []
    names: set[str] = set()
    plans: dict[str, str] = {}
    for definition in definitions:
        if definition.name in names:
            found.append(f"the name {definition.name!r} occurs twice")
            continue
        names.add(definition.name)
        for plan in definition.plans:
            if plan.id in plans:
                other = plans[plan.id]
                found.append(f"{definition.name!r} and {other!r} have the same plan id {plan.id!r}")
            plans[plan.id] = definition.name
    return found

"""Values for the tests of the model, and strategies that make them."""

from typing import Any, Final

from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st

from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.containers import LABEL_CLUSTER, Container
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import (
    InstanceState,
    Operation,
    OperationKind,
    ServiceBinding,
    ServiceInstance,
    Step,
)
from dockerbroker.model.plans import Plan
from dockerbroker.model.secrets import Secret


def definition(name: str, plan: str, **members: Any) -> ImageDefinition:
    """Return a definition of one plan, with the id that the README's format gives it."""
    plans = (Plan(id=f"{name}_{plan}", name=plan),)
    return ImageDefinition(**{"name": name, "image": name, "plans": plans, **members})


def renamed(original: ImageDefinition, name: str, **members: Any) -> ImageDefinition:
    """Return the definition under another name, with the ids that the README's format gives it."""
    plans = tuple(evolve(plan, id=f"{name}_{plan.name}") for plan in original.plans)
    return evolve(original, name=name, plans=plans, **members)


#: A test that says nothing about how long an example takes.
unhurried = settings(deadline=None)

CLUSTER: Final = "0123456789abcdef0123456789abcdef"
HOST: Final = DockerHost(key=HostKey(service_host="10.0.0.1", docker_host="10.0.0.2", docker_port=2375))
REDIS: Final = definition("redis", "100")
STATIC: Final = evolve(REDIS, credentials=Secret({"uri": "redis://$HOST:$PORT"}))
EXISTING: Final = evolve(REDIS, numinstances=0, container_name="mine")
EXISTING_STATIC: Final = evolve(EXISTING, credentials=Secret({"host": "$HOST"}))
#: One definition of each kind: with an own or an existing container, with or without executables.
DEFINITIONS: Final = (REDIS, STATIC, EXISTING, EXISTING_STATIC)

#: Text as JSON may hold it here: no half of a surrogate pair, no NUL.
texts: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
numbers: Final = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars: Final = st.none() | st.booleans() | numbers | texts
documents: Final = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects: Final = st.dictionaries(texts, documents, max_size=5)


def operation(kind: OperationKind = OperationKind.PROVISION, **members: Any) -> Operation:
    """Return an operation on the instance `i-1` that goes forward."""
    settings = {"id": "o-1", "instance_id": "i-1", "step": Step.EXECUTE, "owner": "broker-1"}
    return Operation(kind=kind, **{**settings, **members})


def instance(definition: ImageDefinition = REDIS, **members: Any) -> ServiceInstance:
    """Return the instance `i-1`, ready, with the container `c-1`."""
    settings = {
        "id": "i-1",
        "organization_guid": "o-1",
        "space_guid": "s-1",
        "host": HOST.key,
        "ports": {"6379/tcp": 20001},
        "container_id": "c-1",
        "state": InstanceState.READY,
    }
    return ServiceInstance(definition=definition, **{**settings, **members})


def updating(definition: ImageDefinition = REDIS, *, replaces: bool) -> ServiceInstance:
    """Return the instance `i-1` in the middle of an update, which may replace its container."""
    pending = instance(definition, parameters=Secret({"size": 2}))
    if replaces:
        pending = evolve(pending, generation=2, container_id=None)
    return instance(definition, state=InstanceState.UPDATING, successor=pending)


def moving(definition: ImageDefinition = REDIS) -> ServiceInstance:
    """Return the instance `i-1` on its way to another host."""
    there = HostKey(service_host="10.0.0.9", docker_host="10.0.0.10", docker_port=2375)
    pending = instance(definition, generation=2, container_id=None, host=there, moves=1)
    return instance(definition, state=InstanceState.UPDATING, successor=pending)


def binding(**members: Any) -> ServiceBinding:
    """Return the binding `b-1` of the instance `i-1`."""
    return ServiceBinding(**{"instance_id": "i-1", "id": "b-1", **members})


def container(**members: Any) -> Container:
    """Return a running container of the cluster."""
    settings = {
        "id": "c-1",
        "name": "b-1",
        "image": "redis",
        "running": True,
        "labels": {LABEL_CLUSTER: CLUSTER},
    }
    return Container(**{**settings, **members})


def in_other_case(document: dict[str, Any], case: str) -> dict[str, Any]:
    """Return the object with its keys in `lower`, `upper` or `title` case."""
    return {getattr(key, case)(): value for key, value in document.items()}

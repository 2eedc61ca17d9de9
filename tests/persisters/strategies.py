"""Strategies that draw whatever the records can hold."""

from __future__ import annotations

import hypothesis.strategies as st
from attrs import evolve

from dockerbroker.model.audit import Origin
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.confinement import Confinement
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import (
    BindingState,
    InstanceState,
    Operation,
    OperationKind,
    Phase,
    ServiceBinding,
    ServiceInstance,
    Step,
)
from dockerbroker.model.plans import SAME_HOST, ContainerOptions, MaintenanceInfo, PlacementRules, Plan
from dockerbroker.model.secrets import Secret

TEXT = st.text(max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
SECRETS = OBJECTS.map(Secret)
PORTS = st.integers(0, 65535)

LABELS = st.sampled_from([{}, {"disk": "ssd"}, {"": "\u00fc", "Zone": ""}])

OPTIONS = st.builds(
    ContainerOptions,
    environment=st.dictionaries(TEXT, TEXT, max_size=2),
    command=st.lists(TEXT, max_size=2).map(tuple),
    memory=st.none() | st.integers(0, 2**40),
    cpus=st.none() | st.floats(0, 1024),
    pids=st.none() | st.integers(0, 9),
    restart=TEXT,
    volumes=st.dictionaries(TEXT, TEXT, max_size=2),
    confinement=st.builds(
        Confinement,
        capabilities=st.lists(TEXT, max_size=2).map(tuple),
        read_only=st.booleans(),
        tmpfs=st.dictionaries(TEXT, st.integers(1, 2**40), max_size=2),
    ),
)
PLANS = st.builds(
    Plan,
    id=TEXT,
    name=TEXT,
    description=st.none() | TEXT,
    free=st.booleans(),
    metadata=OBJECTS,
    schemas=OBJECTS,
    maintenance=st.none() | st.builds(MaintenanceInfo, version=TEXT, description=st.none() | TEXT),
    maximum_polling_duration=st.none() | st.integers(0, 9),
    bindable=st.none() | st.booleans(),
    updateable=st.none() | st.booleans(),
    binding_rotatable=st.booleans(),
    asynchronous_only=st.booleans(),
    options=OPTIONS,
    placement=st.builds(PlacementRules, host_labels=LABELS, same_host=st.sampled_from(SAME_HOST)),
)
IMAGES = st.builds(
    ImageDefinition,
    name=TEXT,
    image=TEXT,
    plans=st.lists(PLANS, min_size=1, max_size=2).map(tuple),
    id=st.none() | TEXT,
    description=st.none() | TEXT,
    bindable=st.booleans(),
    tags=st.lists(TEXT, max_size=2).map(tuple),
    requires=st.lists(TEXT, max_size=2).map(tuple),
    metadata=OBJECTS,
    dashboard_client=st.none() | SECRETS,
    plan_updateable=st.booleans(),
    instances_retrievable=st.booleans(),
    bindings_retrievable=st.booleans(),
    allow_context_updates=st.booleans(),
    host_labels=LABELS,
    dashboard_url=st.none() | TEXT,
    credentials=st.none() | SECRETS,
    numinstances=st.integers(0, 1),
    container_name=st.none() | TEXT,
    legacy_arguments=st.booleans(),
)
KEYS = st.builds(HostKey, service_host=TEXT, docker_host=TEXT, docker_port=PORTS)
HOSTS = st.builds(
    DockerHost,
    key=KEYS,
    is_active=st.booleans(),
    perf_factor=NUMBERS,
    keep_alive=NUMBERS,
    exec_command=TEXT,
    exec_arguments=st.lists(TEXT, max_size=3).map(tuple),
    portbind_min=PORTS,
    portbind_max=PORTS,
    labels=LABELS,
)
#: Those of instances have one plan.
NARROWED = IMAGES.map(lambda one: evolve(one, plans=one.plans[:1]))
PLAIN_INSTANCES = st.builds(
    ServiceInstance,
    id=TEXT,
    definition=NARROWED,
    organization_guid=TEXT,
    space_guid=TEXT,
    host=KEYS,
    parameters=SECRETS,
    context=OBJECTS,
    generation=st.integers(1, 99),
    moves=st.integers(0, 99),
    moved_at=NUMBERS,
    container_id=st.none() | TEXT,
    ports=st.dictionaries(TEXT, PORTS, max_size=3),
    volumes=st.dictionaries(TEXT, TEXT, max_size=2),
    provisioned=SECRETS,
    dashboard_url=st.none() | TEXT,
    state=st.sampled_from(InstanceState),
    created_at=NUMBERS,
)
INSTANCES = st.builds(
    lambda instance, successor, operation_id: evolve(
        instance, successor=successor, operation_id=operation_id
    ),
    PLAIN_INSTANCES,
    st.none() | PLAIN_INSTANCES,
    st.none() | TEXT,
)
BINDINGS = st.builds(
    ServiceBinding,
    instance_id=TEXT,
    id=TEXT,
    app_guid=st.none() | TEXT,
    predecessor_id=st.none() | TEXT,
    moves=st.integers(0, 99),
    bind_resource=OBJECTS,
    parameters=SECRETS,
    context=OBJECTS,
    document=SECRETS,
    state=st.sampled_from(BindingState),
    created_at=NUMBERS,
)
ORIGINS = st.builds(Origin, role=TEXT, name=TEXT, platform=TEXT, user=TEXT, request_id=TEXT, peer=TEXT)
OPERATIONS = st.builds(
    Operation,
    id=TEXT,
    kind=st.sampled_from(OperationKind),
    instance_id=TEXT,
    step=st.sampled_from(Step),
    binding_id=st.none() | TEXT,
    halted_id=st.none() | TEXT,
    after_id=st.none() | TEXT,
    former_host=st.none() | TEXT,
    copied=st.integers(0, 2**60),
    phase=st.sampled_from(Phase),
    attempt=st.integers(1, 99),
    epoch=st.integers(1, 99),
    owner=st.none() | TEXT,
    deadline=NUMBERS,
    within=NUMBERS,
    exec_id=st.none() | TEXT,
    may_create=st.booleans(),
    is_cancelled=st.booleans(),
    description=TEXT,
    instance_usable=st.none() | st.booleans(),
    update_repeatable=st.none() | st.booleans(),
    created_at=NUMBERS,
    step_at=NUMBERS,
    finished_at=st.none() | NUMBERS,
    origin=ORIGINS,
)

"""A service that remembers what its executables made, and what must be true of it, Docker and the rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred

from dockerbroker.model.containers import LABEL_INSTANCE, container_name
from dockerbroker.model.instances import BindingState, InstanceState
from tests.memory_engine import MemoryImage, Script
from tests.memory_world import Printed
from tests.stack import Stack


@define
class Ledger:
    """What `/provision` and `/bind` made and nobody has removed; `runs` are the documents of all runs.

    `plans` are those that `/update` was told, by instance.
    """

    databases: set[str] = field(factory=set)
    users: set[tuple[str, str]] = field(factory=set)
    runs: list[dict[str, Any]] = field(factory=list)
    plans: dict[str, str] = field(factory=dict)

    def install(self, image: MemoryImage) -> None:
        """Give the image all five executables."""
        image.scripts.update(
            {
                "/provision": self._script(self._provision),
                "/update": self._script(self._update),
                "/bind": self._script(self._bind),
                "/unbind": self._script(self._unbind),
                "/deprovision": self._script(self._deprovision),
            }
        )

    def actions(self) -> list[str]:
        """Return which executables were run, in order."""
        return [run["action"] for run in self.runs]

    def _script(self, effect: Any) -> Script:
        def run(stdin: bytes, environment: Mapping[str, str]) -> Printed:
            document = json.loads(stdin)
            assert environment["BROKER_ACTION"] == document["action"]
            self.runs.append(document)
            printed = effect(document)
            return 0, json.dumps(printed).encode() if printed is not None else b"", b""

        return run

    def _provision(self, document: dict[str, Any]) -> dict[str, Any]:
        self.databases.add(document["instance_id"])
        return {"dashboard_url": f"http://{document['host']}/{document['instance_id']}"}

    def _update(self, document: dict[str, Any]) -> None:
        self.plans[document["instance_id"]] = document["plan"]["name"]

    def _bind(self, document: dict[str, Any]) -> dict[str, Any]:
        self.users.add((document["instance_id"], document["binding_id"]))
        return {"username": document["binding_id"], "password": "swordfish"}

    def _unbind(self, document: dict[str, Any]) -> None:
        self.users.discard((document["instance_id"], document["binding_id"]))

    def _deprovision(self, document: dict[str, Any]) -> None:
        self.databases.discard(document["instance_id"])


def printing(stdout: bytes = b"", stderr: bytes = b"", *, exit_code: int = 0) -> Script:
    """Return an executable that prints this and ends."""
    return lambda _stdin, _environment: (exit_code, stdout, stderr)


def never(_stdin: bytes, _environment: Any) -> Deferred[Any]:
    """Be an executable that does not end by itself."""
    return Deferred()


def stack_with_ledger(stack: Stack | None = None) -> tuple[Stack, Ledger]:
    """Return a stack whose service keeps a ledger."""
    stack = stack or Stack()
    ledger = Ledger()
    ledger.install(stack.image)
    return stack, ledger


def complaints(stack: Stack, ledger: Ledger | None = None) -> list[str]:
    """Return every contradiction between the rows, Docker and the ledger once nothing is in progress."""
    tables = stack.persister.tables
    found = [
        f"{name} is not over" for name, row in tables.operations.items() if row["lease_until"] is not None
    ]
    instances = [stack_instance(stack, name) for name in tables.instances]
    names = {container_name(tables.cluster_id, one.id, one.generation): one for one in instances}
    containers = [container.spec.name for container in stack.engine.world.values()]
    found += [f"the container {name} is nobody's" for name in containers if name not in names]
    for name, one in names.items():
        made = [container for container in stack.engine.world.values() if container.spec.name == name]
        if one.state is InstanceState.READY and not (made and made[0].running and made[0].keeps_running):
            found.append(f"{one.id} is ready without its container")
        if one.state not in {InstanceState.READY, InstanceState.FAILED}:
            found.append(f"{one.id} is {one.state.value}")
    owners = {name: volume.labels.get(LABEL_INSTANCE) for name, volume in stack.engine.disk.items()}
    found += [f"the volume {name} is nobody's" for name, one in owners.items() if one not in tables.instances]
    leased = {(one.host, port): one.id for one in instances for port in one.ports.values()}
    if leased != tables.leases:
        found.append(f"leased are {tables.leases}, used are {leased}")
    return found + _binding_complaints(stack, ledger)


def _binding_complaints(stack: Stack, ledger: Ledger | None) -> list[str]:
    found = []
    states = {key: stack_binding(stack, *key).state for key in stack.persister.tables.bindings}
    for key, state in states.items():
        if key[0] not in stack.persister.tables.instances:
            found.append(f"the binding {key} has no instance")
        if state not in {BindingState.BOUND, BindingState.DIRTY}:
            found.append(f"the binding {key} is {state.value}")
    if ledger is not None and stack.engine.world:
        bound = {key for key, state in states.items() if state is BindingState.BOUND}
        dirty = {key for key, state in states.items() if state is BindingState.DIRTY}
        if not bound <= ledger.users <= bound | dirty:
            found.append(f"users are {ledger.users}, bound are {bound}, dirty are {dirty}")
    return found


def stack_instance(stack: Stack, instance_id: str) -> Any:
    """Return an instance that is stored."""
    return _result(stack.persister.another().instance(instance_id))


def stack_binding(stack: Stack, instance_id: str, binding_id: str) -> Any:
    """Return a binding that is stored."""
    return _result(stack.persister.another().binding(instance_id, binding_id))


def _result(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the memory persister never waits")

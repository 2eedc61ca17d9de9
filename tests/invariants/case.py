"""Snapshots that are sound but for what a test changes, and what is said of them."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.invariants import Event, HostView, Snapshot, breaches
from dockerbroker.model.containers import Container, container_spec
from dockerbroker.model.instances import (
    ServiceInstance,
)
from tests.model.values import CLUSTER, HOST, instance, operation


def container_of(row: ServiceInstance, **members: Any) -> Container:
    """Return the container that the row describes, running."""
    spec = container_spec(CLUSTER, row, operation())
    settings = {
        "id": row.container_id,
        "name": spec.name,
        "image": spec.image,
        "running": True,
        "labels": spec.labels,
        "ports": dict(row.ports),
    }
    return Container(**{**settings, **members})


ROW = instance()
OTHER = instance(id="i-2", container_id="c-2", ports={"6379/tcp": 20002})


def world(*rows: ServiceInstance, containers: Any = None, **members: Any) -> Snapshot:
    """Return a sound world of these instances, but for what is given."""
    found = [container_of(row) for row in rows if row.owns_container] if containers is None else containers
    ports = frozenset(port for row in rows if row.owns_container for port in row.ports.values())
    view = HostView(host=HOST, containers=tuple(found), leased_ports=ports)
    of_view = {"volumes", "complaint", "is_alive", "leased_ports", "reserved"}
    view = evolve(view, **{key: members.pop(key) for key in of_view & set(members)})
    return Snapshot(cluster_id=CLUSTER, instances=rows, hosts=(view,), **members)


class CheckCase(SynchronousTestCase):
    """What is said of a snapshot."""

    def assert_sound(self, snapshot: Snapshot) -> None:
        """Nothing is said."""
        self.assertEqual(breaches(snapshot), [])

    def assert_breach(self, snapshot: Snapshot, name: str, fragment: str) -> None:
        """One thing is said, by this invariant."""
        (line,) = breaches(snapshot)
        self.assertEqual(line.partition(":")[0], name)
        self.assertIn(fragment, line)


def event(call: str, kind: str = "ok", **members: Any) -> Event:
    """Return an event about the instance `i-1`."""
    settings = {"number": 1, "kind": kind, "call": call, "at": 1.0, "instance_id": "i-1"}
    status = {"ok": 200, "fail": 422}.get(kind)
    return Event(**{**settings, "status": status, **members})

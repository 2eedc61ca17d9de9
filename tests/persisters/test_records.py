"""Values come back from their rows as they were, and secrets stand in one column alone."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve, fields_dict
from hypothesis import HealthCheck, given, settings
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unreadable
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.instances import Operation, ServiceBinding, ServiceInstance
from dockerbroker.model.plans import ContainerOptions, Plan
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters import holding_records, records
from tests.persisters import values
from tests.persisters.strategies import (
    BINDINGS,
    HOSTS,
    IMAGES,
    INSTANCES,
    OPERATIONS,
    OPTIONS,
    PLAIN_INSTANCES,
    PLANS,
)

many = settings(max_examples=50, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def changed(row: dict[str, Any], column: str, change: Any) -> dict[str, Any]:
    """Return the row with its JSON in that column changed."""
    document = json.loads(row[column])
    change(document)
    return row | {column: json.dumps(document)}


class RoundTripTests(SynchronousTestCase):
    """What is stored comes back."""

    @many
    @given(image=IMAGES)
    def test_images(self, image: ImageDefinition) -> None:
        """A definition comes back."""
        self.assertEqual(records.read_image(records.image_row(image)), image)

    def test_certificates(self) -> None:
        """A certificate comes back, and its key stands in the secret column alone."""
        row = records.certificate_row(values.certificate("h", "t3xt"))
        self.assertEqual(records.read_certificate(row), values.certificate("h", "t3xt"))
        self.assertIn("k3y", row["secret"])
        self.assertNotIn("k3y", row["document"])

    @many
    @given(host=HOSTS)
    def test_hosts(self, host: DockerHost) -> None:
        """A host comes back."""
        self.assertEqual(records.read_host(records.host_row(host)), host)

    @many
    @given(instance=INSTANCES)
    def test_instances(self, instance: ServiceInstance) -> None:
        """An instance comes back, with what the column says of who holds it."""
        row = records.instance_row(instance) | {
            "operation_id": instance.operation_id,
            "last_operation_id": None,
        }
        self.assertEqual(records.read_instance(row), instance)

    @many
    @given(binding=BINDINGS)
    def test_bindings(self, binding: ServiceBinding) -> None:
        """A binding comes back."""
        self.assertEqual(records.read_binding(records.binding_row(binding)), binding)

    @many
    @given(operation=OPERATIONS)
    def test_operations(self, operation: Operation) -> None:
        """An operation comes back, with what the columns say of its lease."""
        own = ("epoch", "owner", "deadline", "is_cancelled")
        row = records.operation_row(operation) | {name: getattr(operation, name) for name in own}
        self.assertEqual(records.read_operation(row), operation)


class MembersTests(SynchronousTestCase):
    """What the strategies cover."""

    def test_all_members(self) -> None:
        """The values that are stored and read back above have every member; each is drawn."""
        drawn: dict[Any, Any] = {
            ContainerOptions: OPTIONS,
            Plan: PLANS,
            ImageDefinition: IMAGES,
            DockerHost: HOSTS,
            ServiceInstance: PLAIN_INSTANCES,
            ServiceBinding: BINDINGS,
            Operation: OPERATIONS,
        }
        set_apart = {"successor", "operation_id", "last_operation_id"}
        for kind, strategy in drawn.items():
            members = set(fields_dict(kind)) - (set_apart if kind is ServiceInstance else set())
            self.assertEqual(set(strategy.wrapped_strategy.kwargs), members)

    def test_successor_without_operations(self) -> None:
        """The ids of operations of a successor are not kept."""
        made = values.instance()
        held = evolve(made, operation_id="o1", last_operation_id="o1")
        row = records.instance_row(evolve(made, successor=held))
        self.assertNotIn("o1", row["document"] + row["secret"])
        read = records.read_instance(row | {"operation_id": None, "last_operation_id": None})
        self.assertEqual(read, evolve(made, successor=made))


class SecrecyTests(SynchronousTestCase):
    """Where secrets are kept."""

    def test_secret_column_alone(self) -> None:
        """Every secret member stands in the column `secret` and in no other."""
        hidden = [Secret({"key": f"hidden-{number}"}) for number in range(9)]
        image = evolve(values.STATIC, credentials=hidden[0], dashboard_url="http://a:hidden-9@h")
        made = values.instance(
            definition=image,
            parameters=hidden[1],
            provisioned=hidden[2],
            dashboard_url="http://a:hidden-10@h",
            context={"annotations": "hidden-11"},
        )
        later = evolve(values.REDIS, credentials=hidden[5], dashboard_client=hidden[6])
        successor = evolve(made, definition=later, parameters=hidden[7], provisioned=hidden[8])
        made = evolve(made, successor=successor)
        binding = values.binding(
            parameters=hidden[3],
            document=hidden[4],
            context={"annotations": "hidden-12"},
            bind_resource={"route": "hidden-13"},
        )
        rows = [records.image_row(image), records.instance_row(made), records.binding_row(binding)]
        secret = "".join(row.pop("secret") for row in rows)
        self.assertNotIn("hidden", json.dumps(rows))
        for number in range(14):
            self.assertIn(f"hidden-{number}", secret)

    def test_secret_elsewhere(self) -> None:
        """A secret in a member that is not secret is not stored."""
        hidden: Any = Secret({"a": "b"})
        image = evolve(values.REDIS, dashboard_url=hidden)
        self.assertRaises(TypeError, records.image_row, image)


class VersionsTests(SynchronousTestCase):
    """Rows that another version wrote, or nobody."""

    def setUp(self) -> None:
        """Store an instance."""
        plain = values.instance("i1", 20001, definition=values.STATIC)
        self.made = evolve(plain, successor=evolve(plain, generation=2))
        self.row = records.instance_row(self.made) | {"operation_id": None, "last_operation_id": None}

    def test_unknown_members(self) -> None:
        """Members that this version does not know are ignored, also in what is inside."""

        def grow(document: dict[str, Any]) -> None:
            document["later"] = {"a": 1}
            document["definition"]["later"] = 1
            document["host"]["later"] = 1
            document["successor"]["definition"]["later"] = 1

        row = changed(self.row, "document", grow)
        row = changed(row, "secret", lambda secret: secret.update(later={"a": 1}))
        self.assertEqual(records.read_instance(row), self.made)

    def test_absent_members(self) -> None:
        """Members that an earlier version did not write have their defaults."""

        def shrink(document: dict[str, Any]) -> None:
            del document["generation"], document["container_id"], document["definition"]["legacy_arguments"]
            del document["successor"]["volumes"]

        self.assertEqual(records.read_instance(changed(self.row, "document", shrink)), self.made)

    def test_unreadable(self) -> None:
        """What cannot be read is the database's fault; the log tells which record it is, and no more."""
        broken = [
            self.row | {"document": "{"},
            self.row | {"document": "[]"},
            self.row | {"document": None},
            self.row | {"secret": '{"parameters": "hidden"}'},
            self.row | {"secret": '{"definition": "hidden"}'},
            self.row | {"secret": '{"successor": "hidden"}'},
            changed(self.row, "document", lambda document: document.update(successor=None)),
            changed(self.row, "document", lambda document: document.pop("host")),
            changed(self.row, "document", lambda document: document.update(state="hidden")),
        ]
        for row in broken:
            with capturedLogs() as events:
                error = self.assertRaises(Unreadable, records.read_instance, row)
            self.assertEqual(
                [formatEvent(event) for event in events], ["the ServiceInstance i1 cannot be read"]
            )
            self.assertIn("ServiceInstance", error.description)
            self.assertNotIn("hidden", error.description)
            self.assertEqual(error.id, "i1")

    def test_several(self) -> None:
        """Of several those are read that come before one that cannot be read."""
        broken = self.row | {"id": "i2", "document": "{"}
        self.assertEqual(records.read_instances([self.row, broken, self.row]), [self.made])
        self.assertEqual(self.assertRaises(Unreadable, records.read_instances, [broken, self.row]).id, "i2")
        self.assertEqual(records.read_instances([]), [])


class PortsTests(SynchronousTestCase):
    """The leases that an instance holds."""

    def test_owned(self) -> None:
        """Each of the host's ports is leased once, even when two of the container's lead to it."""
        made = evolve(values.instance("i1"), ports={"53/tcp": 20002, "53/udp": 20002, "80/tcp": 20001})
        self.assertEqual([lease["port"] for lease in holding_records.leased_ports_of(made)], [20001, 20002])

    def test_not_owned(self) -> None:
        """A container that the broker did not make has no leases."""
        made = values.instance("i1", 20001, definition=values.EXISTING)
        self.assertEqual(holding_records.leased_ports_of(made), [])

"""Cloud Controller's rules for a catalog."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.catalog_rules import complaints, lint
from dockerbroker.model.plans import MaintenanceInfo, Plan
from dockerbroker.model.schema_rules import DRAFT_4
from dockerbroker.model.secrets import Secret
from tests.model.values import REDIS, renamed

GOOD_CLIENT = {"id": "a", "secret": "b", "redirect_uri": "c"}


def planned(**members: Any) -> ImageDefinition:
    """Return `redis` with its plan changed."""
    return evolve(REDIS, plans=(evolve(REDIS.plan, **members),))


def info(version: str, description: str | None = None) -> MaintenanceInfo:
    """Return what a plan says of its version."""
    return MaintenanceInfo(version=version, description=description)


#: A definition that breaks one rule -> what is said.
BROKEN: dict[str, ImageDefinition] = {
    "service ' ': name must not be blank": renamed(REDIS, " ", image="redis"),
    "name must have at most 255 characters": evolve(REDIS, name="r" * 256),
    "service 'redis': id must not be blank": evolve(REDIS, id=" "),
    "id must have at most 255 characters": evolve(REDIS, id="r" * 256),
    "description must not be blank": evolve(REDIS, description="\t"),
    "description must have at most 10000 characters": evolve(REDIS, description="x" * 10_001),
    "tags must have at most 2048 characters together": evolve(REDIS, tags=("x" * 2000, "y" * 49)),
    "requires knows syslog_drain, route_forwarding, volume_mount, not 'x'": evolve(REDIS, requires=("x",)),
    "metadata.shareable must be true or false": evolve(REDIS, metadata={"shareable": "true"}),
    "plans is empty": evolve(REDIS, plans=()),
    "plan '100' of the service 'redis': id must not be blank": planned(id=""),
    "plan ' ' of the service 'redis': name must not be blank": planned(name=" "),
    "plan '100' of the service 'redis': description must not be blank": planned(description=" "),
    "maintenanceinfo.version must be a semantic version": planned(maintenance=info("01.0.0")),
    "maintenanceinfo must have at most 2000": planned(maintenance=info("1.0.0", "x" * 1970)),
    "schemas.services is not known": planned(schemas={"services": {}}),
    "schemas.service_instance must be an object": planned(schemas={"service_instance": []}),
    "schemas.service_binding.update is not known": planned(schemas={"service_binding": {"update": {}}}),
    "schemas.service_binding.create.parameters must have the member $schema": planned(
        schemas={"service_binding": {"create": {"parameters": {"type": "object"}}}}
    ),
    "asynchronousonly needs bindingsretrievable": evolve(
        planned(asynchronous_only=True), bindings_retrievable=False
    ),
}


class RulesTests(SynchronousTestCase):
    """Catalogs."""

    def test_each_rule(self) -> None:
        """What breaks a rule is told in one sentence with the offering or plan."""
        for expected, definition in BROKEN.items():
            (said,) = complaints([definition])
            self.assertIn(expected, said)

    def test_good(self) -> None:
        """What is just within the rules is good."""
        schema = {"$schema": DRAFT_4}
        calls = {"service_instance": {"update": {"parameters": schema}}, "service_binding": {"create": {}}}
        for definition in (
            REDIS,
            evolve(REDIS, description="x" * 10_000, tags=("x" * 2048,), metadata={"shareable": False}),
            evolve(REDIS, requires=("syslog_drain",), dashboard_client=Secret(GOOD_CLIENT)),
            planned(maintenance=info("1.0.0-alpha.1+b", "x" * 1900), schemas=calls),
            evolve(planned(asynchronous_only=True, bindable=False), bindings_retrievable=False),
        ):
            self.assertEqual(complaints([definition]), [])

    def test_versions(self) -> None:
        """Versions are semantic ones, strictly."""
        for version in ("1", "1.0", "v1.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.0 ", "1.0.0\n", ""):
            self.assertEqual(len(complaints([planned(maintenance=info(version))])), 1, version)
        for version in ("0.0.1", "1.0.0-0a.1", "1.0.0-rc-1", "1.0.0+001"):
            self.assertEqual(complaints([planned(maintenance=info(version))]), [])

    def test_client(self) -> None:
        """A dashboard's client has all three members; its secret is not told."""
        for key in GOOD_CLIENT:
            for value in ("", None, 5):
                client = {**GOOD_CLIENT, "secret": "hunter22", key: value}
                (said,) = complaints([evolve(REDIS, dashboard_client=Secret(client))])
                self.assertIn(f"dashboardclient.{key}", said)
                self.assertNotIn("hunter22", said)

    def test_empty(self) -> None:
        """An empty catalog is refused by Cloud Foundry."""
        (said,) = complaints([])
        self.assertIn("add an image", said)

    def test_twice_in_a_service(self) -> None:
        """Two plans of a service have neither one id nor one name."""
        plans = (Plan(id="a", name="x"), Plan(id="a", name="y"), Plan(id="b", name="x"))
        said = complaints([evolve(REDIS, plans=plans)])
        self.assertEqual(len(said), 2)
        self.assertIn("plan 'y' of the service 'redis': id is that of another plan", said[0])
        self.assertIn("plan 'x' of the service 'redis': name is that of another plan", said[1])

    def test_twice_in_the_catalog(self) -> None:
        """Services share neither names nor ids, nor the ids of plans."""
        other = evolve(renamed(REDIS, "cache"), id="redis", plans=REDIS.plans)
        said = complaints([REDIS, other])
        self.assertEqual(len(said), 2)
        self.assertIn("the same service id 'redis'", said[0])
        self.assertIn("the same plan id 'redis_100'", said[1])

    def test_all_at_once(self) -> None:
        """All complaints are told, those of all definitions."""
        broken = [
            evolve(definition, name=f"s{n}", id=f"s{n}") for n, definition in enumerate(BROKEN.values())
        ]
        self.assertGreater(len(complaints(broken)), len(BROKEN) - 5)

    def test_advice(self) -> None:
        """Lint tells what is allowed but not good for users, after the complaints."""
        said = lint([evolve(planned(name="a b"), requires=("x",), description="x" * 256)])
        self.assertEqual(len(said), 3)
        self.assertIn("requires", said[0])
        self.assertIn("longDescription", said[1] + said[2])
        self.assertIn("plan 'a b'", said[1] + said[2])
        self.assertEqual(lint([REDIS]), [])
        (said_of_id,) = lint([evolve(REDIS, id="a/b")])
        self.assertIn("stands in addresses", said_of_id)

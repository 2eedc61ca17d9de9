"""The catalog that platforms see."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.offerings import catalog, offering
from dockerbroker.model.plans import MaintenanceInfo, Plan
from dockerbroker.model.secrets import Secret
from tests.model.values import REDIS, renamed

FULL_PLAN = Plan(
    id="small-id",
    name="small",
    description="Small.",
    free=False,
    metadata={"displayName": "S"},
    schemas={"service_instance": {}},
    maintenance=MaintenanceInfo(version="1.0.0", description="New."),
    maximum_polling_duration=60,
    bindable=False,
    updateable=True,
    binding_rotatable=True,
)
FULL = evolve(
    REDIS,
    id="redis-id",
    description="A cache.",
    bindable=False,
    tags=("cache", "docker"),
    requires=("syslog_drain",),
    metadata={"shareable": True},
    dashboard_client=Secret({"id": "a", "secret": "b", "redirect_uri": "c"}),
    plan_updateable=True,
    instances_retrievable=False,
    bindings_retrievable=False,
    allow_context_updates=True,
    plans=(FULL_PLAN,),
)


class CatalogTests(SynchronousTestCase):
    """Offerings and plans."""

    def test_ids_of_the_original(self) -> None:
        """Ids, names, description and tags are those that the original made."""
        (offering,) = catalog([REDIS])["services"]
        self.assertEqual((offering["id"], offering["name"]), ("redis", "redis"))
        self.assertEqual(offering["description"], "redis docker service")
        self.assertEqual((offering["tags"], offering["bindable"]), (["docker"], True))
        (plan,) = offering["plans"]
        self.assertEqual((plan["id"], plan["name"], plan["free"]), ("redis_100", "100", True))

    def test_order(self) -> None:
        """Offerings are in the order of their names, whatever the order of the definitions."""
        found = catalog([renamed(REDIS, "b"), renamed(REDIS, "a")])["services"]
        self.assertEqual([offering["id"] for offering in found], ["a", "b"])

    def test_all_members(self) -> None:
        """Every member of the specification is shown as the definition has it."""
        expected = {
            "id": "redis-id",
            "name": "redis",
            "description": "A cache.",
            "bindable": False,
            "tags": ["cache", "docker"],
            "requires": ["syslog_drain"],
            "metadata": {"shareable": True},
            "dashboard_client": {"id": "a", "secret": "b", "redirect_uri": "c"},
            "plan_updateable": True,
            "instances_retrievable": False,
            "bindings_retrievable": False,
            "allow_context_updates": True,
            "plans": [
                {
                    "id": "small-id",
                    "name": "small",
                    "description": "Small.",
                    "free": False,
                    "metadata": {"displayName": "S"},
                    "schemas": {"service_instance": {}},
                    "maintenance_info": {"version": "1.0.0", "description": "New."},
                    "maximum_polling_duration": 60,
                    "bindable": False,
                    "plan_updateable": True,
                    "binding_rotatable": True,
                }
            ],
        }
        self.assertEqual(offering(FULL), expected)

    def test_absent_members(self) -> None:
        """What the definition does not have is not in the catalog, and never null."""
        shown = offering(REDIS)
        self.assertEqual(set(shown["plans"][0]), {"id", "name", "description", "free"})
        for key in ("metadata", "requires", "dashboard_client"):
            self.assertNotIn(key, shown)
        plan = evolve(FULL_PLAN, maintenance=MaintenanceInfo(version="1.0.0"), binding_rotatable=False)
        (found,) = offering(evolve(FULL, plans=(plan,)))["plans"]
        self.assertEqual(found["maintenance_info"], {"version": "1.0.0"})
        self.assertNotIn("binding_rotatable", found)

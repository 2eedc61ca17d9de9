"""Image definitions in configuration files, and in files of their own."""

from typing import Any

from dockerbroker.config import LoadedImages, load_images
from dockerbroker.model.catalog_rules import lint
from dockerbroker.model.plans import MaintenanceInfo
from tests.configurations import ConfigurationCase, broker_document, written

PLANS = {
    "name": "cache",
    "image": "redis",
    "Tags": ["cache"],
    "plans": [
        {"name": "small", "memory": "64m", "MaintenanceInfo": {"version": "1.0.0"}},
        {"name": "large", "id": "large-id"},
    ],
}


class ImagesTests(ConfigurationCase):
    """Definitions in files."""

    def load(self, document: object) -> LoadedImages:
        """Load the definitions of a document."""
        return load_images(written(self.folder, document))

    def with_images(self, *images: object) -> dict[str, Any]:
        """Return a broker's document with these images."""
        document = broker_document()
        document["services"]["images"] = list(images)
        return document

    def test_plans(self) -> None:
        """The broker's file may have images of several plans."""
        (image,) = self.broker(self.with_images(PLANS)).services.images
        small, large = image.plans
        self.assertEqual((small.id, large.id), ("cache_small", "large-id"))
        self.assertEqual(small.options.memory, 64 * 1024**2)
        self.assertEqual(small.maintenance, MaintenanceInfo(version="1.0.0"))

    def test_rules_with_keys(self) -> None:
        """What Cloud Controller would refuse is a complaint with its key, for every image at once."""
        wrong = {**PLANS, "plans": [{"name": "small"}, {"name": "x", "maintenanceinfo": {"version": "1"}}]}
        document = self.with_images(wrong, {"name": "other", "plan": "1", "requires": ["magic"]})
        said = self.complaints(document)
        self.assertIn("services.images[0].plans[1].maintenanceinfo.version: must be a semantic", said)
        self.assertIn("services.images[1].requires: knows syslog_drain", said)

    def test_unreadable_plans(self) -> None:
        """What is wrong in a plan is a complaint with its key."""
        wrong = {**PLANS, "plans": [{"name": "small", "memory": "1k", "volumes": {"a": "/proc"}}, 7]}
        said = self.complaints(self.with_images(wrong))
        for key in ("plans[0].memory", "plans[0].volumes", "plans[1]"):
            self.assertIn(f"services.images[0].{key}: ", said)

    def test_unknown_keys_inside(self) -> None:
        """Unknown keys of plans and what is in them are warnings with their paths."""
        unknown = {
            **PLANS,
            "plans": [{"name": "a", "colour": 1, "maintenanceinfo": {"version": "1.0.0", "X": 1}}],
        }
        said = " ".join(self.broker(self.with_images(unknown)).warnings)
        self.assertIn("services.images[0].plans[0].colour: is no known key", said)
        self.assertIn("services.images[0].plans[0].maintenanceinfo.x: is no known key", said)

    def test_images_of_a_broker(self) -> None:
        """The definitions of a broker's file are loaded without the rest, which may be anything."""
        document = self.with_images(PLANS, {"name": "b", "plan": "1", "colour": 1})
        document["persister"] = "?"
        loaded = self.load(document)
        self.assertEqual([image.name for image in loaded.images], ["cache", "b"])
        (warning,) = loaded.warnings
        self.assertIn("services.images[1].colour", warning)
        self.assertEqual(lint(loaded.images), [])

    def test_image_of_its_own(self) -> None:
        """A file may hold the one definition that is PUT by REST."""
        (image,) = self.load(PLANS).images
        self.assertEqual(image.name, "cache")
        self.assertIn("plan: is missing", self.said_of(lambda: self.load({"name": "a"})))

    def test_collisions(self) -> None:
        """Definitions that cannot stand side by side are complaints."""
        document = self.with_images(PLANS, {**PLANS, "name": "other"})
        self.assertIn(
            "services.images: 'other' and 'cache' have the same plan id 'large-id'",
            self.said_of(lambda: self.load(document)),
        )

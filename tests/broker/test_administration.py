"""The catalog that a broker finds when it starts, and changes of it."""

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.administration import Administration
from dockerbroker.errors import InvalidRequest
from tests.memory_persister import MemoryPersister
from tests.model.values import REDIS, renamed


class AdministrationTests(SynchronousTestCase):
    """A catalog in memory."""

    def setUp(self) -> None:
        """Make an empty catalog."""
        self.persister = MemoryPersister(Clock().seconds)
        self.administration = Administration(self.persister, "docker")

    def check(self) -> tuple[list[str], list[str]]:
        """Return what checking the catalog found, and what it logged."""
        with capturedLogs() as events:
            found = self.successResultOf(Deferred.fromCoroutine(self.administration.check_catalog()))
        logged = [event["complaint"] for event in events if event["log_level"].name == "warn"]
        return found, logged

    def test_stored_catalog(self) -> None:
        """Every rule that the stored catalog breaks is one warning."""
        broken = [evolve(REDIS, requires=("x",)), renamed(REDIS, "b", tags=("x" * 2049,))]
        self.successResultOf(Deferred.fromCoroutine(self.persister.seed_images(broken)))
        found, logged = self.check()
        self.assertEqual(len(found), 2)
        self.assertEqual(found, logged)

    def test_good_catalog(self) -> None:
        """A good catalog is not spoken of."""
        self.successResultOf(Deferred.fromCoroutine(self.persister.seed_images([REDIS])))
        self.assertEqual(self.check(), ([], []))

    def test_change(self) -> None:
        """A definition that breaks the rules is refused with all complaints, and not stored."""
        wrong = evolve(REDIS, requires=("x",), tags=("x" * 2049,))
        putting = Deferred.fromCoroutine(self.administration.put_image("docker", wrong))
        error = self.failureResultOf(putting, InvalidRequest).value
        self.assertIn("requires", error.description)
        self.assertIn("tags", error.description)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(self.persister.images())), [])

"""The definitions of a catalog: which one a platform means, and which ones can stand side by side."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.catalog import chosen, collisions
from dockerbroker.model.secrets import Secret
from tests.model.values import EXISTING, REDIS, renamed
from tests.model.values import definition as definition_of


class CatalogTests(SynchronousTestCase):
    """Several definitions."""

    def test_choice(self) -> None:
        """A service and its plan are found; an unknown one of the two is named."""
        self.assertEqual(chosen([EXISTING, REDIS], "redis", "redis_100"), EXISTING)
        error = self.assertRaises(InvalidRequest, chosen, [REDIS], "mysql", "redis_100")
        self.assertIn("'mysql'", error.description)
        error = self.assertRaises(InvalidRequest, chosen, [REDIS], "redis", "redis_200")
        self.assertIn("'redis_200'", error.description)

    def test_collisions(self) -> None:
        """Two definitions share neither a name nor a plan id."""
        self.assertEqual(collisions([REDIS, renamed(REDIS, "mysql")]), [])
        self.assertEqual(len(collisions([REDIS, REDIS])), 1)
        (found,) = collisions([definition_of("a_b", "c"), definition_of("a", "b_c")])
        self.assertIn("'a_b_c'", found)

    def test_shared_ids(self) -> None:
        """Two definitions share neither the id of the service nor that of the dashboard's client."""
        client = Secret({"id": "client", "secret": "hunter22", "redirect_uri": "http://x"})
        (found,) = collisions([REDIS, evolve(renamed(REDIS, "cache"), id="redis")])
        self.assertIn("service id 'redis'", found)
        one, other = (renamed(REDIS, name, dashboard_client=client) for name in ("a", "b"))
        (found,) = collisions([one, other])
        self.assertIn("dashboard's client", found)

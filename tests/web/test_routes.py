"""What a site serves, as its routers know it."""

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.roles import Role
from dockerbroker.web.routes import Route
from tests.stack import Stack


class RoutesTests(SynchronousTestCase):
    """The list of all routes."""

    def test_of_every_gate(self) -> None:
        """It has routes of each role, and those that anybody may ask, each once."""
        routes = Stack().site.routes()
        self.assertEqual(len(routes), len({(route.method, route.path) for route in routes}))
        for known in (
            Route(method="GET", path="/healthz"),
            Route(method="GET", path="/v2/catalog", role=Role.PLATFORM),
            Route(method="POST", path="/ping", role=Role.AGENT),
            Route(method="PUT", path="/admin/hosts/{host}/cordon", role=Role.ADMINISTRATOR),
            Route(method="DELETE", path="/{catalog}/image/{name}", role=Role.ADMINISTRATOR),
        ):
            self.assertIn(known, routes)

    def test_paths(self) -> None:
        """Parameters of a path are replaced by values, those that have none by a default one."""
        route = Route(method="GET", path="/{catalog}/image/{name}")
        self.assertEqual(route.at({"catalog": "docker"}), "/docker/image/x")

    def test_closed(self) -> None:
        """As long as the database is not open, only what tells of health is served."""
        routes = Stack(is_open=False).site.routes()
        self.assertEqual([route.path for route in routes], ["/healthz", "/readyz"])


class SectionsTests(SynchronousTestCase):
    """Paths under `/admin`."""

    def test_unknown(self) -> None:
        """What is no section is not found, with a sentence, whatever the method."""
        stack = Stack()
        for path in (
            "/admin",
            "/admin/",
            "/admin/nothing",
            "/admin//hosts",
            "/admin/hosts/",
            "//admin/hosts",
        ):
            for method in ("GET", "PUT", "DELETE"):
                answer = stack.request(method, path)
                self.assertEqual((answer.status, list(answer.json)), (404, ["description"]), path)

    def test_catalog_of_that_name(self) -> None:
        """A catalog may be called `admin`: its images are no section."""
        stack = Stack()
        stack.administration.catalog_name = "admin"
        self.assertEqual(stack.request("GET", "/admin/images").status, 200)
        self.assertEqual(stack.request("GET", "/admin/image/redis").status, 200)
        self.assertEqual(stack.request("GET", "/admin/hosts").status, 200)

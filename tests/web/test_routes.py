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

    def test_other_spellings(self) -> None:
        """No other spelling of a path leads to a section, nor from one API to another (S18)."""
        stack = Stack()
        stack.provision("i-1")
        for path in (
            "//admin//hosts",
            "/Admin/hosts",
            "/ADMIN/instances",
            "/admin/instances/",
            "/admin/instances;x",
            "/admin;x/instances",
            "/admin/./instances",
            "/admin/hosts/../instances",
            "/v2/../admin/instances",
            "/v2/%2e%2e/admin/instances",
            "/admin%2Finstances",
            "/admin/instances/..%2Finstances%2Fi-1",
            "/admin/instances/i-1/../i-1",
            "/admin/instances%00",
            "/admin/../v2/catalog",
            "/admin/%2e%2e/v2/catalog",
        ):
            answer = stack.request("GET", path)
            self.assertIn(answer.status, (400, 404), path)
            self.assertNotIn(b"redis", answer.body)

    def test_catalog_of_that_name(self) -> None:
        """A catalog may be called `admin`: its images are no section."""
        stack = Stack()
        stack.administration.catalog_name = "admin"
        self.assertEqual(stack.request("GET", "/admin/images").status, 200)
        self.assertEqual(stack.request("GET", "/admin/image/redis").status, 200)
        self.assertEqual(stack.request("GET", "/admin/hosts").status, 200)

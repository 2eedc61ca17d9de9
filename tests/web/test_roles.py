"""Every route has a role: who has credentials of another one, or none, gets nowhere (S19, S20, S21)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.roles import Role
from dockerbroker.web.routes import Route
from tests.credentials import credential
from tests.stack import Answer, Stack

_PASSWORDS: Final[Mapping[Role, tuple[str, str]]] = {
    Role.PLATFORM: ("cf", "platform's own"),
    Role.AGENT: ("agent", "agent's own"),
    Role.ADMINISTRATOR: ("root", "administrator's own"),
}
_METHODS: Final = ("GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "LINK")
#: Where two roles may ask: an agent brings the certificate by which its host is reached.
_SHARED: Final = {("PUT", "/certificate/{host}"): Role.AGENT}
_VALUES: Final = {"host": "10.0.0.2", "catalog": "docker", "name": "redis"}


class RolesTests(SynchronousTestCase):
    """All routes that the site tells of itself."""

    def setUp(self) -> None:
        """Let each role in by credentials of its own."""
        self.stack = Stack()
        self.stack.authenticator.learn(
            [credential(role, user, password) for role, (user, password) in _PASSWORDS.items()]
        )
        self.routes = self.stack.site.routes()
        self.stack.persister.calls.clear()

    def ask(self, method: str, route: Route, role: Role | None) -> Answer:
        """Ask a route, when nothing makes it wait."""
        self.stack.advance(2)
        path = route.at(_VALUES)
        return self.stack.request(method, path, auth=None if role is None else _PASSWORDS[role])

    def assert_untouched(self) -> None:
        """No handler has asked the database for anything; brokers look after operations by themselves."""
        self.assertLessEqual(set(self.stack.persister.calls), {"claim"})

    def test_whole(self) -> None:
        """There are routes of every role, and two that need none."""
        self.assertEqual({route.role for route in self.routes}, {*Role, None})
        self.assertEqual([route.path for route in self.routes if route.role is None], ["/healthz", "/readyz"])

    def test_other_roles(self) -> None:
        """S19: credentials of another role are as good as none, on every route."""
        for route in self.routes:
            for role in Role:
                may = {route.role, _SHARED.get((route.method, route.path))}
                if route.role is None or role in may:
                    continue
                answer = self.ask(route.method, route, role)
                self.assertEqual(answer.status, 401, (route, role))
                self.assertIsNotNone(answer.header("www-authenticate"))
        self.assert_untouched()

    def test_none(self) -> None:
        """S20: without credentials every route is 401 with a challenge, but for up or down."""
        for route in self.routes:
            if route.role is None:
                continue
            answer = self.ask(route.method, route, None)
            self.assertEqual(answer.status, 401, route)
            self.assertEqual(answer.header("www-authenticate"), 'Basic realm="dockerbroker", charset="UTF-8"')
        self.assert_untouched()
        for route in self.routes:
            if route.role is None:
                answer = self.ask("GET", route, None)
                self.assertEqual((answer.status, set(answer.json)), (200, {"status"}))

    def test_own_role(self) -> None:
        """With credentials of its own role every route answers something else than 401 or 403."""
        for route in self.routes:
            for role in {route.role, _SHARED.get((route.method, route.path), route.role)} - {None}:
                answer = self.ask(route.method, route, role)
                self.assertNotIn(answer.status, (401, 403), (route, role))

    def test_other_methods(self) -> None:
        """S21: a method that a path does not have is 405 with those that it has, on every path."""
        for path in {route.path for route in self.routes}:
            [route, *_] = [one for one in self.routes if one.path == path]
            served = {one.method for one in self.routes if one.path == path}
            for method in set(_METHODS) - served:
                answer = self.ask(method, route, route.role)
                self.assertEqual(answer.status, 405, (method, path))
                allowed = set((answer.header("allow") or "").replace(",", " ").split())
                self.assertEqual(allowed - {"HEAD"}, served, (method, path))

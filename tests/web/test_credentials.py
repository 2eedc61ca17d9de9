"""Credentials that are added and removed while brokers work (S27, S56)."""

from __future__ import annotations

import datetime as dt
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.broker.pings import MOST_WRITTEN, WRITTEN_WITHIN
from dockerbroker.broker.watching import PERIOD
from dockerbroker.errors import Unavailable
from dockerbroker.model.roles import Role
from tests.stack import PASSWORD, USER, Answer, Stack
from tests.web.test_certificates import body

_LOGIN = {"Role": "platform", "User": USER, "Password": "another horse"}


class CredentialsTests(SynchronousTestCase):
    """`/admin/credentials`."""

    def setUp(self) -> None:
        """Start two brokers on one database."""
        self.stack = Stack()
        self.other = self.stack.neighbour()
        for stack in (self.stack, self.other):
            self.successResultOf(self._look(stack))
            stack.watch.start()
            self.addCleanup(stack.watch.stop)

    def _look(self, stack: Stack) -> Any:

        return Deferred.fromCoroutine(stack.watch.look())

    def add(self, **changes: Any) -> Answer:
        """Add a credential."""
        body = {name: value for name, value in (_LOGIN | changes).items() if value is not None}
        return self.stack.request("POST", "/admin/credentials", body)

    def status(self, stack: Stack, password: str, path: str = "/v2/catalog") -> int:
        """Return what the platform is answered with that password."""
        return stack.request("GET", path, auth=(USER, password)).status

    def test_rotation(self) -> None:
        """S27: the new password is valid beside the old one; that is refused within a second everywhere."""
        added = self.add()
        self.assertEqual((added.status, added.json["User"]), (201, USER))
        self.assertEqual(self.status(self.stack, "another horse"), 200)
        self.other.advance(PERIOD)
        for stack in (self.stack, self.other):
            for password in (PASSWORD, "another horse"):
                self.assertEqual(self.status(stack, password), 200)
        removed = self.stack.request("DELETE", f"/admin/credentials/{Role.PLATFORM.value}")
        self.assertEqual((removed.status, removed.json), (200, {}))
        self.assertEqual(self.status(self.stack, PASSWORD), 401)
        self.assertLess(PERIOD, 1)
        self.other.advance(PERIOD)
        self.assertEqual(self.status(self.other, PASSWORD), 401)
        for stack in (self.stack, self.other):
            self.assertEqual(self.status(stack, "another horse"), 200)
        # Other roles have the old one still.
        self.assertEqual(self.status(self.other, PASSWORD, "/admin/credentials"), 200)
        records = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.audit(0, 99)))
        told = [one.members for one in records]
        changes = [one for one in told if "credential" in one["action"]]
        self.assertEqual([one["action"] for one in changes], ["put credential", "delete credential"])
        self.assertEqual({(one["role"], one["name"]) for one in changes}, {("administrator", USER)})

    def test_database_away(self) -> None:
        """A broker that cannot read what has changed reads it when it can."""
        self.other.persister.fail_next("credentials", Unavailable("Gone."))
        self.add()
        self.other.advance(PERIOD)
        self.assertEqual(self.status(self.other, "another horse"), 401)
        self.other.advance(PERIOD)
        self.assertEqual(self.status(self.other, "another horse"), 200)

    def test_list(self) -> None:
        """S56: the list has ids, roles, users and dates, and nothing of a password."""
        answer = self.stack.request("GET", "/admin/credentials")
        self.assertEqual(answer.status, 200)
        self.assertEqual([one["Role"] for one in answer.json], ["administrator", "agent", "platform"])
        for one in answer.json:
            self.assertEqual(set(one), {"ID", "Role", "User", "CreatedAt"})
        self.assertNotIn(b"scrypt", answer.body)

    def test_made(self) -> None:
        """A password that is made is told once, and is valid."""
        made = self.add(Password=None)
        password = made.json["Password"]
        self.assertEqual(self.status(self.stack, password), 200)
        self.assertNotIn(password.encode(), self.stack.request("GET", "/admin/credentials").body)
        self.assertNotIn("Password", self.add().json)

    def test_agent(self) -> None:
        """S29: an agent that is bound to a host may ping for that host alone, and is told so."""
        self.stack.skew = dt.datetime.now(dt.UTC).timestamp() - self.stack._wall()
        self.assertEqual(
            self.add(Role="agent", User="a", ServiceHost="10.0.0.7").json["ServiceHost"], "10.0.0.7"
        )
        ping = {"ServiceHost": "10.0.0.7", "DockerHost": "10.0.0.7", "DockerPort": 2376}
        auth = ("a", "another horse")
        self.assertEqual(self.stack.request("POST", "/ping", ping, auth=auth).status, 200)
        before = dict(self.stack.persister.tables.hosts)
        for other in ("10.0.0.1", "10.0.0.70", "10.0.0.7.", "new"):
            answer = self.stack.request("POST", "/ping", {**ping, "ServiceHost": other}, auth=auth)
            self.assertEqual(answer.status, 403, other)
            self.assertIn("10.0.0.7", answer.description)
            # It goes on, and is told of once.
            self.stack.request("POST", "/ping", {**ping, "ServiceHost": other}, auth=auth)
        self.assertEqual(self.stack.persister.tables.hosts, before)
        records = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.audit(0, 99)))
        refused = [one.members for one in records if one.members["result"] == "refused"]
        told = [(one["role"], one["name"], one["action"]) for one in refused]
        self.assertEqual(told, [("agent", "a", "ping")] * 4)
        self.assertIn("10.0.0.70", refused[1]["subject"])
        # Nor may it say how another host is reached.
        for address, status in (("10.0.0.2", 403), ("10.0.0.7", 201)):
            certificate = body(Host=address)
            answer = self.stack.request("PUT", f"/certificate/{address}", certificate, auth=auth)
            self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(list(self.stack.persister.tables.certificates), ["10.0.0.7"])

    def test_agent_floods(self) -> None:
        """S29: one that speaks for one host after the other is refused, and some of it is written down."""
        self.add(Role="agent", User="a", ServiceHost="10.0.0.7")
        ping = {"DockerHost": "10.0.0.7", "DockerPort": 2376}
        number = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.audit_head())).number
        for host in range(MOST_WRITTEN + 5):
            sent = {**ping, "ServiceHost": f"host{host}"}
            answer = self.stack.request("POST", "/ping", sent, auth=("a", "another horse"))
            self.assertEqual(answer.status, 403)
        head = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.audit_head()))
        self.assertEqual(head.number - number, MOST_WRITTEN)
        self.stack.advance(WRITTEN_WITHIN)
        self.stack.request("POST", "/ping", {**ping, "ServiceHost": "late"}, auth=("a", "another horse"))
        head = self.successResultOf(Deferred.fromCoroutine(self.stack.persister.audit_head()))
        self.assertEqual(head.number - number, MOST_WRITTEN + 1)

    def test_refused(self) -> None:
        """What is wrong is told without the password, and changes nothing."""
        before = dict(self.stack.persister.tables.credentials)
        for changes in (
            {"Role": "root"},
            {"User": "a:b"},
            {"Password": "s3cret"},
            {"ServiceHost": "h"},
            {"User": None},
        ):
            answer = self.add(**changes)
            self.assertEqual(answer.status, 400, changes)
            self.assertNotIn("s3cret", answer.description)
        for path, status in (("/admin/credentials/unknown", 404), ("/admin/credentials/administrator", 409)):
            self.assertEqual(self.stack.request("DELETE", path).status, status)
        self.assertEqual(self.stack.persister.tables.credentials, before)

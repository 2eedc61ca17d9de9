"""The model of Cloud Controller and a broker in memory get on with each other."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from tests.memory_world import Printed
from tests.platform.beliefs import Resource
from tests.platform.driving import platform_of, settle
from tests.stack import CREDENTIALS, Stack


class StackTests(SynchronousTestCase):
    """Whole lives, as users of Cloud Controller see them."""

    def setUp(self) -> None:
        """Start a broker and a platform."""
        self.stack = Stack()
        self.platform = platform_of(self.stack)

    def slow(self, path: str, seconds: float, printed: Printed = (0, b"", b"")) -> None:
        """Let an executable of the image take so long."""

        def script(_stdin: bytes, _environment: object) -> Deferred[Printed]:
            return deferLater(self.stack.clock, seconds, lambda: printed)

        self.stack.image.scripts[path] = script

    def create(self, instance_id: str = "i-1") -> str:
        """Create an instance; return the state in which it ends."""
        return settle(self.stack, self.platform.create_service(instance_id, "redis", "redis_100")).state

    def test_life(self) -> None:
        """What the platform creates, binds, unbinds and deletes is there, and then gone."""
        self.assertEqual(self.create(), "succeeded")
        bound = settle(self.stack, self.platform.bind("i-1", "b-1"))
        self.assertEqual(bound.document["credentials"], CREDENTIALS)
        self.assertEqual(self.platform.believed_instances, set(self.stack.persister.tables.instances))
        self.assertEqual(self.platform.believed_bindings, {("i-1", "b-1")})
        self.assertEqual(settle(self.stack, self.platform.delete_service("i-1")).state, "succeeded")
        self.assertEqual(self.stack.persister.tables.instances, {})
        self.assertEqual(self.platform.believed_gone, {Resource("i-1"), Resource("i-1", "b-1")})
        kinds = {event.kind for event in self.platform.history}
        self.assertEqual(kinds, {"invoke", "ok"})

    def test_asynchronous_create(self) -> None:
        """An instance that takes longer than a request waits is polled until it is ready."""
        self.slow("/provision", 25.0)
        self.assertEqual(self.create(), "succeeded")
        calls = [event.request.call.name for event in self.platform.history if event.kind == "invoke"]
        polled = ["CATALOG", "PROVISION", "POLL_INSTANCE", "POLL_INSTANCE", "FETCH_INSTANCE"]
        self.assertEqual(calls, polled)
        self.assertEqual(self.platform.believed_instances, {"i-1"})

    def test_asynchronous_bind(self) -> None:
        """The credentials of a bind that takes long are fetched when it is done."""
        self.create()
        self.slow("/bind", 25.0, (0, b'{"credentials":{"password":"p"}}', b""))
        bound = settle(self.stack, self.platform.bind("i-1", "b-1"))
        self.assertEqual((bound.state, bound.document), ("succeeded", {"credentials": {"password": "p"}}))

    def test_failed_create(self) -> None:
        """A creation that fails later says why, and leaves nothing behind."""
        self.slow("/provision", 25.0, (1, b"", b"no disk"))
        outcome = settle(self.stack, self.platform.create_service("i-1", "redis", "redis_100"))
        self.assertEqual((outcome.state, outcome.error), ("failed", None))
        self.assertNotEqual(outcome.description, "")
        self.stack.advance(120)
        self.assertEqual((self.stack.persister.tables.instances, self.stack.engine.world), ({}, {}))
        self.assertEqual(self.platform.believed_gone, {Resource("i-1")})

    def test_orphan(self) -> None:
        """The platform deletes what a provision that failed may have made, and is told that it is gone."""
        self.slow("/provision", 0.0, (1, b"", b"no disk"))
        outcome = settle(self.stack, self.platform.create_service("i-1", "redis", "redis_100"))
        self.assertEqual((outcome.state, outcome.error), ("failed", "BadResponse"))
        self.stack.advance(1)
        self.assertTrue(self.platform.is_idle)
        self.assertEqual(self.platform.believed_gone, {Resource("i-1")})

    def test_removal_during_create(self) -> None:
        """A user who deletes an instance that is being created is rid of it."""
        self.slow("/provision", 300.0)
        states: list[str] = []
        create = Deferred.fromCoroutine(self.platform.create_service("i-1", "redis", "redis_100"))
        create.addCallback(lambda outcome: states.append(outcome.state))
        self.stack.advance(15)
        removal = settle(self.stack, self.platform.delete_service("i-1"))
        self.stack.advance(700)
        self.assertEqual((removal.state, states), ("succeeded", ["superseded"]))
        self.assertEqual((self.stack.persister.tables.instances, self.stack.engine.world), ({}, {}))

    def test_no_host(self) -> None:
        """A provision that no host can take fails with a sentence, and leaves nothing."""
        self.stack.engine.images.clear()
        outcome = settle(self.stack, self.platform.create_service("i-1", "redis", "redis_100"))
        self.assertEqual(outcome.state, "failed")
        self.assertIn("redis", outcome.description)
        self.stack.advance(1)
        self.assertEqual(self.platform.believed_gone, {Resource("i-1")})

"""A new instance is made on another host when Docker on the one that was chosen refuses to make it."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import BadCommand, DiskFull, EngineError, EngineUnreachable, NoImage, OutcomeUnknown
from dockerbroker.model.instances import Operation, OperationKind, Phase, Step
from dockerbroker.model.steps import leaves_nothing
from tests.broker.ledger import stack_instance
from tests.memory_engine import MemoryEngine
from tests.stack import HOST, Stack, instance_path, provision_body

_REFUSED = EngineError("The Docker host 10.0.0.2 refused with status 500: something is broken")
_AWAY = EngineUnreachable("The Docker host 10.0.0.2 cannot be reached.")
_UNKNOWN = OutcomeUnknown("The Docker host 10.0.0.2 may have done it.")
_OTHER = evolve(HOST, key=evolve(HOST.key, service_host="10.0.0.9", docker_host="10.0.0.10"))


class DecisionTests(SynchronousTestCase):
    """When nothing is left of a container that was not made."""

    def test_when(self) -> None:
        """Only what is certain counts, of a new instance, after one more try."""
        second = Operation(id="o", kind=OperationKind.PROVISION, instance_id="i", step=Step.CREATE, attempt=2)
        cases: tuple[tuple[Operation, EngineError, bool], ...] = (
            (second, _REFUSED, True),
            (second, _AWAY, True),
            (second, NoImage("No such image."), True),
            (evolve(second, attempt=1), NoImage("No such image."), True),
            (evolve(second, attempt=1), DiskFull("No space."), True),
            (evolve(second, attempt=1), _REFUSED, False),
            (second, _UNKNOWN, False),
            (second, BadCommand("It cannot be run."), False),
            (evolve(second, may_create=True), _REFUSED, False),
            (evolve(second, epoch=2), _AWAY, False),
            (evolve(second, kind=OperationKind.UPDATE), _REFUSED, False),
            (evolve(second, phase=Phase.FAILING), _REFUSED, False),
        )
        for operation, error, expected in cases:
            self.assertIs(leaves_nothing(operation, error), expected, (operation, error))


class RelocationTests(SynchronousTestCase):
    """A broker with two hosts, of which the first is chosen."""

    def setUp(self) -> None:
        """Start the broker."""
        self.stack = Stack()
        self.stack.add_host(_OTHER)
        self.other: MemoryEngine = self.stack.engines(_OTHER)
        self.other.images["redis"] = self.stack.image

    def script(self, *errors: EngineError) -> None:
        """Let creates on the first host fail like that, one after the other."""
        for error in errors:
            self.stack.engine.fail_next("create", error)

    def assert_made_on(self, host: Any) -> None:
        """The instance is made on that host, can be used there, and nothing is left on the other."""
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 201, answer.json)
        self.assertEqual(stack_instance(self.stack, "i-1").host, host.key)
        made = {name: len(engine.world) for name, engine in (("1", self.stack.engine), ("2", self.other))}
        self.assertEqual(made, {"1": int(host is HOST), "2": int(host is _OTHER)})
        self.assertEqual({key for key, _ in self.stack.persister.tables.leases}, {host.key})
        self.assertEqual(set(self.stack.persister.tables.reserved()), {host.key})
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 201)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assertEqual((self.stack.engine.world, self.other.world), ({}, {}))

    def test_refused(self) -> None:
        """What Docker refuses twice is made on the other host (D3); once is no reason."""
        self.script(_REFUSED, _REFUSED)
        self.assert_made_on(_OTHER)
        self.script(_REFUSED)
        self.assert_made_on(HOST)

    def test_full_disk(self) -> None:
        """What the first host has no room for on its disk is made on the other one at once (D9)."""
        self.script(DiskFull("The Docker host 10.0.0.2 refused with status 500: no space left on device"))
        self.assert_made_on(_OTHER)

    def test_unreachable(self) -> None:
        """So is what it was not asked, since it could not be reached (F1)."""
        self.script(_AWAY, _AWAY)
        self.assert_made_on(_OTHER)

    def test_image_gone(self) -> None:
        """An image that was removed since the host was asked is found on the other one, at once."""
        self.script(NoImage("No such image: redis"))
        self.assert_made_on(_OTHER)

    def test_unknown(self) -> None:
        """Where Docker may have made it, or may yet, it stays, whatever comes then (D1, D2)."""
        self.script(_UNKNOWN, _REFUSED, _AWAY, _REFUSED)
        self.assert_made_on(HOST)

    def test_not_looked_at(self) -> None:
        """So it does when it cannot be found out what has become of it."""
        self.script(_UNKNOWN, _UNKNOWN)
        for _ in range(2):
            self.stack.engine.fail_next("inspect", _AWAY)
        self.script(_REFUSED, _REFUSED)
        self.assert_made_on(HOST)

    def test_taken_over(self) -> None:
        """A broker that has taken it over does not know what Docker was asked before, and stays, too."""
        self.stack.engine.hang_next("create")
        self.stack.ask("PUT", instance_path("i-1"), provision_body())
        self.stack = self.stack.successor()
        self.script(*[_REFUSED] * 4)
        self.stack.advance(60)
        self.assertEqual(stack_instance(self.stack, "i-1").host, HOST.key)
        self.assertEqual((len(self.stack.engine.world), self.other.world), (1, {}))

    def test_broker_dies(self) -> None:
        """When the broker dies while it is made on the other host, that is where it is finished."""
        self.script(_REFUSED, _REFUSED)
        hang = self.other.hang_next("create")
        asked = self.stack.ask("PUT", instance_path("i-1"), provision_body())
        self.stack.advance(1)
        self.assertTrue(hang.reached)
        self.assertIsNone(asked.answer)
        self.stack = self.stack.successor()
        self.stack.advance(60)
        self.assertEqual(stack_instance(self.stack, "i-1").host, _OTHER.key)
        self.assertEqual((self.stack.engine.world, len(self.other.running())), ({}, 1))

    def test_nowhere_else(self) -> None:
        """Where no other host takes it, it fails with the words of the first one."""
        self.other.images.clear()
        self.script(*[_REFUSED] * 20)
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("something is broken", answer.description)
        self.assertEqual((self.stack.engine.world, self.stack.persister.tables.leases), ({}, {}))

    def test_both(self) -> None:
        """Where both refuse for ever, it fails in time, and nothing is left."""
        self.script(*[_REFUSED] * 20)
        for _ in range(20):
            self.other.fail_next("create", _REFUSED)
        self.assertEqual(self.stack.provision("i-1").status, 500)
        self.assertEqual((self.stack.engine.world, self.other.world), ({}, {}))
        self.assertEqual(self.stack.persister.tables.leases, {})
        tried = [call for engine in (self.stack.engine, self.other) for call in engine.calls]
        self.assertLess(sum(call[0] == "create" for call in tried), 15)

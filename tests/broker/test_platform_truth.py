"""What a platform is told is true, also where two requests or the catalog overtake one another."""

from __future__ import annotations

import json

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import EngineUnreachable
from tests.broker.ledger import complaints, stack_with_ledger
from tests.stack import (
    REDIS,
    Stack,
    bind_body,
    binding_path,
    instance_path,
    provision_body,
    query,
)

INCOMPLETE = "?accepts_incomplete=true"


class OvertakenTests(SynchronousTestCase):
    """A DELETE that is answered before the record of what it deletes is written (OSB: Orphans)."""

    def test_while_a_host_is_looked_for(self) -> None:
        """What is told to be gone is not made afterwards."""
        stack = Stack()
        hang = stack.engine.hang_next("image")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(stack.deprovision("i-1").status, 410)
        hang.release()
        answer = stack.settle(asked)
        self.assertEqual(answer.status, 500)
        self.assertIn("deleted before it was made", answer.description)
        self.assertEqual((stack.engine.world, stack.persister.tables.instances), ({}, {}))
        self.assertEqual(stack.provision("i-1").status, 201)

    def test_another_instance(self) -> None:
        """The deletion of another instance halts nothing."""
        stack = Stack()
        hang = stack.engine.hang_next("image")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(stack.deprovision("i-2").status, 410)
        hang.release()
        self.assertEqual(stack.settle(asked).status, 201)


class FinalTests(SynchronousTestCase):
    """Final states never change."""

    def test_undoing_that_waits(self) -> None:
        """A provision whose container cannot be removed is in progress until it can be, and then failed."""
        stack = Stack()
        stack.image.exit_code = 1
        stack.engine.fail_next("remove", EngineUnreachable("The host is away."), times=4)
        stack.request("PUT", instance_path("i-1") + INCOMPLETE, provision_body())
        states = []
        for _ in range(100):
            answer = stack.request("GET", f"{instance_path('i-1')}/last_operation")
            states.append(answer.json["state"])
            stack.advance(1)
        first = states.index("failed")
        self.assertEqual(
            states[:first] + states[first:], ["in progress"] * first + ["failed"] * (100 - first)
        )
        self.assertGreater(first, 5)
        self.assertEqual(complaints(stack), [])


class CatalogTests(SynchronousTestCase):
    """The catalog changes while instances live: platforms go by what it says now."""

    def test_retrievable(self) -> None:
        """What can be fetched, and whether a bind may come later, is as the catalog says now."""
        stack = Stack(limits=evolve(Stack().limits, answer=0))
        stack.provision("i-1")
        stack.bind("i-1", "b-1")
        stack.add_definition(evolve(REDIS, instances_retrievable=False, bindings_retrievable=False))
        for path in (instance_path("i-1"), binding_path("i-1", "b-1")):
            self.assertEqual(stack.request("GET", path).status, 404)
        bound = stack.request("PUT", binding_path("i-1", "b-2") + INCOMPLETE, bind_body())
        self.assertEqual(bound.status, 201)
        stack.add_definition(REDIS)
        for path in (instance_path("i-1"), binding_path("i-1", "b-2")):
            self.assertEqual(stack.request("GET", path).status, 200)
        bound = stack.request("PUT", binding_path("i-1", "b-3") + INCOMPLETE, bind_body())
        self.assertEqual(bound.status, 202)

    def test_updateable(self) -> None:
        """A plan that is made updateable is so for the instances that it has."""
        stack = Stack()
        large = evolve(REDIS.plan, id="large", name="large")
        for updateable, status in ((False, 422), (True, 200)):
            plan = evolve(REDIS.plan, updateable=updateable)
            stack.add_definition(evolve(REDIS, plans=(plan, large)))
            stack.provision("i-1")
            body = {"service_id": "redis", "plan_id": "large"}
            self.assertEqual(stack.request("PATCH", instance_path("i-1"), body).status, status)

    def test_asynchronous_only(self) -> None:
        """Without accepts_incomplete a DELETE is refused before it is looked whether there is anything."""
        stack = Stack()
        plan = evolve(REDIS.plan, asynchronous_only=True)
        stack.add_definition(evolve(REDIS, plans=(plan,)))
        for path in (instance_path("i-1"), binding_path("i-1", "b-1")):
            answer = stack.request("DELETE", path + query())
            self.assertEqual((answer.status, answer.json["error"]), (422, "AsyncRequired"))
            answer = stack.request("DELETE", f"{path}{query()}&accepts_incomplete=true")
            self.assertEqual(answer.status, 410)


class BindResourceTests(SynchronousTestCase):
    """What a binding is for."""

    def test_handed_on(self) -> None:
        """`/bind` and `/unbind` learn the bind_resource, such as the route of a route service."""
        stack, ledger = stack_with_ledger()
        stack.provision("i-1")
        stack.bind("i-1", "b-1", bind_resource={"route": "app.example.com"})
        stack.unbind("i-1", "b-1")
        told = [run.get("bind_resource") for run in ledger.runs]
        self.assertEqual(told, [None, {"route": "app.example.com"}, {"route": "app.example.com"}])


class ManyValuesTests(SynchronousTestCase):
    """Parameters with very many members."""

    def test_refused(self) -> None:
        """They are refused at once, before they cost others their time (S36)."""
        stack = Stack()
        parameters = {str(number): number for number in range(30_000)}
        self.assertLess(len(json.dumps(parameters)), 2**20)
        answer = stack.provision("i-1", parameters=parameters)
        self.assertEqual((answer.status, stack.persister.history()), (400, []))
        self.assertIn("values", answer.description)

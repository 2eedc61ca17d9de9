"""Provisions: what they make, and what a failure leaves."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import DiskFull
from dockerbroker.model.containers import container_name
from dockerbroker.model.instances import Phase
from dockerbroker.model.secrets import Secret
from tests.broker.ledger import complaints, printing, stack_instance, stack_with_ledger
from tests.stack import HOST, REDIS, Answer, Stack, add_service, instance_path, provision_body

CANARY = "canary-8d1f0c"


class MadeTests(SynchronousTestCase):
    """What a provision makes."""

    def test_container(self) -> None:
        """The instance has one running container of its name, with its labels, which Docker restarts."""
        stack = Stack()
        self.assertEqual(stack.provision("i-1").status, 201)
        (container,) = stack.engine.world.values()
        cluster = stack.persister.tables.cluster_id
        self.assertEqual(container.spec.name, container_name(cluster, "i-1", 1))
        self.assertEqual(container.spec.labels["dockerbroker.instance"], "i-1")
        self.assertEqual(container.spec.ports, {"6379/tcp": 20000})
        self.assertTrue(container.running)
        self.assertTrue(container.keeps_running)
        self.assertEqual(stack_instance(stack, "i-1").container_id, container.id)

    def test_image_of_another_name(self) -> None:
        """The container is made of the definition's own Docker image."""
        stack = Stack()
        stack.add_definition(evolve(REDIS, image="registry/redis:7"))
        add_service(stack.engine, evolve(REDIS, image="registry/redis:7"))
        stack.provision("i-1")
        (container,) = stack.engine.world.values()
        self.assertEqual(container.spec.image, "registry/redis:7")

    def test_executable(self) -> None:
        """`/provision` is run once, with the parameters; its dashboard is answered and the rest is kept."""
        stack, ledger = stack_with_ledger()
        answer = stack.provision("i-1", parameters={"size": 1}, context={"platform": "cloudfoundry"})
        self.assertEqual(answer.json, {"dashboard_url": "http://10.0.0.1/i-1"})
        (run,) = ledger.runs
        self.assertEqual((run["parameters"], run["context"]), ({"size": 1}, {"platform": "cloudfoundry"}))
        self.assertEqual(run["ports"], {"6379/tcp": 20000})
        self.assertEqual(stack_instance(stack, "i-1").provisioned.reveal(), answer.json)

    def test_static_service(self) -> None:
        """Of a static service nothing is run; its dashboard is filled in for this instance."""
        stack, ledger = stack_with_ledger()
        stack.add_definition(evolve(REDIS, dashboard_url="http://$HOST:$PORT"))
        for number, port in (("1", 20000), ("2", 20001)):
            answer = stack.provision(f"i-{number}")
            self.assertEqual(answer.json, {"dashboard_url": f"http://10.0.0.1:{port}"})
        self.assertEqual(ledger.actions(), [])

    def test_intent_before_effect(self) -> None:
        """Operation, instance and ports are written down before Docker is asked to change anything."""
        stack = Stack()
        hang = stack.engine.hang_next("create")
        stack.ask("PUT", instance_path("i-1"), provision_body())
        self.assertTrue(hang.reached)
        (operation,) = stack.persister.history()
        self.assertEqual((operation.phase, operation.instance_id), (Phase.FORWARD, "i-1"))
        self.assertEqual(stack_instance(stack, "i-1").operation_id, operation.id)
        self.assertEqual([port for _, port in stack.persister.tables.leases], [20000])
        self.assertEqual([call[0] for call in stack.engine.calls], ["image", "create"])

    def test_step_before_effect(self) -> None:
        """Each step is written down before it is done, and the exec's id before the exec is started."""
        stack, _ = stack_with_ledger()
        stack.image.image = evolve(stack.image.image, health_check=None, ports=())
        hang = stack.engine.hang_next("start_exec")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        stack.advance(1)
        self.assertTrue(hang.reached)
        (operation,) = stack.persister.history()
        self.assertEqual(operation.step.value, "execute")
        self.assertIn(operation.exec_id, stack.engine.execs)
        hang.release()
        self.assertEqual(stack.settle(asked).status, 201)


class FailureTests(SynchronousTestCase):
    """Provisions that fail: a status, a description, and nothing left."""

    def assert_nothing_left(self, stack: Stack, answer: Answer, status: int = 500) -> None:
        """The failure is described, and neither a container nor a row nor a lease is left."""
        self.assertEqual(answer.status, status)
        self.assertEqual(stack.engine.world, {})
        self.assertEqual((stack.persister.tables.instances, stack.persister.tables.leases), ({}, {}))
        self.assertEqual(complaints(stack), [])
        self.assertEqual(stack.deprovision("i-1").status, 410)

    def test_missing_image(self) -> None:
        """An image that no host has is no capacity, and is named; nothing is even begun."""
        stack = Stack()
        stack.engine.images.clear()
        answer = stack.provision("i-1")
        self.assert_nothing_left(stack, answer, 503)
        self.assertIn("no image redis", answer.description)
        self.assertEqual(stack.persister.history(), [])

    def test_exits_at_once(self) -> None:
        """A container that ends is told with its exit status and its last log lines."""
        stack = Stack()
        stack.image.exit_code = 3
        stack.image.logs = "starting\ncannot open /data\x1b[0m\n"
        answer = stack.provision("i-1")
        self.assert_nothing_left(stack, answer)
        self.assertIn("The container of redis on 10.0.0.1 ended with exit status 3.", answer.description)
        self.assertIn("cannot open /data", answer.description)
        self.assertTrue(answer.description.isprintable())

    def test_secret_in_the_log(self) -> None:
        """A parameter that the container logs is not shown, not even in half."""
        stack = Stack()
        stack.image.exit_code = 3
        for padding in range(560, 640):
            stack.image.logs = f"password {CANARY}" + "x" * padding
            answer = stack.provision("i-1", parameters={"password": CANARY})
            self.assertEqual(answer.status, 500)
            for length in range(6, len(CANARY)):
                self.assertNotIn(CANARY[-length:], answer.description)

    def test_never_ready(self) -> None:
        """A health check that never passes is told with the time that it was given."""
        stack = Stack()
        stack.image.scripts["healthy"] = printing(exit_code=1)
        stack.image.logs = "recovering\n"
        answer = stack.provision("i-1")
        self.assert_nothing_left(stack, answer)
        self.assertIn("was not ready within 30 s. Its last log lines: recovering", answer.description)

    def test_command_that_cannot_be_run(self) -> None:
        """An image whose command does not exist is told in Docker's words."""
        stack = Stack()
        stack.image.startable = False
        answer = stack.provision("i-1")
        self.assert_nothing_left(stack, answer)
        self.assertIn("command of the image redis cannot be run", answer.description)

    def test_disk_full(self) -> None:
        """Where the disk is full that is told at once, and nothing that takes more of it is tried again."""
        for call in ("create", "start"):
            stack = Stack()
            stack.engine.fail_next(call, DiskFull("There is no space left on device."), times=5)
            answer = stack.provision("i-1")
            self.assert_nothing_left(stack, answer)
            self.assertEqual(answer.description, "There is no space left on device.")
            self.assertEqual([one[0] for one in stack.engine.calls].count(call), 1)

    def test_executable_fails(self) -> None:
        """A failing `/provision` is told with its last line; `/deprovision` is run, and all is removed."""
        stack, ledger = stack_with_ledger()
        stack.image.scripts["/provision"] = printing(b"{}", b"a\nno space left\n", exit_code=1)
        answer = stack.provision("i-1")
        self.assert_nothing_left(stack, answer)
        expected = "/provision of the service image failed with exit status 1: no space left"
        self.assertEqual(answer.description, expected)
        self.assertEqual(ledger.actions(), ["deprovision"])

    def test_executables_that_both_fail(self) -> None:
        """An own container is removed although its `/deprovision` fails too, or hangs."""
        for clean_up in ((1, b"", b"neither\n"), None):
            stack = Stack()
            stack.image.scripts["/provision"] = printing(b"", b"no\n", exit_code=1)
            if clean_up is not None:
                stack.image.scripts["/deprovision"] = printing(b"", b"neither\n", exit_code=1)
            else:
                stack.image.files.add("/deprovision")
                stack.engine.hang_next("has_file")
                stack.engine.faults["has_file"].insert(0, lambda call: call())
            answer = stack.provision("i-1")
            stack.advance(100)
            self.assert_nothing_left(stack, answer)

    def test_garbage(self) -> None:
        """A `/provision` that prints anything but one object, or a dashboard that is none, has failed."""
        for printed in (b"done", b"{}{}", b'{"dashboard_url": 1}', b"x" * 65537):
            stack = Stack()
            stack.image.scripts["/provision"] = printing(printed)
            answer = stack.provision("i-1")
            self.assert_nothing_left(stack, answer)

    def test_defect(self) -> None:
        """A defect of the broker itself is undone like a failure; its log alone tells what it was."""
        stack = Stack()
        defect: Any = RuntimeError(CANARY)
        stack.engine.fail_next("start", defect)
        answer = stack.provision("i-1")
        self.assert_nothing_left(stack, answer)
        self.assertIn("The broker failed unexpectedly; its log tells more", answer.description)
        self.assertNotIn(CANARY, answer.description)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_docker_goes_away(self) -> None:
        """What cannot be removed while Docker is not reached is removed when it is reached again."""
        stack = Stack()
        hang = stack.engine.hang_reply("create")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        stack.engine.reachable = False
        hang.release()
        answer = stack.settle(asked)
        self.assertEqual(answer.status, 500)
        self.assertIn("the broker goes on", answer.description)
        stack.advance(30)
        self.assertEqual(len(stack.engine.world), 1)
        self.assertEqual(stack.provision("i-1").status, 422)
        stack.engine.reachable = True
        stack.advance(70)
        self.assert_nothing_left(stack, answer)


class UnfillableTests(SynchronousTestCase):
    """Static services whose templates cannot be filled."""

    def test_named_before_anything_is_made(self) -> None:
        """A placeholder that cannot be filled is named, and nothing is made."""
        for template in ("$PORT_80", "$PORT"):
            stack = Stack()
            stack.add_definition(evolve(REDIS, credentials=Secret({"uri": [template]})))
            add_service(stack.engine, ports=("1/tcp", "2/tcp"))
            answer = stack.provision("i-1")
            self.assertEqual(answer.status, 500)
            self.assertIn(f"{template} ", answer.description)
            self.assertEqual((stack.engine.world, stack.persister.history()), ({}, []))


class ForeignContainerTests(SynchronousTestCase):
    """A container of somebody else that bears the name."""

    def test_left_alone(self) -> None:
        """It is neither used nor removed, and the description tells who is to remove it."""
        stack = Stack()
        stack.provision("i-1")
        (container,) = stack.engine.world.values()
        container.spec = evolve(container.spec, labels={})
        stack.persister.tables.instances.clear()
        stack.persister.tables.leases.clear()
        answer = stack.provision("i-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("remove it there", answer.description)
        self.assertEqual(list(stack.engine.world.values()), [container])
        self.assertNotIn("i-1", stack.persister.tables.instances)

    def test_of_an_earlier_operation(self) -> None:
        """A container that an earlier operation of ours left unfinished is replaced, not adopted."""
        stack = Stack()
        stack.provision("i-1")
        (old,) = stack.engine.world.values()
        old.policy = "no"
        stack.persister.tables.instances.clear()
        stack.persister.tables.leases.clear()
        self.assertEqual(stack.provision("i-1").status, 201)
        (new,) = stack.engine.world.values()
        self.assertNotEqual(old.id, new.id)
        self.assertEqual(HOST.key, stack_instance(stack, "i-1").host)

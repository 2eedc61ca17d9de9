"""Deprovisions, and services in containers that exist already."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import EngineError
from dockerbroker.model.containers import ContainerSpec
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import InstanceState
from dockerbroker.model.secrets import Secret
from tests.broker.ledger import complaints, printing, stack_instance, stack_with_ledger
from tests.memory_engine import MemoryContainer
from tests.stack import CATALOG, HOST, REDIS, Stack, add_service, instance_path, provision_body, query

EXISTING = evolve(REDIS, numinstances=0, container_name="mine")


class DeprovisionTests(SynchronousTestCase):
    """Instances with a container of their own."""

    def setUp(self) -> None:
        """Make an instance with a binding."""
        self.stack, self.ledger = stack_with_ledger()
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        self.ledger.runs.clear()

    def assert_nothing_left(self) -> None:
        """No container, row or lease is left."""
        tables = self.stack.persister.tables
        self.assertEqual(self.stack.engine.world, {})
        self.assertEqual((tables.instances, tables.bindings, tables.leases), ({}, {}, {}))

    def test_renamed_container(self) -> None:
        """A container that somebody renamed is removed all the same."""
        stack = Stack()
        stack.provision("i-1")
        (container,) = stack.engine.world.values()
        container.spec = evolve(container.spec, name="renamed")
        self.assertEqual(stack.deprovision("i-1").status, 200)
        self.assertEqual(stack.engine.world, {})

    def test_order(self) -> None:
        """What is bound is unbound, `/deprovision` is run, and only then the container goes."""
        hang = self.stack.engine.hang_next("remove")
        asked = self.stack.ask("DELETE", instance_path("i-1") + query())
        self.assertEqual(self.ledger.actions(), ["unbind", "deprovision"])
        hang.release()
        self.assertEqual(self.stack.settle(asked).status, 200)
        self.assert_nothing_left()

    def test_absent_executable(self) -> None:
        """An image without `/deprovision` has nothing to do."""
        del self.stack.image.scripts["/deprovision"]
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assert_nothing_left()

    def test_unbind_that_fails(self) -> None:
        """A failing `/unbind` does not keep a container that goes anyway."""
        self.stack.image.scripts["/unbind"] = printing(b"", b"no\n", exit_code=1)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assert_nothing_left()

    def test_executable_that_fails(self) -> None:
        """A failing `/deprovision` is told; the instance is kept, only to be deleted once more."""
        good = self.stack.image.scripts["/deprovision"]
        self.stack.image.scripts["/deprovision"] = printing(b"", b"backup fails\n", exit_code=1)
        answer = self.stack.deprovision("i-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("backup fails", answer.description)
        self.assertIs(stack_instance(self.stack, "i-1").state, InstanceState.FAILED)
        self.assertEqual(len(self.stack.engine.running()), 1)
        self.assertEqual(self.stack.bind("i-1", "b-2").status, 400)
        self.assertEqual(self.stack.provision("i-1").status, 422)
        self.stack.image.scripts["/deprovision"] = good
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assert_nothing_left()

    def test_removal_that_fails(self) -> None:
        """A removal that keeps failing keeps the row and its ports; a DELETE goes on from there."""
        self.stack.engine.fail_next("remove", EngineError("Docker cannot remove it."), times=50)
        answer = self.stack.deprovision("i-1")
        sentence = "Docker cannot remove it. The broker goes on trying."
        self.assertEqual((answer.status, answer.description), (500, sentence))
        self.assertEqual(len(self.stack.persister.tables.leases), 1)
        self.stack.engine.faults.clear()
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assert_nothing_left()

    def test_removal_that_succeeds_later(self) -> None:
        """Nobody has to ask again: what could not be removed is removed when it can be, however late."""
        self.stack.engine.fail_next("remove", EngineError("Docker cannot remove it."), times=50)
        self.assertEqual(self.stack.deprovision("i-1").status, 500)
        self.stack.advance(600)
        self.assertEqual(len(self.stack.engine.world), 1)
        self.stack.engine.faults.clear()
        self.stack.advance(120)
        self.assert_nothing_left()
        self.assertEqual(complaints(self.stack), [])

    def test_container_that_was_stopped_or_removed(self) -> None:
        """Of a container that does not run, or is gone, nothing is asked any more."""
        (container,) = self.stack.engine.world.values()
        self.stack.engine.crash(container.id)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assert_nothing_left()
        self.stack.provision("i-1")
        self.stack.engine.world.clear()
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assert_nothing_left()

    def test_made_again(self) -> None:
        """An id can be used again after its instance is gone."""
        self.stack.deprovision("i-1")
        self.assertEqual(self.stack.provision("i-1").status, 201)
        self.assertEqual(complaints(self.stack), [])


class ExistingContainerTests(SynchronousTestCase):
    """`numinstances` 0 with `containername`."""

    def setUp(self) -> None:
        """Start a broker whose service is a container of somebody else."""
        self.stack, self.ledger = stack_with_ledger()
        self.stack.add_definition(EXISTING)
        self.container = self.add_container()

    def add_container(self) -> MemoryContainer:
        """Let somebody run a container named `mine` on the host."""
        spec = ContainerSpec(name="mine", image="redis", labels={}, ports={"6379/tcp": 7000})
        container = MemoryContainer(id="c-mine", spec=spec, image=self.stack.image, running=True)
        self.stack.engine.world[container.id] = container
        return container

    def changing_calls(self) -> set[str]:
        """Return the calls that change a container."""
        changing = {"create", "start", "remove", "keep_running"}
        return changing & {call[0] for call in self.stack.engine.calls}

    def test_whole_life(self) -> None:
        """The container is used and never created, started, stopped or removed; its ports are not leased."""
        self.assertEqual(self.stack.provision("i-1").status, 201)
        self.assertEqual(stack_instance(self.stack, "i-1").ports, {"6379/tcp": 7000})
        self.assertEqual(self.stack.persister.tables.leases, {})
        self.assertEqual(self.stack.bind("i-1", "b-1").json["credentials"]["username"], "b-1")
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 200)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assertEqual(self.ledger.actions(), ["provision", "bind", "unbind", "deprovision"])
        self.assertEqual(self.changing_calls(), set())
        self.assertTrue(self.container.running)

    def test_several_instances(self) -> None:
        """Several instances share the container, each with what its executables made."""
        for name in ("i-1", "i-2"):
            self.assertEqual(self.stack.provision(name).status, 201)
        self.assertEqual(self.ledger.databases, {"i-1", "i-2"})
        self.stack.deprovision("i-1")
        self.assertEqual(self.ledger.databases, {"i-2"})

    def test_static(self) -> None:
        """The mapped ports are substituted as they are now: Docker may have chosen others meanwhile."""
        self.stack.add_definition(evolve(EXISTING, credentials=Secret({"uri": "redis://$HOST:$PORT_6379"})))
        self.stack.provision("i-1")
        self.assertEqual(self.stack.bind("i-1", "b-1").json["credentials"]["uri"], "redis://10.0.0.1:7000")
        self.container.spec = evolve(self.container.spec, ports={"6379/tcp": 7001})
        self.assertEqual(self.stack.bind("i-1", "b-2").json["credentials"]["uri"], "redis://10.0.0.1:7001")
        self.assertEqual(self.ledger.actions(), [])

    def test_on_the_host_that_has_it(self) -> None:
        """The instance is on the host that has the container, whichever the dispatcher prefers."""
        first = evolve(HOST, key=HostKey(service_host="10.0.0.0", docker_host="10.0.0.0", docker_port=1))
        add_service(self.stack.add_host(first))
        self.assertEqual(self.stack.provision("i-1").status, 201)
        self.assertEqual(stack_instance(self.stack, "i-1").host, HOST.key)

    def test_absent_or_stopped(self) -> None:
        """A container that is not there or does not run is no capacity, and is named."""
        self.container.running = False
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 503)
        self.assertIn("'mine' does not run on 10.0.0.1", answer.description)
        self.stack.engine.world.clear()
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 503)
        self.assertIn("'mine' is not there on 10.0.0.1", answer.description)

    def test_failed_provision(self) -> None:
        """A failing `/provision` is undone by `/deprovision` alone; the container stays."""
        self.stack.image.scripts["/provision"] = printing(b"", b"no\n", exit_code=1)
        self.assertEqual(self.stack.provision("i-1").status, 500)
        self.assertEqual(self.ledger.actions(), ["deprovision"])
        self.assertEqual(self.changing_calls(), set())
        self.assertEqual(self.stack.persister.tables.instances, {})

    def test_failed_provision_that_cannot_be_cleaned_up(self) -> None:
        """When `/deprovision` fails as well the instance is kept as failed, until a DELETE succeeds."""
        good = self.stack.image.scripts["/deprovision"]
        for action in ("/provision", "/deprovision"):
            self.stack.image.scripts[action] = printing(b"", b"no\n", exit_code=1)
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("Cleaning up failed as well", answer.description)
        self.assertIs(stack_instance(self.stack, "i-1").state, InstanceState.FAILED)
        self.stack.image.scripts["/deprovision"] = good
        self.assertEqual(self.stack.deprovision("i-1").status, 200)

    def test_stopped_meanwhile(self) -> None:
        """Nothing of a shared container is forgotten while it does not run: a DELETE waits for it."""
        self.stack.provision("i-1")
        self.stack.bind("i-1", "b-1")
        self.container.running = False
        answer = self.stack.unbind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("'mine' does not run", answer.description)
        self.assertEqual(self.stack.deprovision("i-1").status, 500)
        self.container.running = True
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        self.assertEqual((self.ledger.users, self.ledger.databases), (set(), set()))


class CatalogChangeTests(SynchronousTestCase):
    """A catalog that changes while there are instances."""

    def test_own_container_stays_own(self) -> None:
        """An instance that was made with a container of its own loses it, whatever the catalog says now."""
        stack = Stack()
        stack.provision("i-1")
        stack.add_definition(EXISTING)
        self.assertEqual(stack.deprovision("i-1").status, 200)
        self.assertEqual(stack.engine.world, {})

    def test_image_that_leaves_meanwhile(self) -> None:
        """An image that is removed while a host is looked for is not provisioned, and nothing is left."""
        stack = Stack()
        hang = stack.engine.hang_next("image")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(stack.request("DELETE", f"/{CATALOG}/image/{REDIS.name}").status, 200)
        hang.release()
        answer = stack.settle(asked)
        self.assertEqual(answer.status, 400)
        self.assertIn("removed from the catalog", answer.description)
        self.assertEqual((stack.persister.tables.instances, stack.persister.tables.leases), ({}, {}))
        self.assertEqual((stack.engine.world, complaints(stack)), ({}, []))

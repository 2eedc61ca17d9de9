"""An instance with data that moves between hosts in memory, and what must be so afterwards."""

from __future__ import annotations

from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.holdings import holdings
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import InstanceState, Operation, OperationKind, Phase, ServiceInstance
from tests.broker.calls import SERVICE, Platform, stack_with_plans
from tests.broker.ledger import stack_instance
from tests.memory_engine import MemoryContainer, MemoryEngine
from tests.stack import HOST, Stack, add_service

OTHER: Final = DockerHost(
    key=HostKey(service_host="10.0.0.7", docker_host="10.0.0.8", docker_port=2375), keep_alive=86400
)
DATA: Final = {"/dump": b"precious", "/log": b"0123456789"}


class MoveCase(SynchronousTestCase):
    """The instance `i-1` of the small plan on `HOST`, bound and with data, and another host `OTHER`."""

    def setUp(self) -> None:
        """Make the instance."""
        self.stack, self.ledger = stack_with_plans()
        self.platform = Platform(self.stack)
        self.platform.provision().result()
        self.platform.bind().result()
        self.former = self.instance()
        [volume] = self.stack.engine.disk.values()
        volume.contents.update(DATA)
        self.there = self.stack.add_host(OTHER)
        self.ledger.install(add_service(self.there, SERVICE))
        self.stack.drainer.start()

    def instance(self, instance_id: str = "i-1") -> ServiceInstance:
        """Return an instance as it is stored."""
        found: ServiceInstance = stack_instance(self.stack, instance_id)
        return found

    def drain(self, host: DockerHost = HOST) -> Any:
        """Let an administrator want the host drained; return the answer."""
        return self.stack.request("PUT", f"/admin/hosts/{host.key.service_host}/drain").json

    def progress(self, host: DockerHost = HOST) -> Any:
        """Return how the draining of the host stands."""
        return self.stack.request("GET", f"/admin/hosts/{host.key.service_host}/drain").json

    def moves(self) -> list[Operation]:
        """Return all moves, the oldest first."""
        return [one for one in self.stack.persister.history() if one.kind is OperationKind.MOVE]

    def until_step(self, *steps: str) -> None:
        """Let time pass until the last move is in one of these steps."""
        for _ in range(600):
            if self.moves() and self.moves()[-1].step.value in steps:
                return
            self.stack.advance(0.5)
        self.fail(f"no move came to {steps}: {self.moves()}")

    def until_over(self) -> Operation:
        """Let time pass until the last move is over; return it."""
        for _ in range(600):
            if self.moves() and self.moves()[-1].is_over:
                break
            self.stack.advance(1)
        self.assertTrue(self.moves() and self.moves()[-1].is_over, self.moves())
        return self.moves()[-1]

    def assert_moved(self) -> None:
        """All of the instance is on the other host, and nothing on its former one."""
        instance = self.instance()
        self.assertEqual((instance.host, instance.state), (OTHER.key, InstanceState.READY))
        self.assertEqual((instance.moves, instance.generation), (1, 2))
        self.assert_whole(self.there, instance)
        self.assert_empty(self.stack.engine)

    def assert_stayed(self) -> None:
        """The instance is what it was, and nothing of it is on the other host."""
        instance = self.instance()
        self.assertEqual(
            evolve(instance, last_operation_id=None), evolve(self.former, last_operation_id=None)
        )
        self.assert_whole(self.stack.engine, instance)
        self.assert_empty(self.there)

    def assert_whole(self, engine: MemoryEngine, instance: ServiceInstance) -> None:
        """The engine has its container, which runs and is kept, and its data; that is on record."""
        [container] = engine.world.values()
        self.assertEqual(container.id, instance.container_id)
        self.assertTrue(container.running and container.keeps_running)
        self.assertEqual(container.spec.ports, instance.ports)
        self.assertEqual(self.data(engine), DATA)
        tables = self.stack.persister.tables
        held = {(one.host, port) for one in holdings(instance) for port in one.ports}
        self.assertEqual(set(tables.leases), held)
        self.assertEqual(set(tables.reserved()), {instance.host})

    def assert_empty(self, engine: MemoryEngine) -> None:
        """The engine has nothing."""
        self.assertEqual((engine.world, engine.disk), ({}, {}))

    def data(self, engine: MemoryEngine) -> dict[str, bytes]:
        """Return what is in the one volume of the engine."""
        [volume] = engine.disk.values()
        return volume.contents

    def container(self, engine: MemoryEngine) -> MemoryContainer:
        """Return the one container of the engine."""
        [container] = engine.world.values()
        return container

    def assert_failed(self, *words: str) -> None:
        """The last move has failed, with a description that has these words."""
        move = self.until_over()
        self.assertIs(move.phase, Phase.FAILED)
        for word in words:
            self.assertIn(word, move.description)

    def die(self) -> Stack:
        """Let the broker die, and another one go on."""
        self.stack = self.stack.successor()
        self.stack.drainer.start()
        self.platform = Platform(self.stack)
        return self.stack

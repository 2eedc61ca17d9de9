"""Updates that put another container into the place of the old one, and how they end."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import (
    EngineError,
)
from dockerbroker.model.plans import ContainerOptions, MaintenanceInfo
from dockerbroker.model.secrets import Secret
from tests.broker.calls import LARGE, SERVICE, SMALL, Platform
from tests.broker.ledger import complaints, stack_instance
from tests.broker.updates import UpdateCase


class ReplacingTests(UpdateCase):
    """Updates that put another container into the place of the old one."""

    def test_replaced(self) -> None:
        """The new container has the new plan's limits, the same ports and the same data."""
        updated = self.platform.update("large", parameters={"a": 3}).result()
        new = self.container()
        self.assertIsNot(new, self.old)
        self.assertEqual((new.spec.memory, new.running, new.policy), (2**30, True, "unless-stopped"))
        self.assertEqual((new.spec.ports, self.instance().ports), (self.old.spec.ports, self.before.ports))
        self.assert_data_kept()
        self.assertEqual((self.instance().container_id, self.instance().generation), (new.id, 2))
        self.assertEqual(self.instance().parameters.reveal(), {"a": 3, "b": 2})
        self.assertEqual(updated.instance.plan, LARGE)
        self.assertEqual(self.ledger.actions(), ["provision", "update"])
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_order(self) -> None:
        """The new one is created first, and the old one stopped only then; it is removed last of all."""
        self.platform.update("large").result()
        self.assertEqual(self.changes(), ["create", "stop", "start", "keep_running", "remove"])

    def test_previous_plan(self) -> None:
        """`/update` runs in the new container, and is told the plan and the parameters of before."""
        self.platform.update("large").result()
        run = self.ledger.runs[-1]
        self.assertEqual((run["plan"]["name"], run["previous"]["plan"]["name"]), ("large", "small"))
        self.assertEqual(run["previous"]["parameters"], {"a": 1, "b": 2})
        execs = [one for one in self.stack.engine.execs.values() if one.command == ("/update",)]
        self.assertEqual([one.container for one in execs], [self.container()])

    def test_bindings_survive(self) -> None:
        """What is bound stays bound, and can be unbound from the new container."""
        self.platform.bind().result()
        self.platform.update("large").result()
        self.platform.unbind(plan="large").result()
        self.assertEqual(self.ledger.users, set())
        self.platform.deprovision(plan="large").result()
        self.assertEqual((self.stack.engine.world, self.stack.engine.disk), ({}, {}))
        self.assertEqual(complaints(self.stack), [])

    def test_there_and_back(self) -> None:
        """An instance can be moved as often as one likes."""
        for number, plan in enumerate(("large", "small", "large"), start=2):
            self.platform.update(plan).result()
            self.assertEqual(self.instance().generation, number)
            self.assert_data_kept()
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_upgrade(self) -> None:
        """A new version of the plan brings its image and options; without one nothing changes."""
        newer = evolve(SMALL, maintenance=MaintenanceInfo(version="2.0.0"), options=LARGE.options)
        self.stack.add_definition(evolve(SERVICE, plans=(newer,)))
        self.platform.update(parameters={"a": 3}).result()
        self.assertIs(self.container(), self.old)
        updated = self.platform.update(maintenance_version="2.0.0").result()
        self.assertEqual((updated.instance.plan, self.container().spec.memory), (newer, 2**30))
        self.assertEqual(self.ledger.runs[-1]["previous"]["plan"]["name"], "small")

    def test_old_container_that_is_gone(self) -> None:
        """An old container that somebody removed does not keep the new one from taking its place."""
        self.stack.engine.world.clear()
        self.platform.update("large").result()
        self.assertEqual(self.container().spec.memory, 2**30)
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_other_ports(self) -> None:
        """Ports that the new image has as well are kept, new ones are leased, and old ones given back."""
        image = self.stack.image
        newer = evolve(SERVICE, image="redis:8")
        self.stack.engine.add_image(
            "redis:8",
            ports=("6379/tcp", "8080/tcp"),
            health_check=image.image.health_check,
            scripts=image.scripts,
        )
        self.stack.add_definition(newer)
        self.platform.update("large").result()
        self.assertEqual(self.instance().ports["6379/tcp"], self.before.ports["6379/tcp"])
        self.assertEqual(set(self.instance().ports), {"6379/tcp", "8080/tcp"})
        self.assertEqual(complaints(self.stack, self.ledger), [])
        self.stack.add_definition(SERVICE)
        self.platform.update("small").result()
        self.assertEqual(self.instance().ports, self.before.ports)
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_volumes_that_a_plan_has_no_more(self) -> None:
        """They stay until the instance goes, and go with it."""
        plain = evolve(LARGE, options=ContainerOptions(memory=2**30))
        self.stack.add_definition(evolve(SERVICE, plans=(SMALL, plain)))
        self.platform.update("large").result()
        self.assertEqual((self.container().volumes, len(self.stack.engine.disk)), ({}, 1))
        self.platform.deprovision(plan="large").result()
        self.assertEqual(self.stack.engine.disk, {})

    def test_static(self) -> None:
        """Of a static service nothing is run; its credentials are those of the new definition."""
        static = evolve(SERVICE, credentials=Secret({"uri": "redis://$HOST:$PORT", "version": 1}))
        self.stack.add_definition(static)
        self.platform.provision("i-2").result()
        self.stack.add_definition(
            evolve(static, credentials=Secret({"version": 2}), dashboard_url="http://$HOST:$PORT")
        )
        self.ledger.runs.clear()
        port = stack_instance(self.stack, "i-2").ports["6379/tcp"]
        for plan in ("better", "large"):
            updated = self.platform.update(plan, "i-2").result()
            self.assertEqual(updated.instance.dashboard_url, f"http://10.0.0.1:{port}")
            self.assertEqual(stack_instance(self.stack, "i-2").dashboard_url, f"http://10.0.0.1:{port}")
        self.assertEqual(self.ledger.runs, [])
        self.assertEqual(complaints(self.stack), [])


class RetiringTests(UpdateCase):
    """The end of an update: the old container goes."""

    def test_repeated(self) -> None:
        """The update is not undone any more: the removal is tried until it succeeds."""
        self.stack.engine.fail_next("remove", EngineError("Docker cannot remove it."), times=8)
        accepted = Platform(self.stack, asynchronous=True).update("large").accepted()
        self.assertEqual(len(self.stack.engine.world), 2)
        answer = self.platform.poll(accepted.operation_id)
        self.assertEqual(answer.state, "in progress")
        self.assertIn("removing the former container of redis", answer.description)
        self.stack.advance(120)
        self.assertEqual(self.platform.poll(accepted.operation_id).state, "succeeded")
        self.assertEqual(self.container().spec.memory, 2**30)
        self.assertEqual(complaints(self.stack, self.ledger), [])

    def test_after_the_deadline(self) -> None:
        """It is repeated beyond the operation's deadline, and cannot be cancelled."""
        self.stack.engine.fail_next("remove", EngineError("Docker cannot remove it."), times=100)
        accepted = Platform(self.stack, asynchronous=True).update("large").accepted()
        self.stack.persister.tables.operations[accepted.operation_id]["is_cancelled"] = True
        self.stack.advance(1000)
        self.assertEqual(self.platform.poll(accepted.operation_id).state, "in progress")
        self.stack.engine.faults.clear()
        self.stack.advance(100)
        self.assertEqual(self.platform.poll(accepted.operation_id).state, "succeeded")
        self.assertEqual(complaints(self.stack, self.ledger), [])

"""Links between brokers and hosts that are cut: both ways, one way, or so that answers are lost."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Final

from dockerbroker.model.hosts import INTERVALS_UNTIL_LATE
from tests.fleet import services
from tests.fleet.case import PAUSE, FleetCase, binding_path, instance_path, wait
from tests.fleet.hosts import KEEP_ALIVE
from tests.fleet.namespaces import Cut
from tests.fleet.services import ANYWHERE, on
from tests.polling import comes_true

_HOSTS: Final = (1, 2, 3)
TRIALS: Final = int(os.environ.get("DOCKERBROKER_TRIALS", "1"))
SEED: Final = os.environ.get("DOCKERBROKER_SEED", "1")
#: How many instances are made and deleted at once.
_MANY: Final = 6
#: What the log says of a call that had no answer.
_OVERDUE: Final = "did not answer within"


class LinkTests(FleetCase):
    """What was under way when a link was cut ends, once, and as the platform is told."""

    def cut_all(self, *cuts: Cut) -> None:
        """Cut each host off in a way of its own."""
        for host, cut in zip(self.fleet.hosts, cuts, strict=True):
            host.namespace.cut(cut)

    def heal_all(self) -> None:
        """Mend all links."""
        for host in self.fleet.hosts:
            host.namespace.heal()

    def wait_until_begun(self, action: str) -> None:
        """Wait until the executables run in all hosts, where they wait."""
        for number in _HOSTS:
            host, instance_id = self.fleet.host(number), f"i-{number}"
            wait(
                lambda: self.containers()[number] == 1,  # noqa: B023
                lambda: f"{instance_id} is not made: {self.broker.log()[-3000:]}",  # noqa: B023
            )
            wait(
                lambda: action in services.runs(host, instance_id),  # noqa: B023
                lambda: f"{action} of {instance_id} is not run",  # noqa: B023
            )

    def let_go(self, action: str) -> None:
        """Let the executables end, of which nobody hears."""
        for number in _HOSTS:
            services.let_go(self.fleet.host(number), f"i-{number}", action)

    def test_provision_and_bind(self) -> None:
        """A provision and a bind whose host is cut off in the middle succeed when it is back, and once."""
        for number in _HOSTS:
            self.begin_instance(f"i-{number}", on(number, "waiting"))
        self.wait_until_begun("provision")
        self.cut_all(Cut.BOTH_WAYS, Cut.DEAF, Cut.REPLIES_LOST)
        self.let_go("provision")
        self.assertEqual(self.operation(instance_path("i-1")), "in progress")
        self.heal_all()
        for number in _HOSTS:
            self.assertEqual(self.outcome(instance_path(f"i-{number}")), "succeeded")
        self.wait_until_usable(*_HOSTS)
        for number in _HOSTS:
            path = binding_path(f"i-{number}", "b-1")
            self.assertEqual(self.incomplete("PUT", path, on(number, "waiting")).status, 202)
        self.wait_until_begun("bind")
        self.cut_all(Cut.MUTE, Cut.REPLIES_LOST, Cut.BOTH_WAYS)
        self.let_go("bind")
        self.heal_all()
        for number in _HOSTS:
            self.assertEqual(self.outcome(binding_path(f"i-{number}", "b-1")), "succeeded")
            runs = services.runs(self.fleet.host(number), f"i-{number}")
            self.assertEqual(runs, ["provision", "bind"])
        self.assertEqual(self.containers(), dict.fromkeys(_HOSTS, 1))
        self.check_world()

    def test_at_any_moment(self) -> None:
        """Whenever links are cut, operations end as the platform is told, and nothing is left or double."""
        for trial in range(TRIALS):
            chance = random.Random(f"{SEED} {trial}")  # noqa: S311
            names = {f"t-{number}": on(number % len(_HOSTS) + 1) for number in range(_MANY)}
            for name, service in names.items():
                self.begin_instance(name, service)
            self.cut_at(chance, lambda: sum(self.containers().values()))
            made = {name for name in names if self.outcome(instance_path(name)) == "succeeded"}
            self.wait_until_usable(*_HOSTS)
            found = {name for name in names if self.broker.request("GET", instance_path(name)).status == 200}
            self.assertEqual(found, made)
            self.assertEqual(sum(self.containers().values()), len(made))
            for name in made:
                answer = self.incomplete("DELETE", instance_path(name), names[name])
                self.assertIn(answer.status, (200, 202), answer)
            self.cut_at(chance, lambda: _MANY - sum(self.containers().values()))
            for name in made:
                self.assertIn(self.outcome(instance_path(name)), ("succeeded", "410"))
            self.wait_until_usable(*_HOSTS)
            self.assertEqual(sum(self.containers().values()), 0)
        self.check_world()

    def cut_at(self, chance: random.Random, progress: Callable[[], int]) -> None:
        """Cut all links when so much has been done as chance has it, and mend them.

        They are mended when calls have passed their deadlines, if there is time, and otherwise soon.
        """
        moment = chance.randrange(_MANY)
        wait(lambda: progress() >= moment, lambda: f"{progress()} is less than {moment}")
        # Of the first one no ping arrives.
        silent = [cut for cut in Cut if cut is not Cut.REPLIES_LOST]
        self.cut_all(chance.choice(silent), chance.choice(list(Cut)), chance.choice(list(Cut)))
        if chance.randrange(TRIALS):
            before = self.broker.log().count(_OVERDUE)
            comes_true(lambda: self.broker.log().count(_OVERDUE) > before, pause=PAUSE)
        else:
            silence = INTERVALS_UNTIL_LATE * KEEP_ALIVE
            wait(lambda: self.state(1)["SecondsSincePing"] > silence, lambda: str(self.state(1)))
        self.heal_all()

    def test_returning(self) -> None:
        """What was deleted while its host was without power is removed before that is used again.

        The rest runs again then, at the same ports.
        """
        host = self.fleet.host(1)
        self.provision_all({"i-1": on(1), "i-2": on(1)})
        before = self.served_by(host, ("i-2",))
        host.lose_power()
        self.assertEqual(self.incomplete("DELETE", instance_path("i-1"), on(1)).status, 202)
        self.wait_for(1, "State", "dead")
        self.assertEqual(self.provision("i-3", ANYWHERE).status, 201)
        self.assertEqual(self.provision_now("i-4", on(1)).status, 503)
        self.assertIn(self.outcome(instance_path("i-1")), ("succeeded", "410"))
        self.fleet.heal()
        self.wait_until_usable(1)
        self.assertEqual(len(self.containers_of(host)), 1)
        self.assertEqual(self.state(1)["Instances"], 1)
        self.wait_until_running(host, "i-2")
        self.assertEqual(self.served_by(host, ("i-2",)), before)

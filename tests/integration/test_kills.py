"""Brokers that are killed at any moment, on a real Docker Engine: nothing is lost, leaked or double."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from random import Random
from typing import Any, Final, cast

import docker
from attrs import define, field
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from dockerbroker.model.containers import LABEL_INSTANCE
from tests.integration import keeper, leftovers
from tests.integration.hastening import Sender, platform_of
from tests.platform.cloud_controller import CloudController
from tests.platform.jobs import Outcome
from tests.polling import PATIENCE
from tests.real_engine import require_engine
from tests.running import RunningBroker

#: How many brokers are killed, and what sets another number.
KILLS: Final = 30
VARIABLE: Final = "DOCKERBROKER_KILLS"
#: What sets the seed of the choices; the moments themselves are fractions of what the work takes here.
SEED_VARIABLE: Final = "DOCKERBROKER_SEED"

#: How often a user repeats at most what has failed because of the kill.
_REPEATS: Final = 3
_LOOK_EVERY: Final = 0.05

reactor = cast("Any", installed)


@define(eq=False)
class User:
    """Has one instance at most and a few bindings, and knows what to expect of them."""

    platform: CloudController
    instance_id: str = ""
    plan: str = keeper.SMALL
    size: int = 0
    passwords: dict[str, str] = field(factory=dict)
    _made: int = field(default=0, init=False)

    def kinds(self) -> list[str]:
        """Return what may be done next."""
        if not self.instance_id:
            return ["provision"]
        bound = ["unbind", "unbind"] if self.passwords else []
        return ["bind", "bind", "parameters", "plan", "deprovision", *bound]

    async def do(self, kind: str) -> Outcome:
        """Do it, without looking after what came of it."""
        platform = self.platform
        if kind == "provision":
            self._made += 1
            self.instance_id, self.plan, self.size = f"i-{self._made}", keeper.SMALL, self._made
            return await platform.create_service(
                self.instance_id, keeper.NAME, self.plan, {"size": self.size}, name=self.instance_id
            )
        if kind == "bind":
            self._made += 1
            self._binding = f"b-{self._made}"
            return await platform.bind(self.instance_id, self._binding)
        if kind == "unbind":
            self._binding = min(self.passwords)
        if kind == "plan":
            self.plan = keeper.LARGE if self.plan == keeper.SMALL else keeper.SMALL
        if kind == "parameters":
            self._made += 1
            self.size = self._made
        return await self.again(kind)

    async def again(self, kind: str) -> Outcome:
        """Do what can be repeated as it was."""
        platform = self.platform
        if kind == "unbind":
            return await platform.unbind(self.instance_id, self._binding)
        if kind == "deprovision":
            return await platform.delete_service(self.instance_id)
        if kind == "plan":
            return await platform.update_service(self.instance_id, plan_id=self.plan)
        return await platform.update_service(self.instance_id, parameters={"size": self.size})

    async def look_after(self, kind: str, outcome: Outcome) -> None:
        """Remove what may have been made in vain, repeat anything else, until it is clear what there is."""
        for _ in range(_REPEATS):
            if outcome.state == "succeeded" or kind in {"provision", "bind"}:
                break
            outcome = await self.again(kind)
        if outcome.state == "succeeded":
            self._believe(kind, outcome)
        elif kind == "provision":
            await self._undo(self.platform.delete_service(self.instance_id))
            self.instance_id = ""
        elif kind == "bind":
            await self._undo(self.platform.unbind(self.instance_id, self._binding))
        else:
            raise AssertionError(f"{kind} fails again and again: {outcome}")

    async def _undo(self, removal: Any) -> None:
        outcome = await removal
        assert outcome.state == "succeeded", outcome

    def _believe(self, kind: str, outcome: Outcome) -> None:
        if kind == "bind":
            self.passwords[self._binding] = outcome.document["credentials"]["password"]
        if kind == "unbind":
            del self.passwords[self._binding]
        if kind == "deprovision":
            self.instance_id = ""
            self.passwords.clear()

    _binding: str = field(default="", init=False)


class KillTests(TestCase):
    """One engine, one database, and as many brokers as are killed."""

    timeout = 7200

    def setUp(self) -> None:
        """Start broker and platform, and throw the dice."""
        engine = require_engine()
        keeper.make_image(engine)
        self.client: docker.APIClient = engine.client()
        self.addCleanup(self.client.close)
        self.volumes_before = leftovers.volumes(self.client)
        self.broker = RunningBroker(
            # A host that could not ping while there was no broker is not taken for dead.
            [keeper.SERVICE],
            engine.unix_url,
            agent_settings={"keepalive": 5},
        )
        self.addCleanup(self.broker.stop)
        self.broker.start()
        self.database = self.broker.folder / "broker.db"
        platform, self.sender = platform_of(reactor, self.broker)
        self.user = User(platform)
        self.seed = int(os.environ.get(SEED_VARIABLE) or time.time_ns() % 10**9)
        self.random = Random(self.seed)  # noqa: S311 - nothing secret

    sender: Sender

    async def test_kills(self) -> None:
        """Whatever a broker does when it is killed, the platform ends with what it was told, and no more."""
        kills = int(os.environ.get(VARIABLE, KILLS))
        print(f"\n{kills} kills, {SEED_VARIABLE}={self.seed}")  # noqa: T201 - it is to be seen
        lasts = await self.calm_life()
        for number in range(kills):
            await self.trial(number, lasts)
        if self.user.instance_id:
            await self.user.look_after("deprovision", await self.user.do("deprovision"))
        await self.settled()
        self.assertEqual(leftovers.containers(self.client, self.database), [])
        self.assertEqual(leftovers.volumes(self.client) - self.volumes_before, set())
        self.assertEqual(leftovers.rows(self.database), leftovers.nothing())

    async def calm_life(self) -> dict[str, float]:
        """Return how long everything takes, in seconds, while no broker is killed."""
        lasts = {}
        for kind in ("provision", "bind", "parameters", "plan", "unbind", "deprovision"):
            began = reactor.seconds()
            outcome = await self.user.do(kind)
            lasts[kind] = reactor.seconds() - began
            self.assertEqual(outcome.state, "succeeded", (kind, outcome))
            await self.user.look_after(kind, outcome)
            self.check(kind)
        return lasts

    async def trial(self, number: int, lasts: dict[str, float]) -> None:
        """Kill the broker in the middle of something, start it again, and see what came of it."""
        kind = self.random.choice(self.user.kinds())
        self.sender.is_synchronous = self.random.random() < 0.4
        fraction = self.random.uniform(0, 1.1)
        # What is sent again at once is refused, unless something holds it until there is a broker again.
        is_held = self.random.random() < 0.6
        self.broker.settings["answerwithin"] = self.random.choice((0, 10))
        mode = "synchronous" if self.sender.is_synchronous else "asynchronous"
        line = (
            f"{number}: {mode} {kind}, killed after {fraction:.3f} of it, {'held' if is_held else 'refused'}"
        )
        began = reactor.seconds()
        doing = Deferred.fromCoroutine(self.user.do(kind))
        await deferLater(reactor, fraction * lasts[kind])
        self.broker.kill_broker()
        if not is_held:
            await deferLater(reactor, _LOOK_EVERY)
        self.broker.restart_broker()
        outcome = await doing
        self.sender.is_synchronous = False
        await self.user.look_after(kind, outcome)
        await self.settled()
        print(f"{line}: {_told(outcome)}, {reactor.seconds() - began:.1f} s")  # noqa: T201
        self.check(f"{line}, {SEED_VARIABLE}={self.seed}")

    async def settled(self) -> None:
        """Wait until neither the platform nor the broker has anything under way."""
        ends = reactor.seconds() + PATIENCE
        while leftovers.unfinished(self.database) or not self.user.platform.is_idle:
            self.assertLess(reactor.seconds(), ends, f"it does not come to rest: {self.broker.log()[-5000:]}")
            await deferLater(reactor, _LOOK_EVERY)

    def check(self, where: str) -> None:
        """Assert that database and Docker have what the user was told, and nothing else."""
        user, platform = self.user, self.user.platform
        believed = {user.instance_id} - {""}
        self.assertEqual(set(platform.believed_instances), believed, where)
        self.assertEqual(
            platform.believed_bindings, {(user.instance_id, one) for one in user.passwords}, where
        )
        self.assertEqual(self.rows("SELECT id FROM instances"), sorted(believed), where)
        self.assertEqual(self.rows("SELECT id FROM bindings"), sorted(user.passwords), where)
        self.assertEqual(self.rows("SELECT instance_id FROM port_leases"), sorted(believed), where)
        made = leftovers.containers(self.client, self.database)
        found = [self.client.inspect_container(one) for one in made]
        self.assertEqual([one["Config"]["Labels"][LABEL_INSTANCE] for one in found], sorted(believed), where)
        self.assertEqual(len(leftovers.volumes(self.client) - self.volumes_before), len(believed), where)
        for container in found:
            self.check_container(container, where)

    def check_container(self, container: dict[str, Any], where: str) -> None:
        """Assert that the instance works as its user was told."""
        user = self.user
        self.assertTrue(container["State"]["Running"], where)
        self.assertEqual(container["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped", where)
        self.assertIn(f"SIZE={user.plan.removeprefix(f'{keeper.NAME}_')}", container["Config"]["Env"], where)
        self.assertEqual(keeper.served(container), {"size": user.size}, where)
        self.assertEqual(keeper.users(self.client, container["Id"]), user.passwords, where)
        (document,) = self.rows("SELECT document FROM instances")
        self.assertEqual(json.loads(document)["state"], "ready", where)

    def rows(self, query: str) -> list[str]:
        """Return the only column of a query, sorted."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return sorted(str(value) for (value,) in connection.execute(query))


def _told(outcome: Outcome) -> str:
    return f"{outcome.state} {outcome.error or ''} {outcome.description}".strip()

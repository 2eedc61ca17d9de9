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
from attrs import frozen
from twisted.internet import reactor as installed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from dockerbroker.invariants.history import encode_event
from dockerbroker.model.containers import LABEL_INSTANCE
from tests.integration import keeper, leftovers
from tests.integration.hastening import Sender, platform_of
from tests.integration.user import User
from tests.invariants.living import event_of
from tests.platform.jobs import Outcome
from tests.polling import PATIENCE
from tests.real_engine import require_engine
from tests.running import RunningBroker

#: How many brokers are killed, and what sets another number.
KILLS: Final = 30
VARIABLE: Final = "DOCKERBROKER_KILLS"
#: What sets the seed of the choices; the moments themselves are fractions of what the work takes here.
SEED_VARIABLE: Final = "DOCKERBROKER_SEED"

_LOOK_EVERY: Final = 0.05
#: How many of the trials kill the broker that takes over as well.
_DOUBLE: Final = 0.2

reactor = cast("Any", installed)


@frozen(kw_only=True)
class Trial:
    """What is done, and when the broker is killed meanwhile: after these fractions of the time that it takes.

    With a second fraction, the broker that takes over is killed as well, so long after its start. What is
    sent again when the connection drops is refused, unless something holds it until there is a broker again.
    """

    kind: str
    is_synchronous: bool
    fractions: tuple[float, ...]
    is_held: bool
    answer_within: int

    def __str__(self) -> str:
        """Return it in one line."""
        mode = "synchronous" if self.is_synchronous else "asynchronous"
        killed = " and ".join(f"{fraction:.3f}" for fraction in self.fractions)
        return f"{mode} {self.kind}, killed after {killed} of it, {'held' if self.is_held else 'refused'}"


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
            # The host is not taken for dead because no broker was there to hear its pings.
            [keeper.SERVICE],
            engine.unix_url,
            agent_settings={"keepalive": 3600},
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
        killed = 0
        while killed < kills:
            killed += await self.trial(killed, lasts)
        self.check_history()
        if self.user.instance_id:
            await self.user.look_after("deprovision", await self.user.do("deprovision"))
        await self.settled()
        self.check_history()
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

    async def trial(self, number: int, lasts: dict[str, float]) -> int:
        """Kill brokers in the middle of something, and see what came of it; return how many were killed."""
        trial = self.chosen()
        where = f"{number}: {trial}, {SEED_VARIABLE}={self.seed}"
        self.sender.is_synchronous = trial.is_synchronous
        self.broker.settings["answerwithin"] = trial.answer_within
        began = reactor.seconds()
        doing = Deferred.fromCoroutine(self.user.do(trial.kind))
        for fraction in trial.fractions:
            await deferLater(reactor, fraction * lasts[trial.kind])
            await self.kill_and_restart(is_held=trial.is_held)
        outcome = await doing
        self.sender.is_synchronous = False
        await self.user.look_after(trial.kind, outcome)
        await self.settled()
        print(f"{where}: {_told(outcome)}, {reactor.seconds() - began:.1f} s")  # noqa: T201
        try:
            self.check(where)
        except Exception:
            print(self.broker.log()[-20000:])  # noqa: T201 - what there is to go by
            raise
        return len(trial.fractions)

    def chosen(self) -> Trial:
        """Return what the dice say."""
        random = self.random
        deaths = 2 if random.random() < _DOUBLE else 1
        return Trial(
            kind=random.choice(self.user.kinds()),
            is_synchronous=random.random() < 0.4,
            fractions=tuple(random.uniform(0, 1.1) for _ in range(deaths)),
            is_held=random.random() < 0.6,
            answer_within=random.choice((0, 10)),
        )

    async def kill_and_restart(self, *, is_held: bool) -> None:
        """Kill the broker and start it again, with the platform standing still until then, or not."""
        self.broker.kill_broker()
        if not is_held:
            await deferLater(reactor, _LOOK_EVERY)
        self.broker.restart_broker()

    async def settled(self) -> None:
        """Wait until neither the platform nor the broker has anything under way."""
        ends = reactor.seconds() + PATIENCE
        while leftovers.unfinished(self.database) or not self.user.platform.is_idle:
            self.assertLess(reactor.seconds(), ends, f"it does not come to rest: {self.broker.log()[-5000:]}")
            await deferLater(reactor, _LOOK_EVERY)

    def check_history(self) -> None:
        """Assert that the broker's own checker agrees: with all that the platform was told, too."""
        path = self.broker.folder / "history.json"
        events = [encode_event(event_of(event)) for event in self.user.platform.history]
        path.write_text("".join(f"{line}\n" for line in events), "utf-8")
        # That a broker which is killed gives no answer is what was meant.
        found = self.broker.check_world("--history", str(path)).splitlines()
        self.assertEqual([line for line in found if not line.endswith(" got no answer")], [])

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

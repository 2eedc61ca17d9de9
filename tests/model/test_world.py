"""Rows compared with what was seen: what is started, and what is told."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.containers import LABEL_GENERATION, LABEL_INSTANCE, Volume
from dockerbroker.model.instances import InstanceState, ServiceInstance
from dockerbroker.model.plans import ContainerOptions
from dockerbroker.model.world import (
    MOST_STARTS,
    START_PAUSE,
    WELL_AFTER,
    HostSight,
    Judgement,
    Note,
    Sight,
    Standing,
    Start,
    Trouble,
    World,
    host_sight,
    place_of,
    plan_rows,
)
from tests.model.values import EXISTING, HOST, REDIS, container, instance


def seen(*sights: Sight, **members: Any) -> World:
    """Return a world of the one host with these containers."""
    containers = {sight.id: sight for sight in sights}
    return {place_of(HOST.key): HostSight(host=HOST, containers=containers, **members)}


RUNNING = Sight(id="c-1", name="b-1", running=True)
STOPPED = Sight(id="c-1", name="b-1", exit_code=1)
PAUSED = Sight(id="c-1", name="b-1", running=True, paused=True)


def restarting(policy: str) -> ServiceInstance:
    """Return an instance whose plan has that policy."""
    plan = evolve(REDIS.plan, options=ContainerOptions(restart=policy))
    return instance(evolve(REDIS, plans=(plan,)))


class Watched:
    """An instance that is compared again and again."""

    def __init__(self, row: ServiceInstance | None = None) -> None:
        self.row = row or instance()
        self.standings: dict[str, Standing] = {}
        self.conditions: dict[str, str] = {}
        self.now = 1000.0

    def compare(self, world: World, after: float = 30.0, busy: frozenset[str] = frozenset()) -> list[Any]:
        """Return what a pass does; notes are kept as the database would."""
        self.now += after
        judged = plan_rows([self.row], busy, world, self.standings, self.conditions, self.now)
        assert isinstance(judged, Judgement)
        self.standings = dict(judged.standings)
        for action in judged.actions:
            if isinstance(action, Note) and action.condition is None:
                self.conditions.pop(action.instance_id)
            elif isinstance(action, Note):
                self.conditions[action.instance_id] = action.condition or ""
        return list(judged.actions)

    def starts(self, world: World, passes: int, after: float = 30.0) -> int:
        """Return how often the container is started in so many passes."""
        done = [action for _ in range(passes) for action in self.compare(world, after)]
        return sum(isinstance(action, Start) for action in done)


class StartTests(SynchronousTestCase):
    """Containers that have stopped."""

    def test_started_at_the_second_sight(self) -> None:
        """A container is started when it was seen stopped twice in succession, and nothing is noted yet."""
        watched = Watched()
        self.assertEqual(watched.compare(seen(STOPPED)), [])
        start = Start(instance_id="i-1", host=HOST, container_id="c-1")
        self.assertEqual(watched.compare(seen(STOPPED)), [start])

    def test_not_in_succession(self) -> None:
        """A container that was seen to run in between is not started."""
        watched = Watched()
        for world in (seen(STOPPED), seen(RUNNING), seen(STOPPED)):
            self.assertEqual(watched.compare(world), [])

    def test_crashing(self) -> None:
        """One that never stays up is started a few times with growing pauses, and then left alone, noted."""
        watched = Watched()
        self.assertEqual(watched.starts(seen(STOPPED), 500), MOST_STARTS)
        self.assertIn("stopped with status 1, and does not stay up", watched.conditions["i-1"])

    def test_out_of_memory(self) -> None:
        """Of one that was killed, as is one that needs more memory than it gets, that is told (D10)."""
        watched = Watched()
        killed = evolve(STOPPED, exit_code=137)
        self.assertEqual(watched.starts(seen(killed), 500), MOST_STARTS)
        self.assertIn("with status 137, and does not stay up", watched.conditions["i-1"])
        self.assertIn("for want of memory", watched.conditions["i-1"])

    def test_pauses(self) -> None:
        """Between two starts is a pause that doubles."""
        watched = Watched()
        at = []
        for _ in range(1000):
            done = watched.compare(seen(STOPPED), after=1.0)
            at += [watched.now for action in done if isinstance(action, Start)]
        pauses = [later - earlier for earlier, later in pairwise(at)]
        self.assertEqual(pauses, [START_PAUSE * 2**number for number in range(MOST_STARTS - 1)])

    def test_flapping_is_bounded(self) -> None:
        """One that runs when it is looked at, but not for long, is not started for ever either."""
        watched = Watched()
        worlds = [seen(STOPPED), seen(STOPPED), seen(RUNNING)] * 200
        done = [action for world in worlds for action in watched.compare(world, after=20.0)]
        self.assertEqual(sum(isinstance(action, Start) for action in done), MOST_STARTS)

    def test_well_again(self) -> None:
        """One that has run for long enough has all its starts again."""
        watched = Watched()
        watched.starts(seen(STOPPED), 500)
        watched.compare(seen(RUNNING))
        self.assertEqual(watched.conditions, {})
        watched.compare(seen(RUNNING), after=WELL_AFTER)
        self.assertEqual(watched.standings, {})
        self.assertEqual(watched.starts(seen(STOPPED), 2), 1)

    def test_paused(self) -> None:
        """A paused container is not started but noted."""
        watched = Watched()
        self.assertEqual(watched.starts(seen(PAUSED), 10), 0)
        self.assertIn("is paused", watched.conditions["i-1"])

    def test_policies(self) -> None:
        """A container that its plan lets end is not started, but told of."""
        well = evolve(STOPPED, exit_code=0)
        for policy, sight, expected in (
            ("unless-stopped", well, 1),
            ("always", well, 1),
            ("on-failure", STOPPED, 1),
            ("on-failure", well, 0),
            ("no", STOPPED, 0),
        ):
            watched = Watched(restarting(policy))
            self.assertEqual(watched.starts(seen(sight), 2), expected, policy)
            self.assertEqual(len(watched.conditions), 1 - expected, policy)

    def test_not_compared(self) -> None:
        """What is not ready, is held by an operation, or is not the broker's own, is never started."""
        for state in InstanceState:
            expected = 1 if state is InstanceState.READY else 0
            self.assertEqual(Watched(instance(state=state)).starts(seen(STOPPED), 2), expected, state)
        self.assertEqual(Watched(instance(operation_id="o-1")).starts(seen(STOPPED), 5), 0)
        self.assertEqual(Watched(instance(EXISTING)).starts(seen(STOPPED), 5), 0)
        busy = Watched()
        self.assertEqual([busy.compare(seen(STOPPED), busy=frozenset({"i-1"})) for _ in range(5)], [[]] * 5)


class NoteTests(SynchronousTestCase):
    """What is told of instances."""

    def assert_noted(self, watched: Watched, world: World, fragment: str) -> None:
        """It is noted at the second sight, once, and cleared as soon as all is well."""
        self.assertEqual(watched.compare(world), [])
        (note,) = watched.compare(world)
        self.assertIn(fragment, note.condition)
        self.assertIn(HOST.key.service_host, note.condition)
        self.assertEqual(watched.compare(world), [])
        self.assertEqual(watched.compare(seen(RUNNING)), [Note(instance_id="i-1", condition=None)])
        self.assertEqual(watched.compare(seen(RUNNING)), [])

    def test_missing(self) -> None:
        """A missing container is noted, and not made again: its data is gone."""
        self.assert_noted(Watched(), seen(), "is missing")

    def test_silent(self) -> None:
        """A host that does not answer is noted of each of its instances."""
        self.assert_noted(Watched(), seen(complaint="no route"), "does not answer")

    def test_unknown_host(self) -> None:
        """An instance on a host of which no agent ever told is noted."""
        self.assert_noted(Watched(), {}, "is not known")

    def test_other_trouble(self) -> None:
        """When the trouble changes, the new one is noted at its own second sight."""
        watched = Watched()
        for _ in range(2):
            watched.compare(seen(complaint="no route"))
        self.assertEqual(watched.compare(seen()), [])
        self.assertIn("is missing", watched.compare(seen())[0].condition)

    def test_existing_containers(self) -> None:
        """Of a container that is not the broker's only the host is told."""
        watched = Watched(instance(EXISTING))
        self.assertEqual([watched.compare(seen()) for _ in range(3)], [[]] * 3)
        for _ in range(2):
            watched.compare(seen(complaint="no route"))
        self.assertIn("does not answer", watched.conditions["i-1"])

    def test_after_a_restart_of_the_broker(self) -> None:
        """What is on record and still true is not written again, and cleared when it is not true."""
        watched = Watched()
        watched.conditions["i-1"] = Trouble.MISSING.value.format(host=HOST.key.service_host)
        self.assertEqual([watched.compare(seen()) for _ in range(3)], [[]] * 3)
        watched.compare(seen(RUNNING))
        self.assertEqual(watched.conditions, {})


class SightTests(SynchronousTestCase):
    """What is remembered of a host."""

    def test_generations(self) -> None:
        """A generation that is no number is none."""
        for text, expected in (("2", 2), ("", None), ("-1", None), ("\u0662", None), ("x", None)):
            observed = container(labels={LABEL_GENERATION: text})
            sight = host_sight(HOST, [observed], [])
            self.assertEqual(sight.containers["c-1"].generation, expected, text)

    def test_users(self) -> None:
        """Of a volume it is remembered which of the containers use it."""
        observed = container(volumes={"/data": "v-1"})
        labels = {LABEL_INSTANCE: "i-1"}
        sight = host_sight(HOST, [observed], [Volume(name="v-1", labels=labels), Volume(name="v-2")])
        self.assertEqual([one.users for one in sight.volumes], [frozenset({"c-1"}), frozenset()])
        self.assertEqual([one.instance_id for one in sight.volumes], ["i-1", ""])

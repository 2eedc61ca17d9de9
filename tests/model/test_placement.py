"""Which hosts may take an instance, and which ports it gets there."""

from __future__ import annotations

import random
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import NoPort
from dockerbroker.model.dispatchers import Candidate
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport, HostState
from dockerbroker.model.placement import (
    LEAST_DISK,
    NO_ANSWER,
    NO_PORT,
    Demand,
    Hindrances,
    Overcommit,
    candidates,
    choose_ports,
    demand,
    in_turn,
    misfit,
    place_at,
)
from dockerbroker.model.plans import ContainerOptions, PlacementRules
from dockerbroker.model.reservations import NOTHING, Most, Reserved
from dockerbroker.model.vitals import Vitals
from tests.model.values import HOST, definition, renamed, unhurried

_random = random.Random(1)  # noqa: S311 (a test that is the same every time)

MIB = 1024**2
LIVE = HostReport(host=HOST, age=0, silence=0)
SILENT = HostReport(host=HOST, age=1000, silence=1000)
INACTIVE = HostReport(host=evolve(HOST, is_active=False), age=0, silence=0)


def named(name: str, **members: Any) -> DockerHost:
    """Return a host at another address."""
    return evolve(HOST, key=evolve(HOST.key, service_host=name), **members)


def report(host: DockerHost = HOST, **vitals: Any) -> HostReport:
    """Return a living host whose agent tells that."""
    return HostReport(host=host, age=0, silence=0, vitals=Vitals(**vitals))


class HostTests(SynchronousTestCase):
    """The hosts."""

    wanted = Demand()

    def left(
        self,
        *reports: HostReport,
        wanted: Reserved = NOTHING,
        reserved: Reserved = NOTHING,
        overcommit: Overcommit | None = None,
        neighbours: dict[HostKey, int] | None = None,
    ) -> list[DockerHost]:
        """Return the hosts that may take an instance; `reserved` is what each has given away."""
        self.hindrances = Hindrances(hosts=len(reports))
        places = [place_at(one, reserved, overcommit or Overcommit()) for one in reports]
        asked = evolve(self.wanted, reserved=wanted)
        found = candidates(places, asked, neighbours or {}, self.hindrances)
        return [one.candidate.host for one in found]

    def refusal(self, *reports: HostReport, **wanted: Any) -> str:
        """Return what is said when none of the hosts takes an instance."""
        self.assertEqual(self.left(*reports, **wanted), [])
        return self.hindrances.refusal().description

    def test_live_and_active(self) -> None:
        """Only hosts that are alive and active may take an instance."""
        self.assertEqual(self.left(SILENT, LIVE, INACTIVE), [HOST])

    def test_nobody_has_registered(self) -> None:
        """Without any agent the refusal says so."""
        self.assertIn("no agent has registered", self.refusal())

    def test_why_none_is_usable(self) -> None:
        """A refusal says what stands in the way of how many hosts."""
        self.assertEqual(
            self.refusal(SILENT, INACTIVE, SILENT),
            "No Docker host is available: of 3 Docker hosts 2 sent no ping lately and 1 is set inactive.",
        )
        cordoned = evolve(LIVE, is_cordoned=True)
        self.assertIn(
            "of 5 Docker hosts 2 sent no ping lately, 2 are cordoned and 1 is set inactive.",
            self.refusal(SILENT, cordoned, evolve(LIVE, state=HostState.DEAD), cordoned, INACTIVE),
        )
        self.assertIn(
            "of 1 Docker host 1 is being checked", self.refusal(evolve(LIVE, state=HostState.RETURNING))
        )
        self.assertIn("1 is claimed by two agents", self.refusal(evolve(LIVE, is_contended=True)))
        self.assertIn("1 has trouble with its Docker", self.refusal(report(trouble="It hangs.")))

    def test_memory(self) -> None:
        """A host has as much memory left as is neither reserved nor in use."""
        wanted = Reserved(memory=512 * MIB)
        enough = report(memory_total=1024 * MIB, memory_free=512 * MIB)
        half = Reserved(memory=512 * MIB)
        self.assertEqual(self.left(enough, wanted=wanted, reserved=half), [HOST])
        said = self.refusal(enough, wanted=wanted, reserved=Reserved(memory=512 * MIB + 1))
        self.assertIn("1 has less than 512 MB of memory left", said)
        said = self.refusal(report(memory_total=1024 * MIB, memory_free=512 * MIB - 1), wanted=wanted)
        self.assertIn("1 has less than 512 MB of memory left", said)

    def test_overcommitted_memory(self) -> None:
        """More may be given away than there is, as often as the configuration says."""
        wanted, host = Reserved(memory=512 * MIB), report(memory_total=512 * MIB, memory_free=256 * MIB)
        twice = Overcommit(memory=2)
        self.assertEqual(self.left(host, wanted=wanted, reserved=wanted, overcommit=twice), [HOST])
        self.assertEqual(self.left(host, wanted=wanted, reserved=wanted + wanted, overcommit=twice), [])

    def test_processors(self) -> None:
        """A plan's processors must be there, and be left when they are given away several times."""
        host = report(cpus=2)
        self.assertEqual(self.left(host, wanted=Reserved(cpus=2000), reserved=Reserved(cpus=6000)), [HOST])
        said = self.refusal(host, wanted=Reserved(cpus=2000), reserved=Reserved(cpus=6001))
        self.assertIn("1 has less than 2 processors left", said)
        said = self.refusal(host, report(named("b"), cpus=1), wanted=Reserved(cpus=2500))
        self.assertIn("of 2 Docker hosts 2 have less than 2.5 processors left", said)

    def test_nothing_wanted(self) -> None:
        """Whoever asks for no memory and no processors is not refused for want of them."""
        full = report(memory_total=1, memory_free=0, cpus=0.5)
        self.assertEqual(self.left(full, reserved=Reserved(memory=99, cpus=9999)), [HOST])

    def test_unknown(self) -> None:
        """Of an agent that tells nothing everything is enough."""
        self.assertEqual(self.left(LIVE, wanted=Reserved(memory=2**40, cpus=10**6)), [HOST])

    def test_disk(self) -> None:
        """Nothing is placed on a host whose disk is full."""
        self.assertEqual(self.left(report(disk_free=LEAST_DISK)), [HOST])
        self.assertIn("1 has no disk space left", self.refusal(report(disk_free=LEAST_DISK - 1)))

    def test_answers(self) -> None:
        """What hosts answer when they are asked is counted likewise, and some of them are quoted."""
        hindrances = Hindrances(hosts=7)
        hindrances.add(NO_ANSWER)
        hindrances.add(NO_ANSWER)
        for number in range(5):
            hindrances.add(NO_PORT, f"The host {number} is full.")
        self.assertEqual(
            hindrances.refusal().description,
            "No Docker host is available: of 7 Docker hosts 2 do not answer and 5 have no free port. "
            "The host 0 is full. The host 1 is full. The host 2 is full. 2 more say something else.",
        )

    def test_wanted(self) -> None:
        """What is wanted is what the plan limits; nothing of a container that exists."""
        redis = definition("redis", "free")
        [plan] = redis.plans
        limited = evolve(plan, options=ContainerOptions(memory=MIB, cpus=0.25))
        self.assertEqual(
            demand(evolve(redis, plans=(limited,))).reserved, Reserved(memory=MIB, cpus=250, instances=1)
        )
        self.assertEqual(demand(redis).reserved, Reserved(instances=1))
        self.assertEqual(demand(renamed(redis, "x", numinstances=0, container_name="mine")).reserved, NOTHING)

    def test_in_turn(self) -> None:
        """Hosts of which a ping is missing, in doubt, or without a free port, are tried after all others."""
        late, full, good = named("late"), named("full", portbind_min=1, portbind_max=2), named("good")
        doubted = named("doubted")
        reports = [
            HostReport(host=late, age=8, silence=8),
            HostReport(host=doubted, age=0, silence=0, complaint="Its certificate has expired."),
            HostReport(host=full, age=0, silence=0),
            HostReport(host=good, age=0, silence=0),
        ]
        places = [place_at(one, Reserved(ports=2), Overcommit()) for one in reports]
        doubtful = {place.candidate.host.key for place in places if place.is_doubtful}
        found = in_turn([place.candidate for place in places], doubtful, {})
        names = [one.host.key.service_host for one in found]
        self.assertEqual(names, ["good", "late", "doubted", "full"])

    def test_neighbours_avoided(self) -> None:
        """Hosts with neighbours are tried after those without, and before those that may be dead."""
        hosts = [named("two"), named("none"), named("late"), named("one")]
        neighbours = {hosts[0].key: 2, hosts[3].key: 1}
        found = in_turn([Candidate(host=one) for one in hosts], {hosts[2].key}, neighbours)
        self.assertEqual([one.host.key.service_host for one in found], ["none", "one", "two", "late"])

    def test_neighbours_never(self) -> None:
        """A host that has a neighbour is none for an instance that must be apart."""
        self.wanted = Demand(rules=PlacementRules(same_host="never"))
        other = named("b")
        self.assertEqual(self.left(LIVE, report(other), neighbours={HOST.key: 1}), [other])
        said = self.refusal(LIVE, report(other), neighbours={HOST.key: 1, other.key: 2})
        self.assertIn("2 have an instance of the service for this space", said)
        self.wanted = Demand(rules=PlacementRules(same_host="avoided"))
        self.assertEqual(self.left(LIVE, neighbours={HOST.key: 1}), [HOST])

    def test_labels(self) -> None:
        """A host must have every label that is wanted, with that value; others do not count."""
        self.wanted = Demand(labels={"disk": "ssd", "zone": "a"})
        right = named("right", labels={"disk": "ssd", "zone": "a", "rack": "7"})
        wrong = named("wrong", labels={"disk": "SSD", "zone": "a"})
        without = named("without", labels={"disk": "ssd"})
        self.assertEqual(self.left(*map(report, (wrong, without, right))), [right])
        said = self.refusal(*map(report, (wrong, without, HOST)))
        self.assertIn("of 3 Docker hosts 2 lack the label disk=ssd and 1 lacks the label zone=a", said)

    def test_labels_of_image_and_plan(self) -> None:
        """The labels of an image and those of a plan are wanted; where both say something the plan does."""
        [plan] = definition("redis", "free").plans
        rules = PlacementRules(host_labels={"zone": "b", "disk": "ssd"})
        image = evolve(
            definition("redis", "free"),
            host_labels={"zone": "a", "arch": "arm"},
            plans=(evolve(plan, placement=rules),),
        )
        self.assertEqual(demand(image).labels, {"zone": "b", "arch": "arm", "disk": "ssd"})

    def test_misfit(self) -> None:
        """An instance cannot become one for which its host is no place."""
        said = misfit(HOST, Demand(labels={"disk": "ssd"}), 0)
        self.assertEqual(said, f"The Docker host {HOST.key.service_host} lacks the label disk=ssd.")
        self.assertIsNone(misfit(HOST, Demand(), 5))

    @unhurried
    @given(
        st.builds(Reserved, memory=st.integers(0, 99), cpus=st.integers(0, 99)),
        st.builds(Reserved, memory=st.integers(0, 99), cpus=st.integers(0, 99)),
        st.integers(0, 200) | st.none(),
    )
    def test_as_the_database_decides(self, wanted: Reserved, there: Reserved, total: int | None) -> None:
        """A host that is chosen has as much room as the database wants to see."""
        host = report(memory_total=total, cpus=0.05)
        chosen = self.left(host, wanted=wanted, reserved=there)
        most: Most = Overcommit().most(host.vitals or Vitals())
        if chosen:
            self.assertTrue(most.has_room(there, wanted))
        elif wanted.cpus <= 50:
            self.assertFalse(most.has_room(there, wanted))


class PortTests(SynchronousTestCase):
    """The ports."""

    @unhurried
    @given(st.integers(1, 6), st.sets(st.integers(100, 105)), st.integers(0, 6))
    def test_free_ports_of_the_range(self, size: int, leased: set[int], count: int) -> None:
        """Each wanted port gets a free port of the range for itself, as long as there are enough."""
        host = evolve(HOST, portbind_min=100, portbind_max=99 + size)
        wanted = [f"{number}/tcp" for number in range(count)]
        free = set(host.ports) - leased
        if len(free) < count:
            error = self.assertRaises(NoPort, choose_ports, host, wanted, leased, _random.sample)
            self.assertIn(f"{count} wanted, {len(free)} of 100 to {99 + size} free", error.description)
            return
        chosen = choose_ports(host, wanted, leased, _random.sample)
        self.assertEqual(list(chosen), wanted)
        self.assertEqual(len(set(chosen.values())), count)
        self.assertLessEqual(set(chosen.values()), free)

    def test_both_ends_of_the_range(self) -> None:
        """A range is used up to its last port, both ends included."""
        host = evolve(HOST, portbind_min=100, portbind_max=101)
        chosen = choose_ports(host, ["1/tcp", "2/udp"], (), _random.sample)
        self.assertEqual(set(chosen.values()), {100, 101})

"""What every persister promises of the catalog and of the hosts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from attrs import evolve

from dockerbroker.broker.pings import MOST
from dockerbroker.errors import Conflict, NotFound
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.secrets import Secret
from tests.contracts.persister_case import PersisterTestCase
from tests.model.values import definition, renamed
from tests.persisters import values
from tests.persisters.values import EXISTING, HERE, REDIS, STATIC, THERE
from tests.pinging import pings


class CatalogContract(PersisterTestCase):
    """The catalog of images."""

    def test_seed(self) -> None:
        """The first seeding fills the catalog, and says so."""
        self.assertEqual(self.done(self.persister.images()), [])
        self.assertIs(self.done(self.persister.seed_images([REDIS, STATIC])), True)
        self.assertEqual(self.done(self.persister.images()), [STATIC, REDIS])

    def test_plan_id_of_another(self) -> None:
        """Two definitions cannot have one plan id; the one that is there stays as it is, and others go on."""
        self.done(self.persister.put_image(definition("a_b", "c")))
        same = definition("a", "b_c")
        self.refused(Conflict, self.persister.put_image(same))
        self.assertEqual([image.name for image in self.done(self.persister.images())], ["a_b"])
        self.assertIs(self.done(self.persister.put_image(definition("a", "d"))), True)
        self.assertIs(self.done(self.persister.put_image(definition("a", "e"))), False)

    def test_seed_again(self) -> None:
        """A second seeding, by whichever broker, changes nothing and says so."""
        self.done(self.persister.seed_images([REDIS]))
        for persister in (self.persister, self.fixture.persister(), self.fixture.restart()):
            self.assertIs(self.done(persister.seed_images([STATIC])), False)
            self.assertEqual(self.done(persister.images()), [REDIS])

    def test_seed_emptied(self) -> None:
        """A catalog that was emptied is not seeded again."""
        self.done(self.persister.seed_images([REDIS]))
        self.done(self.persister.delete_image("redis"))
        self.assertIs(self.done(self.fixture.restart().seed_images([REDIS])), False)
        self.assertEqual(self.done(self.fixture.persister().images()), [])

    def test_seed_nothing(self) -> None:
        """Seeding with nothing is a seeding."""
        self.assertIs(self.done(self.persister.seed_images([])), True)
        self.assertIs(self.done(self.persister.seed_images([REDIS])), False)

    def test_seed_beside(self) -> None:
        """Seeding replaces the definitions of the same names and keeps the others."""
        self.done(self.persister.put_image(EXISTING))
        self.done(self.persister.put_image(definition("redis", "old")))
        self.assertIs(self.done(self.persister.seed_images(iter([REDIS]))), True)
        self.assertEqual(self.done(self.persister.images()), [EXISTING, REDIS])

    def test_seed_plan_id_of_another(self) -> None:
        """Seeding that gives one plan id to two definitions does nothing, and is no seeding."""
        self.done(self.persister.put_image(definition("a_b", "c")))
        self.refused(Conflict, self.persister.seed_images([REDIS, definition("a", "b_c")]))
        self.refused(Conflict, self.persister.seed_images([definition("x_y", "z"), definition("x", "y_z")]))
        self.assertEqual([image.name for image in self.done(self.persister.images())], ["a_b"])
        self.assertIs(self.done(self.persister.seed_images([REDIS])), True)

    def test_seed_race(self) -> None:
        """Of eight brokers that seed at once, one does."""
        persisters = [self.fixture.persister() for _ in range(8)]
        outcomes = self.fixture.race([partial(persister.seed_images, [REDIS]) for persister in persisters])
        self.assertEqual(sorted(outcomes), [False] * 7 + [True])

    def test_put(self) -> None:
        """Putting a definition says whether its name is new, and replaces all of it."""
        self.assertIs(self.done(self.persister.put_image(STATIC)), True)
        self.assertEqual(self.done(self.persister.images()), [STATIC])
        bare = evolve(STATIC, credentials=None, legacy_arguments=True)
        self.assertIs(self.done(self.persister.put_image(bare)), False)
        self.assertEqual(self.done(self.persister.images()), [bare])

    def test_put_exact(self) -> None:
        """Names that only look alike are different."""
        for name in values.LOOK_ALIKES:
            self.assertIs(self.done(self.persister.put_image(renamed(REDIS, name))), True)
        names = [image.name for image in self.done(self.persister.images())]
        self.assertEqual(sorted(names), sorted(values.LOOK_ALIKES))

    def test_put_large(self) -> None:
        """Credentials of a megabyte are kept."""
        large = evolve(STATIC, credentials=Secret({"certificate": "\u00fc" * 1_000_000}))
        self.done(self.persister.put_image(large))
        self.assertEqual(self.done(self.persister.images()), [large])

    def test_delete(self) -> None:
        """A deleted definition is gone; the others stay."""
        self.done(self.persister.seed_images([REDIS, STATIC]))
        self.done(self.persister.delete_image("redis"))
        self.assertEqual(self.done(self.persister.images()), [STATIC])
        self.assertIs(self.done(self.persister.put_image(REDIS)), True)

    def test_delete_unknown(self) -> None:
        """Deleting what is not there is refused, also when its name differs by case alone."""
        self.done(self.persister.seed_images([REDIS]))
        self.refused(NotFound, self.persister.delete_image("Redis"))
        self.refused(NotFound, self.persister.delete_image("other"))

    def test_delete_unknown_with_instances(self) -> None:
        """A definition that is gone already is not found, whatever instances there are."""
        self.provisioned(values.instance())
        self.refused(NotFound, self.persister.delete_image("redis"))

    def test_delete_used(self) -> None:
        """A definition that has an instance, busy or not, is not deleted until the instance is gone."""
        self.done(self.persister.seed_images([REDIS, STATIC]))
        begun = self.begin(values.provision("o1", values.instance()))
        self.refused(Conflict, self.persister.delete_image("redis"))
        self.succeed(begun)
        self.refused(Conflict, self.persister.delete_image("redis"))
        self.assertEqual(self.done(self.persister.images()), [STATIC, REDIS])
        self.succeed(self.begin(values.deprovision("o2")), remove_instance=True)
        self.done(self.persister.delete_image("redis"))
        self.assertEqual(self.done(self.persister.images()), [STATIC])


class HostsContract(PersisterTestCase):
    """The hosts and the age of their pings."""

    def test_none(self) -> None:
        """There is no host before a ping."""
        self.assertEqual(self.done(self.persister.hosts()), [])

    def test_age(self) -> None:
        """The age is the time since the host's last ping, as every broker sees it."""
        self.done(self.persister.record_pings(pings([values.host(HERE)])))
        self.fixture.clock.advance(2.5)
        self.done(self.fixture.persister().record_pings(pings([values.host(THERE)])))
        self.fixture.clock.advance(1.25)
        for persister in (self.persister, self.fixture.persister()):
            ages = {report.host.key: report.age for report in self.done(persister.hosts())}
            self.assertEqual(ages, {HERE: 3.75, THERE: 1.25})

    def test_ping_again(self) -> None:
        """Another ping makes the host young again and replaces what is known of it."""
        self.done(
            self.persister.record_pings(pings([values.host(is_active=False, portbind_min=1, portbind_max=2)]))
        )
        self.fixture.clock.advance(60)
        again = values.host(keep_alive=0.5, exec_command="DockerCommandExec", exec_arguments=("sudo", ""))
        self.done(self.persister.record_pings(pings([again])))
        [report] = self.done(self.persister.hosts())
        self.assertEqual((report.host, report.age), (again, 0))

    def test_identity(self) -> None:
        """Hosts that differ in any part of their identity are different, also by case alone."""
        keys = {
            HostKey(service_host="a", docker_host="b", docker_port=1),
            HostKey(service_host="A", docker_host="b", docker_port=1),
            HostKey(service_host="a", docker_host="B", docker_port=1),
            HostKey(service_host="a", docker_host="b", docker_port=2),
        }
        for key in keys:
            self.done(self.persister.record_pings(pings([values.host(key)])))
        self.assertEqual({report.host.key for report in self.done(self.persister.hosts())}, keys)

    def test_one_host(self) -> None:
        """A host is found by its key, as it described itself last; others are not known."""
        described = values.host(perf_factor=2.5)
        self.done(self.persister.record_pings(pings([values.host()])))
        self.done(self.persister.record_pings(pings([described])))
        self.assertEqual(self.done(self.fixture.persister().host(values.HERE)), described)
        self.assertIsNone(self.done(self.persister.host(values.THERE)))

    def test_together(self) -> None:
        """Hosts that are stored together are equally young, whether they were known or not."""
        known, *new = [values.host(key) for key in self.keys(3)]
        self.done(self.persister.record_pings(pings([known])))
        self.fixture.clock.advance(5)
        changed = evolve(known, perf_factor=2.5)
        self.done(self.persister.record_pings(pings([*new, changed])))
        self.fixture.clock.advance(1)
        reports = self.done(self.persister.hosts())
        self.assertEqual({report.host.key: report.host for report in reports}, by_key([changed, *new]))
        self.assertEqual([report.age for report in reports], [1, 1, 1])

    def keys(self, count: int) -> list[HostKey]:
        """Return the keys of so many hosts, in no order."""
        names = [f"host{number * 7 % count}" for number in range(count)]
        return [HostKey(service_host=name, docker_host=f"{name} ü", docker_port=1) for name in names]

    def test_many(self) -> None:
        """So many are stored together as ever are, once and again; none is as well."""
        for factor in (1.0, 2.0):
            pinged = [values.host(key, perf_factor=factor) for key in self.keys(MOST)]
            self.done(self.persister.record_pings(pings(pinged)))
            self.done(self.persister.record_pings(pings([])))
            found = [report.host for report in self.done(self.persister.hosts())]
            self.assertEqual(by_key(found), by_key(pinged))

    def test_race_together(self) -> None:
        """Eight groups of the same hosts at once, each in an order of its own, are all stored."""
        persisters = [self.fixture.persister() for _ in range(8)]
        pinged = [values.host(key) for key in self.keys(20)]
        groups = [pinged[number:] + pinged[:number] for number in range(8)]
        calls = [
            partial(persister.record_pings, pings(group))
            for persister, group in zip(persisters, groups, strict=True)
        ]
        for _ in range(2):
            self.assertEqual(self.fixture.race(calls), [{}] * 8)
        found = [report.host for report in self.done(self.persister.hosts())]
        self.assertEqual(by_key(found), by_key(pinged))

    def test_race(self) -> None:
        """Of eight first pings at once none fails, and the host is stored once."""
        persisters = [self.fixture.persister() for _ in range(8)]
        outcomes = self.fixture.race(
            [partial(persister.record_pings, pings([values.host()])) for persister in persisters]
        )
        self.assertEqual(outcomes, [{}] * 8)
        self.assertEqual([report.host for report in self.done(self.persister.hosts())], [values.host()])


def by_key(hosts: Iterable[DockerHost]) -> dict[HostKey, DockerHost]:
    """Return the hosts by their keys; no two of them have the same."""
    found = list(hosts)
    keys = {host.key: host for host in found}
    assert len(keys) == len(found), "a host is there twice"
    return keys

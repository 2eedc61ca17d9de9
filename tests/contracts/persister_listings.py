"""What every persister promises of lists that are read in parts, and of changes that were decided on."""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import evolve

from dockerbroker.errors import NotFound, PreconditionFailed
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.administered import Only
from tests.contracts.persister_case import PersisterTestCase
from tests.contracts.persister_history import HistoryTestCase
from tests.persisters import values
from tests.persisters.values import LOOK_ALIKES, REDIS, STATIC, certificate


class ListingsContract(HistoryTestCase):
    """Lists of what belongs to an instance or a host."""

    def operations(
        self, *, unfinished: bool = False, limit: int = 100, before: str | None = None
    ) -> list[str]:
        """Return the ids of operations that were begun before one."""
        found = self.persister.operations(unfinished=unfinished, limit=limit, before=before)
        return [operation.id for operation in self.done(found)]

    def on(self, *ids: str, limit: int = 100, before: str | None = None) -> list[str]:
        """Return the ids of operations on an instance or a binding."""
        found = self.done(self.persister.operations_on(*ids, limit=limit, before=before))
        return [operation.id for operation in found]

    def test_operations(self) -> None:
        """Operations can be read from any of them on: those begun before it, the last ones first."""
        self.run_through(values.provision("o1", values.instance()), 1)
        self.run_through(values.bind("o2", values.binding()), 2)
        self.begin(values.unbind("o3"))
        self.begin(values.provision("o4", values.instance("i2", 20002)))
        self.assertEqual(self.operations(before="o4"), ["o3", "o2", "o1"])
        self.assertEqual(self.operations(before="o4", limit=2), ["o3", "o2"])
        self.assertEqual(self.operations(before="o4", unfinished=True), ["o3"])
        self.assertEqual(self.operations(before="o3", unfinished=True), [])
        for before in ("o1", "never"):
            self.assertEqual(self.operations(before=before), [], before)
        self.assertEqual(self.operations(before="o4", limit=0), [])

    def test_operations_on(self) -> None:
        """Those on an instance itself are none on its bindings, which have their own, nor another's."""
        self.run_through(values.provision("o1", values.instance()), 1)
        self.run_through(values.provision("o2", values.instance("i2", 20002)), 2)
        self.run_through(values.bind("o3", values.binding()), 3)
        self.run_through(values.unbind("o4"), 4)
        self.begin(values.deprovision("o5"))
        self.assertEqual(self.on("i1"), ["o5", "o1"])
        self.assertEqual(self.on("i1", limit=1), ["o5"])
        self.assertEqual(self.on("i1", before="o5"), ["o1"])
        self.assertEqual(self.on("i1", "b1"), ["o4", "o3"])
        self.assertEqual(self.on("i1", "b1", limit=1), ["o4"])
        self.assertEqual(self.on("i1", "b1", before="o4"), ["o3"])
        self.assertEqual((self.on("i2"), self.on("i2", "b1"), self.on("i3")), (["o2"], [], []))
        self.assertEqual((self.on("i1", before="never"), self.on("i1", limit=0)), ([], []))

    def test_bindings(self) -> None:
        """Bindings can be read in parts, in the order of the bytes of their ids, as a whole by default."""
        self.provisioned(values.instance())
        self.provisioned(values.instance("i2", 20002))
        ids = sorted(LOOK_ALIKES, key=str.encode)
        for one in LOOK_ALIKES:
            self.bound(evolve(values.binding(), id=one))
        self.bound(values.binding("i2", "b1"))
        found: list[str] = []
        while True:
            after = found[-1] if found else ""
            page = self.done(self.persister.bindings("i1", after=after, limit=2))
            self.assertLessEqual(len(page), 2)
            found += [binding.id for binding in page]
            if not page:
                break
        self.assertEqual(found, ids)
        self.assertEqual([one.id for one in self.done(self.persister.bindings("i1"))], ids)

    def test_port_leases(self) -> None:
        """Leased ports of a host are told in their order, in parts, with whose they are."""
        here, there = values.HERE, values.THERE
        for number in range(4):
            self.provisioned(values.instance(f"i{number}", 20003 - number, host=here))
        self.provisioned(values.instance("elsewhere", 20001, host=there))
        every = {20000: "i3", 20001: "i2", 20002: "i1", 20003: "i0"}

        def leases(host: HostKey, after: int, limit: int) -> list[tuple[int, str]]:
            return list(self.done(self.persister.port_leases(host, after=after, limit=limit)).items())

        self.assertEqual(leases(here, 0, 9), list(every.items()))
        self.assertEqual(leases(here, 0, 2), list(every.items())[:2])
        self.assertEqual(leases(here, 20001, 9), list(every.items())[2:])
        self.assertEqual((leases(there, 0, 9), leases(there, 20001, 9)), ([(20001, "elsewhere")], []))


class OnlyContract(PersisterTestCase):
    """Changes of what is as it was when they were decided on."""

    def test_images(self) -> None:
        """An image is replaced or removed only while it is the expected one, or there is none as expected."""
        other = evolve(STATIC, credentials=Secret({"password": "other"}))
        put, delete = self.persister.put_image, self.persister.delete_image
        self.refused(PreconditionFailed, put(STATIC, only=Only(other)))
        self.assertIs(self.done(put(STATIC, only=Only(None))), True)
        for expected in (None, other, REDIS):
            self.refused(PreconditionFailed, put(other, only=Only(expected)))
            self.refused(PreconditionFailed, delete(STATIC.name, only=Only(expected)))
        self.assertEqual(self.done(self.persister.images()), [STATIC])
        self.assertIs(self.done(put(other, only=Only(STATIC))), False)
        self.assertEqual(self.done(self.persister.images()), [other])
        self.done(delete(STATIC.name, only=Only(other)))
        self.refused(NotFound, delete(STATIC.name, only=Only(other)))
        self.refused(NotFound, delete(STATIC.name, only=Only(None)))

    def test_certificates(self) -> None:
        """So it is with certificates."""
        one, two = certificate("h", "one"), certificate("h", "two")
        put, delete = self.persister.put_certificate, self.persister.delete_certificate
        self.refused(PreconditionFailed, put(one, only=Only(two)))
        self.assertIs(self.done(put(one, only=Only(None))), True)
        for expected in (None, two):
            self.refused(PreconditionFailed, put(two, only=Only(expected)))
            self.refused(PreconditionFailed, delete("h", only=Only(expected)))
        self.assertIs(self.done(put(two, only=Only(one))), False)
        self.assertEqual(self.done(self.persister.certificates()), [two])
        self.done(delete("h", only=Only(two)))
        self.refused(NotFound, delete("h", only=Only(two)))

    def test_races(self) -> None:
        """Of those who decide on the same one at once, one changes it; the others are told."""
        self.done(self.persister.put_image(STATIC))
        self.done(self.persister.put_certificate(certificate("h", "old")))
        persisters = [self.fixture.persister() for _ in range(4)]
        images = [evolve(STATIC, description=str(number)) for number in range(4)]
        certificates = [certificate("h", str(number)) for number in range(4)]
        before = Only(certificate("h", "old"))
        calls = [
            partial(persister.put_image, image, only=Only(STATIC))
            for persister, image in zip(persisters, images, strict=True)
        ]
        self.assert_one(self.fixture.race(calls))
        self.assertIn(self.done(self.persister.images())[0], images)
        others = [
            partial(persister.put_certificate, one, only=before)
            for persister, one in zip(persisters, certificates, strict=True)
        ]
        self.assert_one(self.fixture.race(others))
        self.assertIn(self.done(self.persister.certificate("h")), certificates)

    def assert_one(self, outcomes: list[Any]) -> None:
        """One call has replaced what was there, and the others were refused."""
        refused = [one for one in outcomes if isinstance(one, PreconditionFailed)]
        self.assertEqual((outcomes.count(False), len(refused)), (1, len(outcomes) - 1), outcomes)

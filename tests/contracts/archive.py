"""The suite that every archive passes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import evolve
from zope.interface.verify import verifyObject

from dockerbroker.errors import AlreadyExists, Conflict, LostLease, PortLeased, Unavailable
from dockerbroker.model.instances import Change, Phase
from dockerbroker.persisters.archive import (
    CLOSED,
    COUNTED,
    HELD,
    KEYS,
    Closed,
    HeldLease,
    IArchive,
    Kind,
    Row,
    obstacle,
)
from dockerbroker.persisters.interfaces import DatabaseState
from tests.contracts.archive_case import ArchiveTestCase
from tests.contracts.archive_sealing import SealingContract
from tests.persisters import values
from tests.persisters.archives import Make, everything
from tests.persisters.lives import OWNER, TTL, WITHIN
from tests.pinging import pings

#: The operations of a life that are not over, in the order in which they were begun.
_UNFINISHED = ["making", "changing", "waiting", "halting", "cancelled", "moving"]


class StandingContract(ArchiveTestCase):
    """What is told of a database as a whole."""

    def test_interface(self) -> None:
        """It provides the interface, with the same names and arguments."""
        self.assertTrue(verifyObject(IArchive, self.archive))

    def test_empty(self) -> None:
        """A new database is open, untouched and holds nothing."""
        standing = self.done(self.archive.standing())
        self.assertEqual(standing.identity.cluster_id, self.done(self.persister.cluster_id()))
        self.assertEqual(
            (standing.identity.seeded, standing.closed, standing.moved_to), (False, Closed.NO, "")
        )
        self.assertEqual(standing.counts, dict.fromkeys(COUNTED, 0))
        self.assertEqual((standing.now, standing.leases, standing.is_untouched), (1000, (), True))

    def test_filled(self) -> None:
        """An image alone is a trace; hosts ping by themselves."""
        self.done(self.persister.record_pings(pings([values.host()])))
        self.assertTrue(self.done(self.archive.standing()).is_untouched)
        self.done(self.persister.seed_images([values.REDIS]))
        standing = self.done(self.archive.standing())
        self.assertEqual((standing.is_untouched, standing.identity.seeded), (False, True))
        self.assertEqual(standing.counts[Kind.IMAGE], 1)

    def test_leases(self) -> None:
        """Leases that somebody holds are told with their owners, until they lapse or are given up."""
        self.done(
            self.persister.begin(values.provision("o", values.instance()), owner="one", ttl=5, within=9)
        )
        made = self.done(
            self.persister.begin(values.provision("p", values.instance("i2")), owner="two", ttl=9, within=9)
        )
        self.opened.clock.advance(1)
        held = [
            HeldLease(operation_id="o", owner="one", seconds=4),
            HeldLease(operation_id="p", owner="two", seconds=8),
        ]
        self.assertEqual(self.done(self.archive.standing()).leases, tuple(held))
        self.opened.clock.advance(4)
        self.assertEqual([one.owner for one in self.done(self.archive.standing()).leases], ["two"])
        self.done(self.persister.release(made, delay=100))
        self.assertEqual(self.done(self.archive.standing()).leases, ())


class IdentityContract(ArchiveTestCase):
    """The identity of a database."""

    def test_identify(self) -> None:
        """A database without instances and operations takes another identity, which brokers see at once."""
        self.done(self.persister.put_image(values.REDIS))
        wanted = self.identity(cluster_id="c" * 32, seeded=True, created_at=1700000000.123456)
        self.done(self.archive.identify(wanted))
        self.assertEqual(self.identity(), wanted)
        self.assertEqual(self.done(self.persister.cluster_id()), "c" * 32)
        self.assertIs(self.done(self.persister.seed_images([values.STATIC])), False)

    def test_held(self) -> None:
        """One with an instance or an operation keeps its identity."""
        born = self.identity()
        begun = self.done(
            self.persister.begin(values.provision("o", values.instance()), owner="one", ttl=5, within=9)
        )
        self.refused(Conflict, self.archive.identify(self.identity(cluster_id="c" * 32)))
        over = begun.over(Phase.FAILED, 1.0)
        self.done(self.persister.commit(Change(operation=over, remove_instance=True)))
        self.refused(Conflict, self.archive.identify(self.identity(cluster_id="c" * 32)))
        self.assertEqual(self.identity(), born)


class ClosedContract(ArchiveTestCase):
    """Databases that no broker may use."""

    def test_told(self) -> None:
        """Why it is closed, and where its records are, is told until it is open again."""
        for closed in (Closed.MOVING, Closed.MOVED, Closed.FILLING):
            self.done(self.archive.close(closed, "there \u00fc"))
            standing = self.done(self.archive.standing())
            self.assertEqual((standing.closed, standing.moved_to), (closed, "there \u00fc"))
            state = self.done(self.persister.state())
            self.assertEqual(state.obstacle, obstacle(closed.value, "there \u00fc"))
            self.assertEqual(state.cluster_id, standing.identity.cluster_id)
        self.done(self.archive.close(Closed.NO, ""))
        standing = self.done(self.archive.standing())
        self.assertEqual((standing.closed, standing.moved_to), (Closed.NO, ""))
        state = self.done(self.persister.state())
        self.assertEqual(state, DatabaseState(cluster_id=standing.identity.cluster_id))

    def test_nothing_begins(self) -> None:
        """A broker that still runs on it begins nothing, keeps the catalog, and its platform is told why."""
        self.lead()
        before = self.everything()
        self.done(self.archive.close(Closed.MOVED, "there"))
        after = self.everything()
        for change in (
            values.provision("new", values.instance("new", 25000)),
            values.deprovision("new", "i1"),
            values.bind("new", values.binding("i1", "new")),
            evolve(values.deprovision("new", "making"), supersedes="making"),
        ):
            told = self.refused(Unavailable, self.persister.begin(change, owner="one", ttl=5, within=9))
            self.assertEqual(told, CLOSED)
        self.refused(Unavailable, self.persister.put_image(values.EXISTING))
        self.refused(Unavailable, self.persister.put_image(values.REDIS))
        self.refused(Unavailable, self.persister.delete_image("redis"))
        self.refused(Unavailable, self.persister.put_certificate(values.certificate("new")))
        self.refused(Unavailable, self.persister.put_credential(values.credential("new")))
        self.refused(Unavailable, self.persister.delete_credential("c1"))
        self.refused(Unavailable, self.persister.delete_certificate("10.0.0.2"))
        self.assertEqual(self.everything(), after)
        self.assertEqual(self.lengths(before), self.lengths(after))

    def test_nothing_goes_on(self) -> None:
        """A broker that still runs on it lets no operation go on there, nor takes note of a deletion."""
        self.lead()
        self.done(self.archive.close(Closed.MOVED, "there"))
        before = self.everything()
        for call in (
            *map(self.persister.hasten, _UNFINISHED),
            self.persister.cancel("making"),
            self.persister.entomb("absent", "t"),
        ):
            self.assertEqual(self.refused(Unavailable, call), CLOSED)
        self.assertIsNone(self.done(self.persister.tombstone("absent")))
        self.opened.clock.advance(1e6)
        self.assertEqual(self.done(self.persister.claim("two", ttl=5)), [])
        self.assertEqual(self.everything(), before)

    def test_nobody_carries(self) -> None:
        """Who carried an operation can write no more, and nobody takes it over while that is so."""
        begun = self.done(
            self.persister.begin(values.provision("o", values.instance()), owner="one", ttl=5, within=9)
        )
        self.done(self.archive.close(Closed.MOVING, "there"))
        self.refused(LostLease, self.persister.commit(Change(operation=begun)))
        self.done(self.persister.renew("one", ttl=5))
        self.opened.clock.advance(1e6)
        self.assertEqual(self.done(self.persister.claim("two", ttl=5)), [])
        self.assertEqual(self.done(self.archive.standing()).leases, ())

    def test_opened(self) -> None:
        """When it is open again, operations that are not over can be taken over at once."""
        self.lead()
        self.done(self.archive.close(Closed.MOVING, "there"))
        self.done(self.archive.close(Closed.MOVED, "there"))
        self.done(self.archive.close(Closed.NO, ""))
        claimed = self.done(self.persister.claim("two", ttl=5))
        self.assertEqual(sorted(one.id for one in claimed), sorted(_UNFINISHED))
        # Once more by whoever has claimed them; closing it twice is closing it.
        self.assertEqual({one.epoch for one in claimed}, {3})

    def test_mover(self) -> None:
        """Of two runs one has it until it lets go of it; the others change nothing."""
        born, close = self.identity(), self.archive.close
        self.done(close(Closed.FILLING, "", mover="one"))
        self.assertEqual(self.done(self.archive.standing()).mover, "one")
        # The answer to the first time may have been lost.
        self.done(close(Closed.FILLING, "", mover="one"))
        self.assertEqual(self.refused(Conflict, close(Closed.FILLING, "", mover="two")), HELD)
        self.done(close(Closed.FILLING, "", mover="two", former="one"))
        for mover in ("one", ""):
            for call in (
                close(Closed.NO, "", former=mover),
                self.archive.erase(mover=mover),
                self.archive.write(Kind.CONDITION, [], mover=mover),
                self.archive.identify(born, mover=mover),
            ):
                self.assertEqual(self.refused(Conflict, call), HELD)
        self.done(self.archive.erase(mover="two"))
        self.done(self.archive.identify(born, mover="two"))
        self.done(close(Closed.NO, "", former="two"))
        self.done(close(Closed.NO, "", former="two"))
        standing = self.done(self.archive.standing())
        self.assertEqual((standing.closed, standing.mover), (Closed.NO, ""))

    def test_open(self) -> None:
        """To open what is open changes nothing."""
        self.lead()
        before = self.everything()
        self.done(self.archive.close(Closed.NO, ""))
        self.assertEqual(self.everything(), before)


class PagesContract(ArchiveTestCase):
    """Reading."""

    def test_whole(self) -> None:
        """Every record is read, with every column, as by the archive in memory."""
        self.lead()
        found, wanted = self.everything(), self.done(everything(self.in_memory().archive))
        for kind in set(Kind) - {Kind.AUDIT}:
            self.assertEqual(found[kind], wanted[kind], kind)
        # Records tell when they were written.
        self.assertEqual(_told(found[Kind.AUDIT]), _told(wanted[Kind.AUDIT]))
        self.assert_counted(found)
        self.assertTrue(all(found.values()))

    def test_pages(self) -> None:
        """Pages of any size have the same records in the same order, each once."""
        self.lead()
        for kind, rows in self.everything().items():
            for limit in (1, 2, 7, len(rows)):
                found: list[object] = []
                last = None
                while page := self.done(self.archive.page(kind, last, limit)):
                    self.assertLessEqual(len(page), limit)
                    found += page
                    # Only the key counts.
                    last = {name: page[-1][name] for name in KEYS[kind]}
                self.assertEqual(found, rows, (kind, limit))

    def test_operations(self) -> None:
        """Operations come in the order in which they were begun; the last one of each instance is kept."""
        self.lead()
        rows = self.everything()[Kind.OPERATION]
        history = self.done(self.persister.operations(unfinished=False, limit=1000))
        self.assertEqual([row["id"] for row in rows], [one.id for one in reversed(history)])
        kept = {row["id"]: row["kept_for"] for row in rows}
        self.assertEqual((kept["made gone"], kept["removed"], kept["failed"]), ("gone", None, None))
        self.assertEqual((kept["bound i1 b1"], kept["made i1"], kept["halted"]), (None, "i1", None))


class WritingContract(ArchiveTestCase):
    """Writing."""

    def test_round_trip(self) -> None:
        """What was written is read again, exactly, be it ever so long."""
        rows = self.done(everything(self.in_memory().archive))
        self.fill(rows)
        opened = {kind: [dict(row) for row in some] for kind, some in rows.items()}
        for kind, some in opened.items():
            self.assertEqual(self.everything()[kind], some, kind)

    def test_live(self) -> None:
        """A broker goes on with what was written as with what it has written itself."""
        there = self.in_memory()
        self.done(there.archive.close(Closed.MOVING, ""))
        self.fill(self.done(everything(there.archive)))
        self.done(there.archive.close(Closed.NO, ""))
        one, other = self.persister, there.persister
        self.assertEqual(self.done(one.images()), self.done(other.images()))
        self.assertEqual(self.done(one.conditions()), self.done(other.conditions()))
        found = self.done(one.instances("", 1000))
        self.assertEqual(found, self.done(other.instances("", 1000)))
        for instance in found:
            self.assertEqual(self.done(one.bindings(instance.id)), self.done(other.bindings(instance.id)))
            last = self.done(one.last_operation(instance.id))
            self.assertEqual(last, self.done(other.last_operation(instance.id)))
        for host in (values.HERE, values.THERE):
            self.assertEqual(self.done(one.leased_ports(host)), self.done(other.leased_ports(host)))
        self.assertEqual([report.is_heard for report in self.done(one.hosts())], [False, False])
        unfinished = self.done(one.operations(unfinished=True, limit=10))
        self.assertEqual([operation.id for operation in unfinished], _UNFINISHED[::-1])
        claimed = self.done(one.claim("new", ttl=TTL))
        self.assertEqual(sorted(operation.id for operation in claimed), sorted(_UNFINISHED))
        self.assertEqual({operation.owner for operation in claimed}, {"new"})

    def test_goes_on(self) -> None:
        """Ports stay leased, ids stay taken, the order goes on, and what is kept is not forgotten."""
        self.fill(self.done(everything(self.in_memory().archive)))
        begin = self.persister.begin
        taken = values.provision("p", values.instance("new", 20001))
        self.refused(PortLeased, begin(taken, owner=OWNER, ttl=TTL, within=WITHIN))
        again = values.provision("p", values.instance("i1", 25001))
        self.refused(AlreadyExists, begin(again, owner=OWNER, ttl=TTL, within=WITHIN))
        same = values.provision("made i1", values.instance("new", 25001))
        self.refused(AlreadyExists, begin(same, owner=OWNER, ttl=TTL, within=WITHIN))
        self.refused(Conflict, self.persister.delete_image("redis"))
        removal = values.deprovision("p", "i1")
        begun = self.done(begin(removal, owner=OWNER, ttl=TTL, within=WITHIN))
        latest = self.done(self.persister.operations(unfinished=False, limit=1))
        self.assertEqual([one.id for one in latest], ["p"])
        over = begun.over(Phase.SUCCEEDED, 1e9)
        self.done(self.persister.commit(Change(operation=over, remove_instance=True)))
        self.assertEqual(self.done(self.persister.bindings("i1")), [])
        self.assertNotIn("i1", self.done(self.persister.conditions()))
        self.assertNotIn(20001, self.done(self.persister.leased_ports(values.HERE)))
        self.done(self.persister.forget(2e9, 1000))
        left = {row["id"]: row["kept_for"] for row in self.everything()[Kind.OPERATION]}
        self.assertEqual(left["made gone"], "gone")
        self.assertFalse({"p", "made i1", "removed", "halted", "bound i1 b1"} & left.keys())

    def test_twice(self) -> None:
        """The same records once more change nothing: the reply to the first time may have been lost."""
        rows = self.done(everything(self.in_memory().archive))
        self.done(self.archive.close(Closed.FILLING, ""))
        for kind, some in rows.items():
            self.done(self.archive.write(kind, some))
            self.done(self.archive.write(kind, some))
        self.done(self.archive.close(Closed.NO, ""))
        self.assertEqual(self.everything(), rows)

    def test_erase(self) -> None:
        """What is erased is as if it had never been, but for the identity."""
        self.lead()
        born = self.identity()
        self.done(self.archive.close(Closed.FILLING, ""))
        self.done(self.archive.erase())
        self.done(self.archive.close(Closed.NO, ""))
        standing = self.done(self.archive.standing())
        self.assertEqual((standing.identity, standing.counts), (born, dict.fromkeys(COUNTED, 0)))
        self.assertFalse(any(self.everything().values()))
        self.lead()
        self.assert_counted(self.everything())
        self.assertEqual(self.done(self.persister.forget(1e9, 1000)) > 0, True)

    def test_only_while_filled(self) -> None:
        """A database that brokers may use, or that is being moved, is neither erased nor written."""
        self.lead()
        row = self.everything()[Kind.IMAGE][0]
        for closed in (Closed.NO, Closed.MOVING, Closed.MOVED):
            self.done(self.archive.close(closed, ""))
            before = self.everything()
            self.refused(Conflict, self.archive.erase())
            self.refused(Conflict, self.archive.write(Kind.IMAGE, [{**row, "name": "new"}]))
            self.assertEqual(self.everything(), before)


CONTRACTS: tuple[type[ArchiveTestCase], ...] = (
    StandingContract,
    IdentityContract,
    ClosedContract,
    PagesContract,
    WritingContract,
    SealingContract,
)


def cases_for(module: str, driver: str, make: Make) -> dict[str, type[ArchiveTestCase]]:
    """Return a test case for each contract, by its name: what the module adds to its own names."""
    cases: dict[str, type[ArchiveTestCase]] = {}
    for kind in CONTRACTS:
        name = f"{driver}{kind.__name__.removesuffix('Contract')}Tests"
        members = {"make": staticmethod(make), "__module__": module, "__doc__": kind.__doc__}
        cases[name] = type(name, (kind,), members)
    return cases


def _told(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    documents = [json.loads(row["document"]) for row in rows]
    return [(one["action"], one["subject"], one["result"]) for one in documents]

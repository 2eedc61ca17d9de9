"""All records of a deployment are moved to another database, or nothing has happened."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from dockerbroker.command.moving import pages
from dockerbroker.errors import Conflict, Unavailable
from dockerbroker.model.instances import Change, Phase
from dockerbroker.persisters.archive import CLOSED, Closed, Kind
from tests.command.case import LineCase
from tests.command.moving import SOURCE_TIME, TARGET_TIME, MoveCase
from tests.persisters import values
from tests.persisters.archives import memory
from tests.persisters.lives import WITHIN
from tests.pinging import pings
from tests.stack import bind_body, binding_path


class MoveTests(MoveCase):
    """A move that comes to its end."""

    def test_everything(self) -> None:
        """Everything is in the target, and a line for each kind tells how much that is."""
        self.assertEqual(self.move(), 0)
        self.assert_moved()
        lines = [line.split("\t") for line in self.output.splitlines()]
        rows = self.rows(self.source)
        self.assertEqual(lines, [[kind.value, str(len(rows[kind]))] for kind in Kind])

    def test_clocks(self) -> None:
        """Deadlines keep what was left, leases have lapsed, and no host was heard, by the target's clock."""
        begun = self.done(self.source.persister.operation("making"))
        assert begun is not None
        left = begun.deadline - self.source.clock.seconds()
        self.assertLess(left, WITHIN)
        self.move()
        claimed = {one.id: one for one in self.done(self.target.persister.claim("new", ttl=15))}
        self.assertEqual(claimed["making"].deadline - TARGET_TIME, left)
        self.assertGreater(begun.deadline, SOURCE_TIME)
        self.assertEqual({report.is_heard for report in self.done(self.target.persister.hosts())}, {False})

    def test_source(self) -> None:
        """A broker that still runs on the source begins nothing and carries nothing any more."""
        self.move()
        begin = self.source.persister.begin(values.deprovision("o", "i1"), owner="o", ttl=1, within=1)
        error = self.failureResultOf(Deferred.fromCoroutine(begin), Unavailable).value
        self.assertEqual(str(error), CLOSED)
        self.source.clock.advance(1e6)
        self.assertEqual(self.done(self.source.persister.claim("old", ttl=1)), [])

    def test_cluster(self) -> None:
        """The deployment stays the one that containers are labelled with, not the target's."""
        born = self.done(self.source.persister.cluster_id())
        self.assertNotEqual(self.done(self.target.persister.cluster_id()), born)
        self.move()
        self.assertEqual(self.done(self.target.persister.cluster_id()), born)
        self.assertIs(self.done(self.target.persister.seed_images([values.EXISTING])), False)

    def test_empty(self) -> None:
        """A deployment that has nothing yet is moved as well."""
        self.prepare()
        self.assertEqual(self.move(), 0)
        self.assert_moved()

    def test_pinged_target(self) -> None:
        """Hosts that have pinged a broker on the target are no obstacle, and are not kept."""
        key = evolve(values.HERE, service_host="10.0.0.3")
        self.done(self.target.persister.record_pings(pings([values.host(key)])))
        self.assertEqual(self.move(), 0)
        self.assert_moved()

    def test_back(self) -> None:
        """What was moved can be moved on, to an empty database."""
        self.move()
        self.source, self.target = self.target, memory(self, "third")
        self.assertEqual(self.move(), 0)
        self.assert_moved()

    def test_pages(self) -> None:
        """Records are read a few at a time, and one by one where they are large."""
        sizes = []

        async def read() -> None:
            async for page in pages(self.source.archive, Kind.INSTANCE):
                texts = (text for row in page for text in row.values() if isinstance(text, str))
                sizes.append((len(page), sum(map(len, texts))))

        self.done(read())
        self.assertGreater(len(sizes), 1)
        self.assertLessEqual(max(rows for rows, _ in sizes), 200)
        count = self.done(self.source.archive.standing()).counts[Kind.INSTANCE]
        self.assertEqual(sum(rows for rows, _ in sizes), count)
        # After the first large record pages are small.
        large = next(index for index, (_, length) in enumerate(sizes) if length > 1 << 20)
        self.assertTrue(all(rows <= 16 for rows, _ in sizes[large + 1 : large + 2]))


class RefusalTests(MoveCase):
    """What cannot be moved, or not there; nothing is changed then."""

    def refused(self, **arguments: Any) -> str:
        """Check that moving is refused and changes nothing; returns what is said."""
        before = [self.rows(one) for one in (self.source, self.target)]
        closed = [self.done(one.archive.standing()).closed for one in (self.source, self.target)]
        told = self.told(Conflict, **arguments)
        self.assertEqual([self.rows(one) for one in (self.source, self.target)], before)
        after = [self.done(one.archive.standing()).closed for one in (self.source, self.target)]
        self.assertEqual(after, closed)
        return told

    def test_itself(self) -> None:
        """A database is not moved to itself, be it empty or not."""
        self.target = self.source
        self.assertIn("is the source itself", self.refused())
        self.prepare()
        self.target = self.source
        self.assertIn("is the source itself", self.refused())

    def test_held(self) -> None:
        """A target that holds an image, or an operation, is refused: it may be another deployment's."""
        self.done(self.target.persister.put_image(values.REDIS))
        self.assertIn("holds 1 images", self.refused())
        self.done(self.target.persister.delete_image("redis"))
        begun = self.target.persister.begin(
            values.provision("o", values.instance()), owner="o", ttl=1, within=1
        )
        over = self.done(begun).over(Phase.FAILED, 1.0)
        self.done(self.target.persister.commit(Change(operation=over, remove_instance=True)))
        self.assertIn("holds 1 operations", self.refused())

    def test_busy(self) -> None:
        """While leases are held the operator is asked to stop brokers, or to wait; with force nobody is."""
        begin = self.source.persister.begin(values.deprovision("o", "i1"), owner="one", ttl=12, within=99)
        begun = self.done(begin)
        told = self.refused()
        self.assertIn("one is at work on the operation o", told)
        self.assertIn("wait 12 s", told)
        self.assertEqual(self.move(forced=True), 0)
        self.assert_moved()
        late = self.source.persister.commit(Change(operation=begun.over(Phase.SUCCEEDED, 1.0)))
        self.failureResultOf(Deferred.fromCoroutine(late))
        claimed = [one.id for one in self.done(self.target.persister.claim("two", ttl=15))]
        self.assertIn("o", claimed)

    def test_busy_no_more(self) -> None:
        """Leases that have lapsed, or were given up, are no obstacle."""
        begin = self.source.persister.begin(values.deprovision("o", "i1"), owner="one", ttl=12, within=99)
        self.done(self.source.persister.release(self.done(begin), delay=100))
        self.assertEqual(self.move(), 0)

    def test_moved(self) -> None:
        """What was moved is moved no second time, and nothing is moved to it."""
        self.move()
        third = memory(self, "third")
        first, second = self.source, self.target
        self.source, self.target = first, third
        self.assertIn("moved to there already", self.refused())
        self.source, self.target = third, first
        self.assertIn("itself moved", self.refused())
        self.source, self.target = first, second
        self.assertIn("holds it already", self.refused())

    def test_half_filled(self) -> None:
        """A database that was filled by half is not moved on."""
        self.done(self.source.archive.close(Closed.FILLING, ""))
        self.assertIn("not filled to the end", self.refused())


class CommandTests(LineCase):
    """`migrate-state`, on a broker in memory."""

    def test_moves(self) -> None:
        """The records are moved from the first file's database to the second's, and that is told."""
        result = self.said("migrate-state", "one.config", "other.config")
        self.assert_said(result, 0, "All is the same in there: name it in every broker's configuration now.")
        self.assertIn("instances\t1\n", result.stdout)
        self.assertEqual([str(path) for path in self.asked], ["one.config", "other.config"])
        self.assertEqual(list(self.opener.target.tables.instances), ["i-1"])

    def test_platform(self) -> None:
        """A platform learns from a broker that was not stopped that its database was moved."""
        self.said("migrate-state", "one.config", "other.config")
        answer = self.stack.request("PUT", binding_path("i-1", "b-1"), bind_body())
        self.assertEqual((answer.status, answer.json["description"]), (503, CLOSED))

    def test_refused(self) -> None:
        """What stands in the way is one sentence, and the status is 1."""
        self.said("migrate-state", "one.config", "other.config")
        told = self.one_line(self.said("migrate-state", "one.config", "other.config"), 1)
        self.assertIn("holds it already", told)

"""Brokers that share a file see which of them have ended."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Unavailable
from dockerbroker.model.instances import Operation
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.presence import Presence, folder_beside
from tests.persisters import values
from tests.persisters.files import SqliteFixture, temporary_folder

#: Longer than any test.
LONG = 1e6


class PresenceTests(SynchronousTestCase):
    """The files of the brokers."""

    def setUp(self) -> None:
        """Name a folder that does not exist."""
        self.folder = folder_beside(temporary_folder(self) / "broker.db")

    def begin(self, broker: str) -> Presence:
        """Return the presence of a broker that runs."""
        presence = Presence(self.folder)
        presence.begin(broker)
        self.addCleanup(presence.end)
        return presence

    def ended(self) -> list[str]:
        """Return which brokers have ended, as a broker sees it that looks once and forgets them."""
        with Presence(self.folder).ended() as names:
            return names

    def files(self) -> list[str]:
        """Return the names of the files."""
        return sorted(path.name for path in self.folder.iterdir())

    def test_running(self) -> None:
        """A broker that runs is not one that has ended, neither to itself nor to others."""
        one = self.begin("one")
        two = self.begin("two")
        for presence in (one, two, Presence(self.folder)):
            with presence.ended() as names:
                self.assertEqual(names, [])
        self.assertEqual(self.files(), ["one.lock", "two.lock"])

    def test_ended(self) -> None:
        """A broker that has ended is told of once, and its file is removed."""
        one = self.begin("one")
        self.begin("two")
        one.end()
        one.end()
        self.assertEqual(self.ended(), ["one"])
        self.assertEqual(self.files(), ["two.lock"])
        self.assertEqual(self.ended(), [])

    def test_failure(self) -> None:
        """When its leases could not be ended it is told of again."""
        self.begin("one").end()

        def fail() -> None:
            with Presence(self.folder).ended() as names:
                self.assertEqual(names, ["one"])
                raise Unavailable("The database is gone.")

        self.assertRaises(Unavailable, fail)
        self.assertEqual(self.ended(), ["one"])

    def test_one_at_a_time(self) -> None:
        """While one broker ends the leases of another that has ended, no third one does."""
        self.begin("one").end()
        with Presence(self.folder).ended() as names:
            self.assertEqual(names, ["one"])
            self.assertEqual(self.ended(), [])

    def test_names(self) -> None:
        """Any name can be a broker's, whatever a file may be called."""
        names = {"a/../../b", "..", "ümlaut \n%41", "host.example-12-c0ffee", "\\ :*?"}
        for name in names:
            self.begin(name).end()
        self.assertEqual({path.parent for path in self.folder.parent.rglob("*.lock")}, {self.folder})
        self.assertEqual(set(self.ended()), names)

    def test_long_name(self) -> None:
        """A broker whose name is too long for a file goes on without one."""
        self.begin("x" * 300)
        self.assertEqual(self.files(), [])

    def test_private(self) -> None:
        """Nobody else can hold the locks."""
        self.begin("one")
        self.assertEqual(self.folder.stat().st_mode & 0o777, 0o700)
        self.assertEqual((self.folder / "one.lock").stat().st_mode & 0o777, 0o600)

    def test_no_folder(self) -> None:
        """Without a folder no broker is known to have ended."""
        self.assertEqual(self.ended(), [])
        self.assertFalse(self.folder.exists())

    def test_unusable_folder(self) -> None:
        """A broker that cannot make its file goes on without, and so do those that look."""
        self.folder.write_text("in the way")
        presence = self.begin("one")
        self.assertEqual(self.ended(), [])
        presence.end()

    def test_other_files(self) -> None:
        """Files that are no broker's stay where they are."""
        self.begin("one").end()
        (self.folder / "README").write_text("mine")
        (self.folder / "folder.lock").mkdir()
        self.assertEqual(self.ended(), ["one"])
        self.assertEqual(self.files(), ["README", "folder.lock"])

    def test_starting_while_others_look(self) -> None:
        """A broker whose new file was taken for one of the dead makes another, and has its lock."""
        stop = threading.Event()

        def look() -> None:
            while not stop.is_set():
                self.ended()

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(300):
                self.begin(str(number))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(len(self.files()), 300)
        self.assertEqual(self.ended(), [])


class ClaimTests(SynchronousTestCase):
    """What a persister takes over from brokers that have ended."""

    def setUp(self) -> None:
        """Let the broker `one` carry an operation, on a clock that stands still."""
        self.fixture = SqliteFixture.of(self)
        self.one = self.fixture.persister(broker="one")
        self.two = self.fixture.persister(broker="two")
        self.begun = self.begin(self.one, "o1", "one/1")

    def begin(self, persister: IPersister, operation_id: str, owner: str) -> Operation:
        """Begin an operation with a long lease."""
        change = values.provision(operation_id, values.instance(f"i {operation_id}"))
        begun = Deferred.fromCoroutine(persister.begin(change, owner=owner, ttl=LONG, within=LONG))
        return self.successResultOf(begun)

    def claim(self, persister: IPersister, owner: str = "two/1") -> list[Operation]:
        """Return what is claimed."""
        claimed = self.successResultOf(Deferred.fromCoroutine(persister.claim(owner, ttl=LONG)))
        return sorted(claimed, key=lambda operation: operation.id)

    def test_running(self) -> None:
        """From a broker that runs nothing is taken before its leases lapse."""
        self.assertEqual(self.claim(self.two), [])
        self.assertEqual(self.claim(self.one, "one/2"), [])
        self.fixture.clock.advance(LONG)
        self.assertEqual(len(self.claim(self.two)), 1)

    def test_ended(self) -> None:
        """What a broker held under any of its names is taken over when it has ended, and only that."""
        second = self.begin(self.one, "o2", "one/23")
        for number, owner in enumerate(("one", "one.", "one0", "on", "one2/1", "One/1", "two/1")):
            self.begin(self.two, f"other{number}", owner)
        self.one.database.close()
        taken = [evolve(held, owner="two/1", epoch=2) for held in (self.begun, second)]
        self.assertEqual(self.claim(self.two), taken)
        self.assertEqual(self.claim(self.two), [])

    def test_by_a_new_broker(self) -> None:
        """A broker that starts takes it over, though nobody else was there."""
        self.fixture.close()
        self.assertEqual(len(self.claim(self.fixture.persister(broker="three"), "three/1")), 1)

    def test_waiting(self) -> None:
        """What waits to be tried again was held by nobody, and goes on waiting."""
        self.successResultOf(Deferred.fromCoroutine(self.one.release(self.begun, delay=5)))
        self.one.database.close()
        self.assertEqual(self.claim(self.two), [])
        self.fixture.clock.advance(5)
        self.assertEqual(len(self.claim(self.two)), 1)

    def test_taken_over_before(self) -> None:
        """What another broker had taken over from it before stays with that one."""
        self.fixture.clock.advance(LONG)
        [taken] = self.claim(self.two)
        self.one.database.close()
        self.assertEqual(self.claim(self.fixture.persister(broker="three"), "three/1"), [])
        found = Deferred.fromCoroutine(self.two.operation("o1"))
        self.assertEqual(self.successResultOf(found), taken)

    def test_database_fails(self) -> None:
        """When the claim fails nothing is lost: the next one takes it over."""
        self.one.database.close()
        moved = self.fixture.path.rename(self.fixture.path.with_name("moved.db"))
        self.failureResultOf(Deferred.fromCoroutine(self.two.claim("two/1", ttl=LONG)), Unavailable)
        moved.rename(self.fixture.path)
        self.assertEqual(len(self.claim(self.two)), 1)

    def test_race(self) -> None:
        """Of eight brokers that claim at once one takes each operation over."""
        others = [self.begin(self.one, f"o{number}", f"one/{number}") for number in range(2, 10)]
        claimants = [self.fixture.persister(broker=f"claimant{number}") for number in range(8)]
        self.one.database.close()
        calls = [
            partial(persister.claim, f"claimant{number}/1", ttl=LONG)
            for number, persister in enumerate(claimants)
        ]
        claimed = [operation for outcome in self.fixture.race(calls) for operation in outcome]
        self.assertEqual(sorted(o.id for o in claimed), sorted(o.id for o in [self.begun, *others]))
        self.assertEqual({operation.epoch for operation in claimed}, {2})


class FolderTests(SynchronousTestCase):
    """Where the files are."""

    def test_beside(self) -> None:
        """They are in a folder beside the database that is called after it."""
        self.assertEqual(folder_beside(Path("/var/lib/x/broker.db")), Path("/var/lib/x/broker.db.brokers"))

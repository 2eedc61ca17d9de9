"""What keeps a database from being used is one sentence before the broker starts, and it is then used."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters.presence import folder_beside
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite_opening import check_file, open_file
from tests.persisters import values
from tests.persisters.files import mount_memory, open_here, temporary_folder
from tests.pinging import pings


class CheckTests(SynchronousTestCase):
    """The check before the start."""

    def setUp(self) -> None:
        """Name a file."""
        self.folder = temporary_folder(self)
        self.path = self.folder / "broker.db"

    def refused(self) -> str:
        """Check that the database is refused in one sentence; returns it."""
        error = self.assertRaises(InvalidConfiguration, check_file, self.path)
        self.assertRegex(error.description, r"\Apersister\.database: [^\n]+\.\Z")
        return str(error.description)

    def test_makes(self) -> None:
        """An absent database is made, readable for its owner alone, log and all."""
        check_file(self.path)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE deployment SET seeded = 1")
            connection.commit()
            modes = {stat.S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}
        self.assertEqual(modes, {0o600})

    def test_any_name(self) -> None:
        """Characters that mean something in a URL are part of the file's name."""
        for name in ("a b.db", "100%41.db", "what?mode=ro", "#1.db", "\u00fc.db"):
            check_file(self.folder / name)
        made = {path.name for path in self.folder.iterdir()}
        self.assertEqual(made, {"a b.db", "100%41.db", "what?mode=ro", "#1.db", "\u00fc.db"})

    def test_again(self) -> None:
        """A database that is there already is kept."""
        check_file(self.path)
        persister = open_here(self.path, float)
        self.addCleanup(persister.database.close)
        self.successResultOf(ensureDeferred(persister.put_image(values.REDIS)))
        check_file(self.path)
        self.assertEqual(self.successResultOf(ensureDeferred(persister.images())), [values.REDIS])

    def test_leaves_nothing(self) -> None:
        """Neither a thread nor an open file survives the check, so that the process can fork."""
        threads = threading.enumerate()
        check_file(self.path)
        self.assertEqual(threading.enumerate(), threads)
        files = {path.resolve() for path in Path("/proc/self/fd").iterdir()}
        self.assertEqual([path for path in files if self.folder in path.parents], [])

    def test_no_folder(self) -> None:
        """A folder that does not exist is named."""
        self.path = self.folder / "absent" / "broker.db"
        self.assertIn(f"the folder {self.folder}/absent does not exist; create it", self.refused())

    def test_folder(self) -> None:
        """A folder is not a file."""
        self.path.mkdir()
        self.assertIn(f"{self.path} is a folder", self.refused())

    def test_not_a_database(self) -> None:
        """A file that is something else is named, and left alone."""
        for content in (b"{}", b"not a database\n" * 1000):
            self.path.write_bytes(content)
            self.assertIn(f"the file {self.path} is not an SQLite database", self.refused())
            self.assertEqual(self.path.read_bytes(), content)

    def test_newer(self) -> None:
        """A database of a newer version is refused with its name."""
        check_file(self.path)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
        sentence = self.refused()
        self.assertIn(str(self.path), sentence)
        self.assertIn("newer version", sentence)

    def test_unwritable_folder(self) -> None:
        """A folder that the process may not write is named, whether or not it holds the database."""
        self.as_nobody(0o555, lambda: self.assertIn("is not writable", self.refused()))
        check_file(self.path)
        self.as_nobody(0o555, lambda: self.assertIn("is not writable", self.refused()))

    def test_unwritable_file(self) -> None:
        """A file that the process may not write is named."""
        check_file(self.path)
        self.path.chmod(0o444)
        self.as_nobody(0o777, lambda: self.assertIn(f"the file {self.path} is read-only", self.refused()))
        self.path.chmod(0o000)
        self.as_nobody(0o777, lambda: self.assertIn(f"the file {self.path} cannot be opened", self.refused()))

    def as_nobody(self, mode: int, call: Callable[[], object]) -> None:
        """Make the call without root's rights, with that mode of the folder."""
        self.folder.chmod(mode)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            call()
        finally:
            os.seteuid(user)
            self.folder.chmod(0o700)

    def test_read_only_file_system(self) -> None:
        """A file system that is mounted read-only is told of."""
        mounted = mount_memory(self, self.folder / "mounted")
        self.path = mounted.path / "broker.db"
        check_file(self.path)
        mounted.remount("ro")
        self.assertIn("is not writable", self.refused())
        mounted.remount("rw")
        check_file(self.path)

    def test_full(self) -> None:
        """A full file system is told of, also when the database is there already."""
        mounted = mount_memory(self, self.folder / "mounted")
        self.path = mounted.path / "broker.db"
        mounted.fill()
        self.assertIn("no room left", self.refused())
        mounted.empty()
        check_file(self.path)
        mounted.fill()
        self.refused()
        mounted.empty()
        check_file(self.path)


class OpenTests(TestCase):
    """A persister in the threads of a pool."""

    def setUp(self) -> None:
        """Make a database and a pool."""
        self.path = temporary_folder(self) / "broker.db"
        check_file(self.path)
        self.names: list[str] = []
        self.pool = ThreadPool(0, 3, name="persister")
        self.pool.start()
        self.addCleanup(self.pool.stop)

    async def open(self, path: Path | None = None) -> SqlPersister:
        """Open a persister that is closed at the end."""
        self.names.append(f"broker-{len(self.names)}")
        persister = await open_file(self.used_reactor(), path or self.path, self.pool, broker=self.names[-1])
        self.addCleanup(lambda: ensureDeferred(persister.close()))
        return persister

    def used_reactor(self) -> Any:
        """Return the reactor, whose interfaces a module cannot declare."""
        return reactor

    async def test_in_threads(self) -> None:
        """Calls are made in the pool's threads, many at once, and the writes all come to pass."""
        persister = await self.open()
        calls = [
            ensureDeferred(
                persister.begin(
                    values.provision(f"o{n}", values.instance(f"i{n}", 20000 + n)),
                    owner="o",
                    ttl=9,
                    within=60,
                )
            )
            for n in range(40)
        ]
        reads = [ensureDeferred(persister.leased_ports(values.HERE)) for _ in range(40)]
        self.assertEqual([success for success, _ in await DeferredList(calls)], [True] * 40)
        self.assertEqual([success for success, _ in await DeferredList(reads)], [True] * 40)
        self.assertEqual(await persister.leased_ports(values.HERE), set(range(20000, 20040)))
        self.assertLessEqual(len(self.pool.threads), 3)

    async def test_waiting_writes_hold_no_thread(self) -> None:
        """While writes wait for another process, reads are answered."""
        persister = await self.open()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writes = [ensureDeferred(persister.put_image(values.REDIS)) for _ in range(10)]
            self.assertEqual(await persister.images(), [])
            self.assertEqual([write.called for write in writes], [False] * 10)
            other.execute("ROLLBACK")
        outcomes = await DeferredList(writes)
        self.assertEqual(sorted(outcomes), [(True, False)] * 9 + [(True, True)])

    async def test_cancelled(self) -> None:
        """A call that is cancelled does not keep the following ones from their turn."""
        persister = await self.open()
        waiting = [ensureDeferred(persister.put_image(values.REDIS)) for _ in range(3)]
        for call in waiting[:2]:
            call.addErrback(lambda _: None)
            call.cancel()
        await waiting[2]
        self.assertEqual(await persister.images(), [values.REDIS])

    async def test_clock(self) -> None:
        """Ages are those of a clock that all processes of the machine share."""
        persister, other = await self.open(), await self.open()
        await persister.record_pings(pings([values.host()]))
        [report] = await other.hosts()
        self.assertTrue(report.is_heard, report.age)

    async def test_presence(self) -> None:
        """A broker that opens the file is seen by others until it closes it."""
        first, second = await self.open(), await self.open()
        begun = await first.begin(
            values.provision("o1", values.instance()), owner=f"{self.names[0]}/1", ttl=1e6, within=60
        )
        self.assertEqual(await second.claim(f"{self.names[1]}/1", ttl=9), [])
        await first.close()
        [claimed] = await second.claim(f"{self.names[1]}/1", ttl=9)
        self.assertEqual((claimed.id, claimed.epoch), (begun.id, 2))
        self.assertEqual([path.stem for path in folder_beside(self.path).iterdir()], self.names[1:])

"""A database is opened by those alone who have the keys to its secrets, whatever its kind."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import LogLevel, capturedLogs
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dockerbroker.config.persister import PersisterConfiguration, SqliteConfiguration
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.instances import Change, Phase
from dockerbroker.persisters.archive import Kind, Resealed
from dockerbroker.persisters.opening import archive_of, check, open_persister
from dockerbroker.persisters.redis.opening import at_once, open_blocking
from dockerbroker.persisters.sealing import Sealing, read_sealing
from dockerbroker.persisters.vault import SECRET_KINDS, label_of, place_of
from tests.persisters import values
from tests.persisters.archives import whole_of
from tests.persisters.files import open_here, temporary_folder
from tests.persisters.server_fixture import open_here as open_on_server
from tests.servers import server
from tests.vaults import key_source, sealing_vault

reactor: Any = _reactor


class KeyOpeningTests(SynchronousTestCase):
    """What is refused before a broker starts."""

    def opened(self, configuration: PersisterConfiguration) -> tuple[Any, Any]:
        """Return a persister without keys and the whole of the database, whose calls are made at once."""
        if isinstance(configuration, SqliteConfiguration):
            persister: Any = open_here(configuration.database, float)
        elif configuration.driver == "redis":
            persister = at_once(open_blocking(configuration, closed=True))
            self.addCleanup(lambda: at_once(persister.close()))
            return persister, archive_of(persister)
        else:
            persister = open_on_server(configuration)
        self.addCleanup(persister.database.close)
        return persister, whole_of(persister)

    def done(self, call: Any) -> Any:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def sealing(self, archive: Any) -> Sealing:
        """Return what the database says of its keys."""
        return read_sealing(self.done(archive.standing()).identity.sealing)

    def refused(self, configuration: PersisterConfiguration) -> str:
        """Return the one sentence by which the database is refused; it may be looked at all the same."""
        error = self.assertRaises(InvalidConfiguration, check, configuration)
        self.assertRegex(error.description, r"\Akeys: [^\n]+\.\Z")
        check(configuration, closed=True)
        return str(error.description)

    def keys(self, configuration: PersisterConfiguration) -> None:
        """Make a database with keys, and look at it with others."""
        with_keys = evolve(configuration, keys=key_source("one", "two"))
        check(with_keys)
        persister, archive = self.opened(configuration)
        self.assertEqual((self.sealing(archive).primary, self.sealing(archive).is_settled), ("two", True))
        check(with_keys)
        check(evolve(configuration, keys=key_source("two", "three")))
        self.assertEqual(set(self.sealing(archive).canaries), {"two"})
        self.assertIn("needs the key two", self.refused(configuration))
        self.assertIn("needs the key two", self.refused(evolve(configuration, keys=key_source("one"))))
        self.assertIn("the key two", str(self.done(persister.state()).locked))

    def plain(self, configuration: PersisterConfiguration) -> None:
        """A database with secrets and without keys goes on as it is, also with keys."""
        check(configuration)
        persister, archive = self.opened(configuration)
        self.done(persister.put_image(values.STATIC))
        check(evolve(configuration, keys=key_source("one")))
        self.assertEqual(self.sealing(archive), Sealing())
        check(configuration)

    def taken_away(self, configuration: PersisterConfiguration) -> None:
        """A single secret that is sealed, of whatever kind, shows that what was said of keys is lacking."""
        check(configuration)
        persister, archive = self.opened(configuration)
        for call in (
            persister.put_image(values.STATIC),
            persister.put_certificate(values.certificate("h")),
            persister.put_credential(values.credential("c")),
            persister.begin(values.provision("o", values.instance("i1")), owner="x", ttl=9, within=9),
        ):
            begun = self.done(call)
        self.done(persister.commit(Change(operation=begun.over(Phase.SUCCEEDED, 1.0))))
        self.done(persister.begin(values.bind("p", values.binding("i1", "b1")), owner="x", ttl=9, within=9))
        keys = sealing_vault("one")
        for kind in SECRET_KINDS:
            [row] = self.done(archive.page(kind, None, 9))
            sealed = keys.seal(place_of(kind, row), row["secret"])
            self.done(archive.reseal(kind, [Resealed(row=row, secret=sealed)]))
            for asked in (configuration, evolve(configuration, keys=key_source("one"))):
                self.assertIn("does not say with which keys", self.refused(asked))
            changed = {**row, "secret": sealed}
            self.assertEqual(
                self.done(archive.reseal(kind, [Resealed(row=changed, secret=row["secret"])])), 0
            )
        check(configuration)

    def test_sqlite(self) -> None:
        """A file of SQLite."""
        for number, case in enumerate((self.keys, self.plain, self.taken_away)):
            case(SqliteConfiguration(database=temporary_folder(self) / f"{number}.db"))

    def test_mysql(self) -> None:
        """A database of MySQL or MariaDB."""
        self.keys(server("mysql").new_database())
        self.taken_away(server("mysql").new_database())

    def test_postgresql(self) -> None:
        """A database of PostgreSQL."""
        self.keys(server("postgresql").new_database())
        self.plain(server("postgresql").new_database())
        self.taken_away(server("postgresql").new_database())

    def test_redis(self) -> None:
        """A database of Redis."""
        for case in (self.keys, self.plain, self.taken_away):
            case(server("redis").new_database())


class KeyUseTests(TestCase):
    """A database that is opened as brokers open it."""

    def setUp(self) -> None:
        """Name a file, and start threads."""
        self.configuration = SqliteConfiguration(database=temporary_folder(self) / "broker.db")
        self.names: list[str] = []
        self.pool = ThreadPool(0, 3, name="persister")
        self.pool.start()
        self.addCleanup(self.pool.stop)

    async def opened(self, *labels: str) -> tuple[Any, list[str]]:
        """Open the database with these keys; return the persister, and what operators are warned of."""
        configuration = evolve(self.configuration, keys=key_source(*labels))
        with capturedLogs() as events:
            broker = f"broker-{len(self.names)}"
            self.names.append(broker)
            persister = await open_persister(reactor, configuration, self.pool, broker=broker)
        self.addCleanup(lambda: ensureDeferred(persister.close()))
        warned = [
            event["log_format"].format(**event) for event in events if event["log_level"] is LogLevel.warn
        ]
        return persister, warned

    async def test_sealed(self) -> None:
        """What a broker with keys writes is sealed, and nobody is warned."""
        check(evolve(self.configuration, keys=key_source("one")))
        persister, warned = await self.opened("one")
        await persister.put_image(values.STATIC)
        [row] = await archive_of(persister).page(Kind.IMAGE, None, 9)
        self.assertEqual((label_of(row["secret"]), warned), ("one", []))

    async def test_plain(self) -> None:
        """Who opens a database without keys is warned, and told the command that seals what is there."""
        check(self.configuration)
        _, warned = await self.opened()
        self.assertEqual(len(warned), 1)
        self.assertIn("keys generate", warned[0])
        _, warned = await self.opened("one")
        self.assertIn("are not encrypted; dockerbroker keys rotate", warned[0])

    async def test_lacking(self) -> None:
        """A key that is lacking keeps the database from being opened, also when it was checked before."""
        check(evolve(self.configuration, keys=key_source("one")))
        await self.assertFailure(ensureDeferred(self.opened("two")), InvalidConfiguration)

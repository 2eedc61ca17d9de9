"""Opening a Redis database."""

from __future__ import annotations

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.redis.opening import at_once, check_redis, open_blocking, open_redis
from dockerbroker.persisters.redis.persister import RedisPersister
from tests.persisters import values
from tests.persisters.files import at_once as all_at_once
from tests.polling import comes_true
from tests.servers import private_server, server
from tests.servers.common import USER


async def look(persister: RedisPersister) -> tuple[str, int]:
    """Return the identifier of the database, and how many instances it has."""
    return await persister.cluster_id(), len(await persister.instances("", 10))


class CheckTests(SynchronousTestCase):
    """A look at a database before it is used."""

    def test_new(self) -> None:
        """A new database gets an identifier, the version of its schema, and nothing else."""
        configuration = server("redis").new_database()
        check_redis(configuration)
        base = f"{{{configuration.prefix}}}:"
        admin = server("redis").admin
        self.assertEqual(admin(f"KEYS '{base}*'"), [f"{base}deployment"])
        born = admin(f"HGETALL {base}deployment")
        self.assertRegex(born.pop("cluster_id"), r"\A[0-9a-f]{32}\Z")
        self.assertGreater(float(born.pop("created_at")), 1e9)
        self.assertEqual(born, {"schema": "1"})

    def test_again(self) -> None:
        """A database that is there stays as it is, with fields that this version does not know."""
        configuration = server("redis").new_database()
        check_redis(configuration)
        key = f"{{{configuration.prefix}}}:deployment"
        server("redis").admin(f"HSET {key} color green")
        before = server("redis").admin(f"HGETALL {key}")
        check_redis(configuration)
        self.assertEqual(server("redis").admin(f"HGETALL {key}"), before)

    def test_many_at_once(self) -> None:
        """Of eight brokers that start at once on a new database all come up, in one deployment."""
        configuration = server("redis").new_database()

        async def start() -> str:
            persister = await open_blocking(configuration)
            born = await persister.cluster_id()
            await persister.close()
            return born

        born = all_at_once([start] * 8)
        self.assertEqual({type(one) for one in born}, {str})
        self.assertEqual(len(set(born)), 1)

    def test_leaves_nothing(self) -> None:
        """No connection is left, also when something is wrong."""
        private = private_server(self, "redis")
        configuration = private.configuration()
        check_redis(configuration)
        private.admin("CONFIG SET appendonly no")
        self.assertRaises(InvalidConfiguration, check_redis, configuration)
        self.assertTrue(comes_true(lambda: f" user={USER} " not in private.admin("CLIENT LIST"), 30))

    def test_default_user(self) -> None:
        """The user without a name, with a password or without, is one as well."""
        private = private_server(self, "redis")
        private.admin("ACL SETUSER default on nopass")
        configuration = evolve(private.configuration(), user="")
        without = evolve(configuration, password=Secret(""))
        check_redis(without)
        private.admin("ACL SETUSER default resetpass >s3cret")
        check_redis(evolve(configuration, password=Secret("s3cret")))
        check_redis(evolve(configuration, user="default", password=Secret("s3cret")))


class WarningTests(SynchronousTestCase):
    """What an operator is warned of."""

    def setUp(self) -> None:
        """Run a server."""
        self.server = private_server(self, "redis")
        self.configuration = self.server.configuration()

    def warnings(self) -> list[str]:
        """Return what a check logs."""
        with capturedLogs() as events:
            check_redis(self.configuration)
        return [
            event["log_format"].format(**event) for event in events if event["log_level"] == LogLevel.warn
        ]

    def test_none(self) -> None:
        """Of a server that syncs always nobody is warned."""
        self.assertEqual(self.warnings(), [])

    def test_syncing(self) -> None:
        """A server that does not sync always may lose what it has acknowledged."""
        self.server.admin("CONFIG SET appendfsync everysec")
        [warning] = self.warnings()
        self.assertIn("may lose the last second", warning)
        self.assertIn("appendfsync is everysec", warning)

    def test_unknown_syncing(self) -> None:
        """Where the broker may not look, it warns as well."""
        self.server.admin(f"ACL SETUSER {USER} -config")
        [warning] = self.warnings()
        self.assertIn("appendfsync is unknown", warning)


class OpenTests(TestCase):
    """A database on the real reactor, to which nothing is left."""

    timeout = 60

    async def opened(self, host: str) -> tuple[str, int]:
        """Open a database, use it, and close it."""
        configuration = server("redis").new_database()
        persister = await open_redis(reactor, evolve(configuration, host=host))
        provision = values.provision("o1", values.instance("i1"))
        await persister.begin(provision, owner="one", ttl=9, within=9)
        found = await look(persister)
        await persister.close()
        return found

    async def test_address(self) -> None:
        """It is opened, used and closed."""
        self.assertEqual((await self.opened("127.0.0.1"))[1], 1)

    async def test_name(self) -> None:
        """The server may have a name instead of an address."""
        self.assertEqual((await self.opened("localhost"))[1], 1)

    async def test_unused(self) -> None:
        """It is closed when nothing was asked."""
        configuration = server("redis").new_database()
        await (await open_redis(reactor, configuration)).close()

    async def test_while_others_block(self) -> None:
        """A broker that runs on the reactor and a check beside it see the same database."""
        configuration = server("redis").new_database()
        persister = await open_redis(reactor, configuration)
        born, _ = await look(persister)
        beside = at_once(open_blocking(configuration))
        self.assertEqual(at_once(look(beside))[0], born)
        at_once(beside.close())
        calls = [Deferred.fromCoroutine(persister.now()) for _ in range(30)]
        self.assertGreater(min([await call for call in calls]), 1e9)
        await persister.close()

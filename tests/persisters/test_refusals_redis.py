"""A Redis server that cannot be used is one sentence that says what to do."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.persisters.opening import check
from dockerbroker.persisters.redis.checking import complaints
from dockerbroker.persisters.redis.troubles import COMMANDS, refused
from tests.persisters import refusals_case
from tests.servers import private_server
from tests.servers.common import USER


class RedisTests(refusals_case.RefusalsContract):
    """Redis."""

    driver: ClassVar[str] = "redis"


class RedisTlsTests(refusals_case.TlsRefusalsContract):
    """TLS of Redis."""

    driver: ClassVar[str] = "redis"

    def test_only_tls(self) -> None:
        """A server that wants TLS closes other connections, and the advice names it."""
        self.good = self.begin().configuration()
        self.postponed(self.wrong(tls=None), "closes every connection", "persister.tls")


class RedisDatabaseTests(refusals_case.RefusalsTestCase):
    """Databases that are not the broker's."""

    driver: ClassVar[str] = "redis"

    @property
    def base(self) -> str:
        """What all keys of the database begin with."""
        return f"{{{self.good.prefix}}}:"

    def test_no_database(self) -> None:
        """A number that the server does not have."""
        self.refused("database", self.wrong(database="99"), "has no database of that number")

    def test_numbers(self) -> None:
        """Databases of two numbers are two."""
        check(self.good)
        check(self.wrong(database="1"))
        found = [self.server.admin(f"HGET {self.base}deployment cluster_id", number) for number in "01"]
        self.assertEqual(len(set(found)), 2)

    def test_newer(self) -> None:
        """A database that a newer version has used; it is left as it is."""
        check(self.good)
        self.server.admin(f"HSET {self.base}deployment schema 9999")
        self.refused("prefix", self.wrong(), "newer version", "9999", "restore an older backup")
        self.assertEqual(self.server.admin(f"HGET {self.base}deployment schema"), "9999")

    def test_other_program(self) -> None:
        """Keys of another program, also where one has the name of one of the broker's."""
        for command in ("SET {}x 1", "SET {}deployment 1", "HSET {}deployment a b", "SADD {}instances a"):
            self.good = self.server.new_database()
            self.server.admin(command.format(self.base))
            self.refused("prefix", self.wrong(), "another program", "choose another")

    def test_other_deployment(self) -> None:
        """The keys of other prefixes do not count, whatever the prefix means as a pattern."""
        check(self.good)
        for prefix in ("broker_*", "broker_[0-9]", "broker_?", "broker_\\1", "broker_^"):
            check(self.wrong(prefix=prefix))
            self.server.admin(f"DEL '{{{prefix}}}:deployment'")

    def test_moved(self) -> None:
        """A database whose records were moved, unless it may be closed."""
        check(self.good)
        self.server.admin(f"HSET {self.base}deployment closed moved moved_to elsewhere")
        self.refused("prefix", self.wrong(), "was moved to elsewhere; name that one")
        check(self.good, closed=True)


class RedisRightsTests(refusals_case.RefusalsTestCase):
    """What the user and the default user may do."""

    driver: ClassVar[str] = "redis"

    def setUp(self) -> None:
        """Run a server whose users can be changed."""
        self.server = private_server(self, self.driver)
        self.good = self.server.configuration()

    def without(self, *rights: str) -> None:
        """Take rights from the broker."""
        self.server.admin(f"ACL SETUSER {USER} {COMMANDS} {' '.join(rights)}")

    def test_every_command(self) -> None:
        """Each command that the user may not run is named, with all that it needs."""
        for command in COMMANDS.replace("+", "").split():
            if command == "select":
                continue
            self.good = self.server.new_database()
            self.without(f"-{command}")
            if command == "config|get":
                check(self.good)
            else:
                named = () if command in {"info", "time", "eval", "evalsha", "scan"} else (f"run +{command}",)
                self.refused("user", self.wrong(), *named, "+zadd")

    def test_several_commands(self) -> None:
        """All that is lacking is named at once."""
        self.without("-zadd", "-hset")
        self.refused("user", self.wrong(), "run +hset +zadd on", f"~{{{self.good.prefix}}}:* +select")

    def test_keys(self) -> None:
        """So are keys that the user may not touch."""
        self.refused("user", self.wrong(prefix="others"), "does not give the user enough rights")

    def test_default_user(self) -> None:
        """A server whose default user lacks rights would lose everything when it is started again."""
        self.server.admin("ACL SETUSER default off resetkeys -@all")
        self.refused(
            "host", self.wrong(), "lose all records when it is started again", "default off ~* +@all"
        )
        self.server.admin("ACL SETUSER default allkeys +@all -zrem")
        self.refused("host", self.wrong(), "lose all records")
        self.server.admin("ACL SETUSER default +@all")
        check(self.good)


class RedisServerTests(refusals_case.RefusalsTestCase):
    """Servers that brokers cannot use."""

    driver: ClassVar[str] = "redis"

    def setUp(self) -> None:
        """Run a server that can be spoilt."""
        self.server = private_server(self, self.driver)
        self.good = self.server.configuration()

    def test_eviction(self) -> None:
        """A server that throws away what it has no memory for."""
        self.server.admin("CONFIG SET maxmemory-policy allkeys-lru")
        self.refused("host", self.wrong(), "allkeys-lru", "set maxmemory-policy noeviction")

    def test_memory_alone(self) -> None:
        """A server that forgets everything when it ends."""
        self.server.admin("CONFIG SET appendonly no")
        self.refused("host", self.wrong(), "in memory alone", "set appendonly yes")

    def test_replica(self) -> None:
        """A replica may be the primary server soon."""
        self.server.admin("REPLICAOF 127.0.0.1 1")
        self.postponed(self.wrong(), "is a replica, which is read-only", "persister.host")
        self.server.admin("REPLICAOF NO ONE")
        check(self.good)

    def test_crowded(self) -> None:
        """A server may have room for another connection soon."""
        self.server.admin("CONFIG SET maxclients 1")
        # The one that tells it so; the next one is too many.
        with self.server.connect():
            self.postponed(self.wrong(), "has no connection left", "maxclients")


class ServersTellTests(SynchronousTestCase):
    """What servers tell of themselves."""

    GOOD: ClassVar[dict[str, str]] = {
        "redis_version": "6.2.0",
        "maxmemory_policy": "noeviction",
        "aof_enabled": "1",
    }

    def complaint(self, **members: str) -> str:
        """Return the one complaint of such a server."""
        [found] = complaints(self.GOOD | members)
        self.assertIn("; ", found)
        return found

    def test_good(self) -> None:
        """Of a good server there is nothing to complain; versions are numbers."""
        for version in ("6.2.0", "7.0.15", "10.0.0", "255.255.255"):
            self.assertEqual(list(complaints(self.GOOD | {"redis_version": version})), [])

    def test_version(self) -> None:
        """A server that is too old is told of."""
        for version in ("2.8.4", "5.0.14", "6.0.16"):
            self.assertIn(
                f"has the version {version}, which is too old", self.complaint(redis_version=version)
            )

    def test_says_nothing(self) -> None:
        """A server that says nothing of itself is not one to rely on."""
        self.assertEqual(len(list(complaints({}))), 3)

    def test_words(self) -> None:
        """What servers of several versions answer is understood."""
        for message, words in (
            ("NOAUTH Authentication required.", "refuses the user or the password"),
            ("ERR invalid password", "refuses the user or the password"),
            ("ERR AUTH <password> called without any password configured", "has no password for the user"),
            ("DENIED Redis is running in protected mode because", "is in protected mode"),
            ("MASTERDOWN Link with MASTER is down", "is a replica"),
            ("UNKILLABLE Sorry the script already executed write commands", "is busy with a script"),
            ("BUSY Redis is busy running a script.", "is busy with a script"),
            ("CLUSTERDOWN Hash slot not served", "belongs to a cluster that is down"),
            ("MOVED 3999 127.0.0.1:6381", "belongs to a cluster, and does not hold"),
            ("ERR SELECT is not allowed in cluster mode", "which has the database 0 alone"),
            ("NOREPLICAS Not enough good replicas to write.", "has too few replicas to write"),
            ("ERR max number of clients reached", "has no connection left"),
            ("ERR The user executing the script can't run this command or subcommand", "enough rights"),
            ("NOPERM ACL failure in script: User broker has no permissions", "enough rights"),
            ("ERR value is not an integer", "does not answer as expected"),
        ):
            self.assertIn(words, refused(message).predicate, message)

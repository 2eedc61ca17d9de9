"""What a call costs does not grow with the number of records."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import evolve
from sqlalchemy import Connection, Engine, event
from twisted.internet.defer import Deferred, execute
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.hosts import HostKey, HostState
from dockerbroker.model.instances import Change, Phase
from dockerbroker.model.liveness import Verdict
from dockerbroker.persisters.administered import Only
from dockerbroker.persisters.interfaces import IPersister
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import SqliteDatabase, sqlite_engine
from tests.persisters import values
from tests.persisters.files import SqliteFixture
from tests.persisters.redis_fixture import BlockingRedisFixture
from tests.pinging import pings
from tests.servers import server

#: How many instances there are, with a binding and a port each, on hosts of their own.
MANY = 300
#: So many that what is asked for by the page fills it.
FEW = 5

#: These tables are small and read as a whole.
SMALL = (
    "audit_head",
    "images",
    "hosts",
    "certificates",
    "credentials",
    "observation",
    "deployment",
    "conditions",
)

#: SQLite's machine may take this many more steps than in a database that is nearly empty.
MARGIN = 40

#: The commands by which the commands of Redis are counted.
_CLIENTS_OWN = ("cmdstat_info", "cmdstat_config")


class CostTestCase(SynchronousTestCase):
    """Every call of a persister."""

    def fill(self, persister: IPersister, count: int) -> None:
        """Make that many instances; no operation is under way then."""
        for number in range(count):
            made = values.instance(f"i{number}", 20001, host=self.host(number))
            self.over(persister, values.provision(f"made {number}", made))
            self.over(persister, values.bind(f"bound {number}", values.binding(f"i{number}", "b1")))

    def host(self, number: int) -> HostKey:
        """Return the key of a host."""
        return HostKey(service_host=f"host{number}", docker_host=f"host{number}", docker_port=2375)

    def done(self, call: Coroutine[Any, Any, Any]) -> Any:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def over(self, persister: IPersister, change: Change) -> None:
        """Begin an operation and end it."""
        begun = self.done(persister.begin(change, owner="maker", ttl=1e6, within=1e6))
        self.done(persister.commit(Change(operation=begun.over(Phase.SUCCEEDED, 1))))

    def everything(self, persister: IPersister, watch: Callable[[str], object]) -> None:
        """Call every method but those that return the whole catalog; tells `watch` before each."""
        host = self.host(0)

        def call(name: str, *arguments: Any, **options: Any) -> Any:
            watch(name)
            return self.done(getattr(persister, name)(*arguments, **options))

        call("cluster_id")
        call("seed_images", [values.REDIS])
        call("put_image", values.STATIC)
        call("put_image", values.STATIC, only=Only(values.STATIC))
        call("delete_image", "mysqlstatic")
        call("put_certificate", values.certificate("h"))
        call("certificate", "h")
        call("put_certificate", values.certificate("h"), only=Only(values.certificate("h")))
        call("certificates")
        call("delete_certificate", "h")
        self.let_in(call)
        call("record_pings", pings([values.host(host)]))
        call("observe")
        call("hosts")
        call("cordon", host, is_cordoned=True)
        call("complain", host, "It does not answer.")
        [life] = call("fleet").lives()
        call("judge", [Verdict(life=life, state=HostState.DEAD)])
        call("host", host)
        call("instance", "i0")
        call("binding", "i0", "b1")
        call("bindings", "i0")
        call("bindings", "i0", after="b", limit=2)
        call("operation", "made 0")
        call("leased_ports", host)
        call("port_leases", host, after=20000, limit=2)
        call("now")
        call("instances", "i", 2)
        call("last_operation", "i0")
        call("last_operation", "i0", "b1")
        call("operations", unfinished=False, limit=2)
        call("operations", unfinished=True, limit=2)
        call("operations", unfinished=False, limit=2, before="bound 0")
        call("operations", unfinished=True, limit=2, before="bound 0")
        call("operations_on", "i0", limit=2)
        call("operations_on", "i0", limit=2, before="bound 0")
        call("operations_on", "i0", "b1", limit=2)
        call("operations_on", "i0", "b1", limit=2, before="bound 0")
        call("known_operations", ["made 0", "never"])
        call("set_condition", "i0", "Gone.")
        call("conditions")
        call("set_condition", "i0", None)
        call("entomb", "gone", "t1")
        call("tombstone", "gone")
        self.operate(call)
        call("forget_host", host)

    def let_in(self, call: Callable[..., Any]) -> None:
        """Call the methods that change credentials."""
        call("seed_credentials", [values.credential("c1"), values.credential("c2")])
        call("put_credential", values.credential("c3"))
        call("credentials")
        call("delete_credential", "c3")

    def operate(self, call: Callable[..., Any]) -> None:
        """Call the methods that change operations."""
        begun = call(
            "begin", values.provision("o1", values.instance("new", 20009)), owner="one", ttl=9, within=60
        )
        call("renew", "one", ttl=9)
        call("release", begun, delay=0)
        call("hasten", "o1")
        [taken] = call("claim", "two", ttl=9)
        call("cancel", "o1")
        moved = values.instance("new", 20010)
        call("commit", Change(operation=taken.over(Phase.SUCCEEDED, 1), instance=moved))
        begun = call("begin", values.bind("o2", values.binding("new", "b1")), owner="one", ttl=9, within=60)
        call("commit", Change(operation=begun.over(Phase.FAILED, 1), remove_binding="b1"))
        call("begin", values.bind("o3", values.binding("new", "b1")), owner="one", ttl=9, within=60)
        unbind = evolve(values.unbind("o4", "new"), supersedes="o3")
        begun = call("begin", unbind, owner="one", ttl=9, within=60)
        call("commit", Change(operation=begun.over(Phase.SUCCEEDED, 1), remove_binding="b1"))
        begun = call("begin", values.deprovision("o5", "i0"), owner="one", ttl=9, within=60)
        call("commit", Change(operation=begun.over(Phase.SUCCEEDED, 1), remove_instance=True))
        call("forget", 2, 3)


class CostTests(CostTestCase):
    """The statements of a persister on SQLite."""

    def filled(self, count: int) -> tuple[SqlPersister, Engine]:
        """Return a persister with that many instances, and its engine."""
        engine = sqlite_engine(SqliteFixture.of(self).path, connections=1)
        self.addCleanup(engine.dispose)
        persister = SqlPersister(SqliteDatabase(engine), execute)
        self.fill(persister, count)
        return persister, engine

    def test_indices(self) -> None:
        """Every statement finds its rows by a key or an index; only small tables are read as a whole."""
        persister, engine = self.filled(1)
        statements: dict[str, Any] = {}

        def remember(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
            statements.setdefault(statement, parameters)

        event.listen(engine, "before_cursor_execute", remember)
        self.everything(persister, lambda _: None)
        event.remove(engine, "before_cursor_execute", remember)
        plans = persister.database.read(lambda connection: self.plans(connection, statements), deadline=60)
        self.assertGreater(len(plans), 50)
        for statement, step in plans:
            if "WHERE" not in statement and "LIMIT" in statement and step == "SCAN operations":
                # The first rows of the table, in the order of its key.
                continue
            self.assertNotIn("TEMP B-TREE", step, statement)
            scanned = step.removeprefix("SCAN ").split()[0] if step.startswith("SCAN ") else None
            if scanned != "CONSTANT":
                self.assertIn(scanned, (None, *SMALL), statement)
            self.assertNotIn("AUTOMATIC", step)

    def plans(self, connection: Connection, statements: dict[str, Any]) -> list[tuple[str, str]]:
        """Return the steps by which SQLite runs the statements."""
        steps: list[tuple[str, str]] = []
        for statement, parameters in statements.items():
            if not statement.startswith(("BEGIN", "PRAGMA")):
                first = parameters[0] if isinstance(parameters, list) else parameters
                rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, first)
                steps.extend((statement, str(row.detail)) for row in rows)
        return steps

    def test_flat(self) -> None:
        """With many instances each call takes as many steps of SQLite's machine as with one, or nearly."""
        few, many = self.steps(*self.filled(1)), self.steps(*self.filled(MANY))
        self.assertEqual(few.keys(), many.keys())
        for call, steps in many.items():
            self.assertLess(steps, few[call] + MARGIN, call)

    def steps(self, persister: SqlPersister, engine: Engine) -> dict[str, int]:
        """Return how many steps each call takes, by its name and turn."""
        counts: dict[str, int] = {}

        def step() -> int:
            counts[list(counts)[-1]] += 1
            return 0

        counts["opening"] = 0
        with engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
        driver.set_progress_handler(step, 1)
        self.everything(persister, lambda name: counts.update({f"{len(counts)} {name}": 0}))
        driver.set_progress_handler(None, 0)
        return counts


class RedisCostTests(CostTestCase):
    """The commands that the scripts of a persister on Redis run."""

    def test_flat(self) -> None:
        """With many instances each call runs as many commands as with few; hosts are read one by one."""
        few = self.commands(FEW)
        # A script that the server has not seen yet is sent once more; a connection that was lost, or was too
        # slow on a busy machine, is made anew, which is among the commands as well, but not each time.
        found = self.costlier(few) and self.costlier(few)
        self.assertEqual(found, {})

    def costlier(self, few: dict[str, int]) -> dict[str, int]:
        """Return the calls that cost more among many instances than among few."""
        many = self.commands(MANY)
        self.assertEqual(few.keys(), many.keys())
        more = {call: commands for call, commands in many.items() if commands > few[call]}
        return {call: commands for call, commands in more.items() if not call.endswith(" hosts")}

    def commands(self, count: int) -> dict[str, int]:
        """Return how many commands each call runs, by its name and turn, among that many instances."""
        client = server("redis").connect()
        self.addCleanup(client.close)
        persister = BlockingRedisFixture.of(self).persister()
        self.fill(persister, count)
        counts: dict[str, int] = {}

        def begin(name: str) -> None:
            if counts:
                commands = client.info("commandstats").items()
                own = [stats["calls"] for command, stats in commands if not command.startswith(_CLIENTS_OWN)]
                counts[list(counts)[-1]] = sum(own)
            client.config_resetstat()
            counts[f"{len(counts)} {name}"] = 0

        self.everything(persister, begin)
        begin("nothing")
        return counts

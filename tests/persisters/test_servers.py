"""Transactions on a server are tried again when that helps, and never done twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from sqlalchemy import Connection, Engine, Insert, Table, TextClause, create_engine, event, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.pool import StaticPool
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.config.persister import ServerConfiguration
from dockerbroker.errors import AlreadyExists, LostLease, Unavailable
from dockerbroker.model.instances import Change, Phase, Step
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters import schema
from dockerbroker.persisters.databases import PATIENCE, CommitUnknown, Query, Trouble
from dockerbroker.persisters.servers import LIMIT, ServerDatabase
from dockerbroker.persisters.sql import SqlPersister
from dockerbroker.persisters.sqlite import SqliteDatabase
from tests.persisters import values
from tests.persisters.files import temporary_folder

_PASSING = Trouble(predicate="is too busy", advice="wait", passes=True)
_LOST = Trouble(predicate="cannot be reached", advice="start it", passes=True, is_lost=True)
_LASTING = Trouble(predicate="is full", advice="make room")


class FakeError(Exception):
    """What a driver raises; it holds what it means."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.predicate)
        self.trouble = trouble


class FakeDialect:
    """Reads the meaning of a failure from the failure."""

    now: TextClause = text("SELECT 7")
    reading: Mapping[str, Any] = {}

    def engine(self, configuration: ServerConfiguration, *, connections: int) -> Engine:
        """Return an engine of a file."""
        return create_engine(f"sqlite:///{configuration.database}", pool_size=connections)

    def trouble(self, failure: DBAPIError) -> Trouble:
        """Return what the failure says."""
        assert isinstance(failure.orig, FakeError), failure
        return failure.orig.trouble

    def upsert(self, table: Table) -> Insert:
        """Never be asked."""
        raise NotImplementedError

    def too_old(self, connection: Connection) -> str | None:
        """Never be too old."""
        del connection
        return None

    def lock_migrations(self, connection: Connection) -> bool:
        """Lock nothing."""
        del connection
        return True


def failure(trouble: Trouble) -> OperationalError:
    """Return a failure that means that."""
    return OperationalError("SELECT", {}, FakeError(trouble))


@define(eq=False)
class Script:
    """A query that fails as it is told before it succeeds."""

    failures: list[Exception]
    runs: int = 0

    def __call__(self, connection: Connection) -> str:
        """Fail, or write and return."""
        self.runs += 1
        connection.execute(text("INSERT INTO notes VALUES (1)"))
        if self.failures:
            raise self.failures.pop(0)
        return "done"


class ServerDatabaseTests(SynchronousTestCase):
    """A database whose driver fails as the tests say."""

    def setUp(self) -> None:
        """Make a table."""
        self.clock = Clock()
        self.pauses: list[float] = []
        self.engine = FakeDialect().engine(_file(temporary_folder(self)), connections=1)
        self.addCleanup(self.engine.dispose)
        with self.engine.begin() as connection:
            connection.execute(text("CREATE TABLE notes (number INTEGER)"))
        self.database = ServerDatabase(
            self.engine,
            FakeDialect(),
            monotonic=self.clock.seconds,
            sleep=self.pause,
            jitter=float,
        )

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.clock.advance(seconds)

    def notes(self) -> int:
        """Return how many transactions were committed."""
        with self.engine.begin() as connection:
            return int(connection.execute(text("SELECT count(*) FROM notes")).scalar_one())

    def fail_commits(self, *failures: Exception) -> None:
        """Let the next commits fail before they are made."""
        left = list(failures)

        def commit(_: Connection) -> None:
            if left:
                raise left.pop(0)

        event.listen(self.engine, "commit", commit)
        self.addCleanup(event.remove, self.engine, "commit", commit)

    def test_again(self) -> None:
        """What passes is tried again, with pauses that grow, and is committed once."""
        script = Script([failure(_PASSING), failure(_LOST), failure(_PASSING)])
        self.assertEqual(self.database.write(script, deadline=4), "done")
        self.assertEqual((script.runs, self.notes()), (4, 1))
        self.assertEqual(self.pauses, [0.02, 0.04, 0.08])

    def test_read_again(self) -> None:
        """So are queries that only read."""
        answers: list[Any] = [failure(_LOST), 5]

        def query(_: Connection) -> int:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return int(answer)

        self.assertEqual(self.database.read(query, deadline=4), 5)

    def test_connections(self) -> None:
        """When one is lost all are given up; one that is in use then is closed afterwards."""
        made = [0]
        engine = FakeDialect().engine(_file(temporary_folder(self)), connections=2)
        event.listen(engine, "connect", lambda *_: made.append(1))
        event.listen(engine, "close", lambda *_: made.append(-1))
        database = evolve(self.database, engine=engine)
        losses = [failure(_LOST), failure(_LOST)]

        def lose(_: Connection) -> int:
            if losses:
                raise losses.pop()
            return sum(made)

        self.assertEqual(database.read(lambda _: database.read(lose, deadline=4), deadline=4), 2)
        self.assertEqual(sum(made), 1)
        engine.dispose()
        self.assertEqual(sum(made), 0)

    def test_not_for_ever(self) -> None:
        """When the deadline comes, a sentence says what is wrong."""
        script = Script([failure(_LOST)] * 100)
        error = self.assertRaises(Unavailable, self.database.write, script, deadline=4)
        self.assertEqual(error.description, "The broker's database cannot be reached; try again later.")
        self.assertLessEqual(self.clock.seconds(), 4)
        self.assertEqual(max(self.pauses), 0.5)
        self.assertEqual(self.notes(), 0)

    def test_lasting(self) -> None:
        """What does not pass by itself is said at once."""
        script = Script([failure(_LASTING)])
        error = self.assertRaises(Unavailable, self.database.write, script, deadline=4)
        self.assertEqual(error.description, "The broker's database is full; try again later.")
        self.assertEqual((script.runs, self.pauses, self.notes()), (1, [], 0))

    def test_too_late(self) -> None:
        """What waited in vain for its turn does nothing."""
        self.clock.advance(5)
        script = Script([])
        self.assertRaises(Unavailable, self.database.write, script, deadline=4)
        self.assertEqual(script.runs, 0)

    def test_unforeseen_race(self) -> None:
        """Two that insert the same at once: the second one looks once more."""
        script = Script([IntegrityError("INSERT", {}, FakeError(_LASTING))])
        self.assertEqual(self.database.write(script, deadline=4), "done")
        self.assertEqual((script.runs, self.notes()), (2, 1))

    def test_refused(self) -> None:
        """What the query itself raises is nobody's failure; it is rolled back and not tried again."""
        script = Script([AlreadyExists("There.")])
        self.assertRaises(AlreadyExists, self.database.write, script, deadline=4)
        self.assertEqual((script.runs, self.notes()), (1, 0))

    def test_commit_collides(self) -> None:
        """A commit that the server refuses is tried again with all that was before it."""
        self.fail_commits(failure(_PASSING))
        script = Script([])
        self.assertEqual(self.database.write(script, deadline=4), "done")
        self.assertEqual((script.runs, self.notes()), (2, 1))

    def test_commit_lost(self) -> None:
        """A commit whose answer is lost is not tried again: nobody knows what came of it."""
        self.fail_commits(failure(_LOST))
        script = Script([])
        self.assertRaises(CommitUnknown, self.database.write, script, deadline=4)
        self.assertEqual(script.runs, 1)

    def test_clock(self) -> None:
        """The time is the server's, unless a test says otherwise."""
        self.assertEqual(self.database.read(self.database.now, deadline=4), 7)
        self.database.clock = lambda _: 9
        self.assertEqual(self.database.read(self.database.now, deadline=4), 9)


@define(eq=False)
class LossyDatabase:
    """A database that forgets to say that it has committed, or has not committed, as often as it is told.

    `lost` tells of the next writes whether they were made durable before their answer was lost.
    """

    engine: Engine
    lost: list[bool] = field(factory=list)
    writers: None = None
    limit: float | None = LIMIT
    write_all: None = None

    def seconds(self) -> float:
        """Stand still."""
        return 0

    def now(self, connection: Connection) -> float:
        """Stand still."""
        del connection
        return 0

    def read(self, query: Query[Any], *, deadline: float) -> Any:
        """Read."""
        assert deadline == PATIENCE
        with self.engine.begin() as connection:
            return query(connection)

    def write(self, query: Query[Any], *, deadline: float) -> Any:
        """Write, and lose the answer if that was told."""
        assert deadline == PATIENCE
        lost = self.lost.pop(0) if self.lost else None
        with self.engine.connect() as connection, connection.begin() as transaction:
            result = query(connection)
            if lost is False:
                transaction.rollback()
        if lost is not None:
            raise CommitUnknown("Lost.")
        return result

    def upsert(self, table: Table) -> Insert:
        """Return SQLite's statement."""
        return SqliteDatabase(self.engine).upsert(table)

    def ended_brokers(self) -> Any:
        """Know of none."""
        return nullcontext(())

    def close(self) -> None:
        """Close nothing."""


class SettledTests(SynchronousTestCase):
    """Whether the commit was made or not: it is settled, and the answer is right."""

    def setUp(self) -> None:
        """Make the tables in memory."""
        engine = create_engine("sqlite://", poolclass=StaticPool)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON"))
        self.addCleanup(engine.dispose)
        with engine.begin() as connection:
            schema.upgrade(connection)
        self.database = LossyDatabase(engine)
        self.persister = SqlPersister(self.database, execute)

    def outcome(self, call: Any) -> Any:
        """Return what the call returned or raised."""
        outcomes: list[Any] = []
        Deferred.fromCoroutine(call).addErrback(lambda failure: failure.value).addCallback(outcomes.append)
        (outcome,) = outcomes
        return outcome

    def begin(self, *lost: bool, owner: str = "me", change: Change | None = None) -> Any:
        """Begin a provision whose first answers are lost."""
        self.database.lost = list(lost)
        change = change or values.provision("o1", values.instance("i1", 20001))
        return self.outcome(self.persister.begin(change, owner=owner, ttl=15, within=60))

    def stored(self) -> Any:
        """Return the operation as it is stored."""
        return self.outcome(self.persister.operation("o1"))

    def test_begin(self) -> None:
        """A beginning is what it would have been, whatever was lost."""
        for lost in ([True], [False], [True, True], [False, True], [False, False, True]):
            begun = self.begin(*lost)
            self.assertEqual(begun, self.stored(), lost)
            self.assertEqual((begun.owner, begun.epoch), ("me", 1))
            self.outcome(
                self.persister.commit(Change(operation=begun.over(Phase.FAILED, 1), remove_instance=True))
            )
            self.outcome(self.persister.forget(10, 10))

    def test_begin_lost_race(self) -> None:
        """Who lost a race is told so, also when the answer to that is the one that was lost."""
        self.begin(owner="another")
        change = values.provision("o2", values.instance("i1", 20002))
        self.assertIsInstance(self.begin(False, change=change), AlreadyExists)
        self.assertIsNone(self.outcome(self.persister.operation("o2")))

    def test_progress(self) -> None:
        """Progress is written."""
        begun = self.begin()
        for lost in (True, False):
            self.database.lost = [lost]
            self.assertIsNone(self.outcome(self.persister.commit(Change(operation=begun.at(Step.START)))))
            self.assertEqual(self.stored().step, Step.START)

    def test_outcome(self) -> None:
        """An outcome that is written already is no lost lease."""
        for lost in ([True], [False], [True, True], [False, True]):
            begun = self.begin()
            self.database.lost = list(lost)
            ended = begun.over(Phase.SUCCEEDED, 5)
            self.assertIsNone(self.outcome(self.persister.commit(Change(operation=ended))), lost)
            self.assertEqual(self.stored().phase, Phase.SUCCEEDED)
            self.begin_anew()

    def begin_anew(self) -> None:
        """Remove what there is."""
        ending = self.outcome(self.persister.begin(values.deprovision("d"), owner="me", ttl=15, within=60))
        change = Change(operation=ending.over(Phase.SUCCEEDED, 6), remove_instance=True)
        self.outcome(self.persister.commit(change))
        self.assertEqual(self.outcome(self.persister.forget(10, 10)), 2)

    def test_lost_lease(self) -> None:
        """Who has lost the lease is told so."""
        begun = self.begin()
        self.outcome(self.persister.release(begun, delay=0))
        self.outcome(self.persister.claim("another", ttl=15))
        for lost in ([False], [True]):
            self.database.lost = list(lost)
            ended = Change(operation=begun.over(Phase.SUCCEEDED, 5))
            self.assertIsInstance(self.outcome(self.persister.commit(ended)), LostLease)


class LimitTests(SynchronousTestCase):
    """A call whose thread does not come back is given up."""

    def test_given_up(self) -> None:
        """Within five seconds whoever asked is told; what comes later is dropped."""
        clock = Clock()
        late: list[Callable[[], Any]] = []
        answers: list[Deferred[Any]] = []

        def run(function: Callable[[], Any]) -> Deferred[Any]:
            late.append(function)
            answers.append(Deferred())
            return answers[-1]

        engine = create_engine("sqlite://", poolclass=StaticPool)
        self.addCleanup(engine.dispose)
        persister = SqlPersister(LossyDatabase(engine), run, clock)
        asked = Deferred.fromCoroutine(persister.images())
        clock.advance(LIMIT - 0.1)
        self.assertNoResult(asked)
        clock.advance(0.1)
        self.assertLess(clock.seconds(), 5)
        error = self.failureResultOf(asked, Unavailable).value
        self.assertIn("does not answer in time", str(error))
        answers[0].callback([])
        self.assertEqual(clock.getDelayedCalls(), [])


def _file(folder: Path) -> ServerConfiguration:
    return ServerConfiguration(
        driver="fake", host="", port=1, user="", password=Secret(""), database=str(folder / "fake.db")
    )

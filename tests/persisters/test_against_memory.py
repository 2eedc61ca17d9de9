"""Under random calls, the persister of each driver and the one in memory answer alike and hold the same."""

from __future__ import annotations

from typing import ClassVar, Final

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.persister_case import Fixture
from tests.persisters.files import SqliteFixture
from tests.persisters.redis_fixture import BlockingRedisFixture
from tests.persisters.server_fixture import ServerFixture
from tests.persisters.side_by_side import TwoPersisters

#: Examples on a database server; SQLite has more.
_FEW: Final = 5


class AgainstMemoryTests(SynchronousTestCase):
    """The two persisters side by side."""

    examples: ClassVar[int] = 40

    def fixture(self) -> Fixture:
        """Return an empty database."""
        return SqliteFixture.of(self)

    def test_same(self) -> None:
        """They answer alike and hold the same."""
        test = self

        class Machine(TwoPersisters):
            """The machine on databases of the test."""

            def new_fixture(self) -> Fixture:
                return test.fixture()

        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=40,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


class AgainstMysqlTests(AgainstMemoryTests):
    """MySQL and memory."""

    examples = _FEW

    def fixture(self) -> Fixture:
        """Return an empty database."""
        return ServerFixture.of(self, "mysql")


class AgainstPostgresqlTests(AgainstMemoryTests):
    """PostgreSQL and memory."""

    examples = _FEW

    def fixture(self) -> Fixture:
        """Return an empty database."""
        return ServerFixture.of(self, "postgresql")


class AgainstRedisTests(AgainstMemoryTests):
    """Redis and memory."""

    examples = _FEW

    def fixture(self) -> Fixture:
        """Return an empty database."""
        return BlockingRedisFixture.of(self)

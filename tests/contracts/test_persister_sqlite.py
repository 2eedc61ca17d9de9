"""The persister on SQLite keeps the promises of `IPersister`."""

from __future__ import annotations

from tests.contracts import persister
from tests.persisters.files import SqliteFixture

globals().update(persister.cases_for(__name__, "Sqlite", SqliteFixture.of))

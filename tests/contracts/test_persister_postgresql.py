"""The persister on PostgreSQL keeps the promises of `IPersister`."""

from __future__ import annotations

from tests.contracts import persister
from tests.persisters.server_fixture import ServerFixture

globals().update(
    persister.cases_for(__name__, "Postgresql", lambda test: ServerFixture.of(test, "postgresql"))
)

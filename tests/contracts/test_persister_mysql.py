"""The persister on MySQL or MariaDB keeps the promises of `IPersister`."""

from __future__ import annotations

from tests.contracts import persister
from tests.persisters.server_fixture import ServerFixture

globals().update(persister.cases_for(__name__, "Mysql", lambda test: ServerFixture.of(test, "mysql")))

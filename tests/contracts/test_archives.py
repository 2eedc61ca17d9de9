"""The archives of every kind of database keep the promises of `IArchive`."""

from __future__ import annotations

from tests.contracts import archive
from tests.persisters.archives import MAKERS

for _driver, _make in MAKERS.items():
    globals().update(archive.cases_for(__name__, _driver.capitalize(), _make))

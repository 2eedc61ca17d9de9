"""Faults of the database server, with the driver `mysql`."""

from __future__ import annotations

from tests.faults import suite
from tests.faults.case import cases_for

globals().update(cases_for(__name__, "mysql", suite.SQL_KINDS))

"""Faults of the database server, with the driver `postgresql`."""

from __future__ import annotations

from tests.faults import suite, transactions
from tests.faults.case import cases_for

globals().update(cases_for(__name__, "postgresql", (*suite.SQL_KINDS, transactions.CommitFaults)))

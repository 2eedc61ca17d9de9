"""Faults of the database server, with the driver `redis`."""

from __future__ import annotations

from tests.faults import servers, suite
from tests.faults.case import cases_for

globals().update(cases_for(__name__, "redis", (*suite.KINDS, servers.OwnFaults)))

"""The faults that drivers of database servers stand."""

from __future__ import annotations

from tests.faults import clocks, encryption, network, servers, transactions
from tests.faults.case import FaultTestCase

#: Those of every driver, and of those for SQL.
KINDS: tuple[type[FaultTestCase], ...] = (
    *servers.KINDS,
    *network.KINDS,
    *transactions.KINDS,
    *clocks.KINDS,
    *encryption.KINDS,
)
SQL_KINDS: tuple[type[FaultTestCase], ...] = (*KINDS, *transactions.SQL_KINDS)

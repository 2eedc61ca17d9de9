"""Brokers die, and their calls meet faults, on the databases of every driver."""

from __future__ import annotations

import os
from typing import Final, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from tests.crash import cases
from tests.crash.calls import OPERATIONS
from tests.servers import DRIVERS

#: With `all` every call meets every fault on every database, and not only one where it is made first.
VARIABLE: Final = "DOCKERBROKER_CALLS"


Case = TypeVar("Case", bound=SynchronousTestCase)


def _add(driver: str, kind: type[Case], word: str = "") -> type[Case]:
    name = f"{driver.title()}{word}{kind.__name__.removesuffix('Case')}Tests"
    members = {"database": driver, "__module__": __name__, "__doc__": kind.__doc__}
    made: type[Case] = type(name, (kind,), members)
    globals()[name] = made
    return made


def _add_all(driver: str) -> None:
    for asynchronous, word in ((True, "Asynchronous"), (False, "Synchronous")):
        case = _add(driver, cases.CallCase, word)
        for operation in OPERATIONS:
            cases.add_operation(case, operation, asynchronous=asynchronous)


for _driver in ("sqlite", *DRIVERS):
    if _driver in DRIVERS:
        _add(_driver, cases.CampaignCase)
    _add(_driver, cases.FirstCallsCase)
    if os.environ.get(VARIABLE) == "all":
        _add_all(_driver)

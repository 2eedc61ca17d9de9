"""Many requests at once to three brokers on a database server: fewer rounds, and the same promises."""

from __future__ import annotations

from typing import Final

from tests.races import test_many_brokers as many
from tests.servers import DRIVERS

_ROUNDS: Final = 2

for _driver in DRIVERS:
    _name = f"{_driver.title()}ManyBrokersTests"
    _members = {"database": _driver, "rounds": _ROUNDS, "__module__": __name__}
    globals()[_name] = type(_name, (many.ManyBrokersTests,), _members)

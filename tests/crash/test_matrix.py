"""Any request at any step of any operation gets the status that OSB names, and does no harm.

Sources: OSB sections Blocking Operations, Provisioning, Binding, Fetching a Service Instance, Polling Last
Operation. A deletion halts a creation: at once in steps that may be left at any moment (200), else as soon as
what is under way has ended (202).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.crash.invariants import settled_complaints
from tests.crash.matrix import REQUESTS, STEPS, UNDOING, Meeting

#: While the instance is being made: nothing is there yet.
_UNMADE: Final = {
    "same provision": 202,
    "other provision": 409,
    "update of parameters": 422,
    "update of the plan": 422,
    "bind": 422,
    "other bind": 422,
    "unbind": 410,
    "other unbind": 410,
    "deprovision": 202,
    "fetch": 404,
    "fetch of the binding": 404,
    "poll": 200,
    "poll of the binding": 404,
}
#: While an operation holds an instance that has no binding, and one that has the binding.
_UNBOUND: Final = {
    **_UNMADE,
    "same provision": 200,
    "deprovision": 422,
    "fetch": 422,
}
_BOUND: Final = {
    **_UNBOUND,
    "bind": 200,
    "unbind": 422,
    "fetch of the binding": 200,
    "poll of the binding": 200,
}
EXPECTED: Final[Mapping[str, Mapping[str, int]]] = {
    "provision": _UNMADE,
    "update of parameters": {**_UNBOUND, "update of parameters": 202},
    "update of the plan": {**_BOUND, "update of the plan": 202},
    "bind": {**_UNBOUND, "bind": 202, "unbind": 200, "fetch": 200, "poll of the binding": 200},
    "unbind": {**_UNBOUND, "unbind": 202, "fetch": 200, "poll of the binding": 200},
    "deprovision": {**_UNBOUND, "same provision": 422, "deprovision": 202, "poll of the binding": 200},
}
#: While what has failed is being undone.
EXPECTED_UNDOING: Final[Mapping[str, Mapping[str, int]]] = {
    "provision": {**_UNMADE, "same provision": 422},
    "update of the plan": _BOUND,
    "bind": {**_UNBOUND, "bind": 202, "unbind": 202, "fetch": 200, "poll of the binding": 200},
}
#: What differs at single steps.
AT_STEP: Final[Mapping[tuple[str, str, str], int]] = {
    ("provision", "ready", "deprovision"): 200,
    ("provision", "execute", "deprovision"): 200,
    ("deprovision", "unbind", "unbind"): 422,
}


class MatrixTests(SynchronousTestCase):
    """Every step of every operation, and every request."""

    def test_complete(self) -> None:
        """The table names every operation and every request."""
        for table, operations in ((EXPECTED, STEPS), (EXPECTED_UNDOING, UNDOING)):
            self.assertEqual(set(table), set(operations))
            for row in table.values():
                self.assertEqual(set(row), set(REQUESTS))

    def meet(self, operation: str, step: str, expected: Mapping[str, int], failing: str | None) -> None:
        """Hold the operation at the step, and send each request to it, in a world of its own."""
        for request in REQUESTS:
            meeting = Meeting.of(operation, step, failing=failing)
            why = f"{request} while {operation} is at {step}"
            self.assertTrue(meeting.hold.reached, why)
            status = meeting.status(request)
            wanted = expected[request]
            if failing is None:
                wanted = AT_STEP.get((operation, step, request), wanted)
            self.assertEqual(status, wanted, why)
            meeting.finish()
            self.assertEqual(settled_complaints(meeting.world, meeting.platform), [], why)


def _add(operation: str, step: str, expected: Mapping[str, int], failing: str | None) -> None:
    def test(self: MatrixTests) -> None:
        self.meet(operation, step, expected, failing)

    undoing = ", being undone," if failing is not None else ""
    test.__doc__ = f"While a {operation}{undoing} is at the step {step!r}, all requests get what OSB says."
    setattr(MatrixTests, f"test_{operation.replace(' ', '_')}_{step}", test)


for _operation, _steps in STEPS.items():
    for _step in _steps:
        _add(_operation, _step, EXPECTED[_operation], None)
for _operation, (_failing, _steps) in UNDOING.items():
    for _step in _steps:
        _add(_operation, _step, EXPECTED_UNDOING[_operation], _failing)

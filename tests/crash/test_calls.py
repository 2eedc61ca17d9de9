"""Whatever call fails, hangs or loses its reply: all invariants hold, and the answer is true."""

from tests.crash.calls import OPERATIONS
from tests.crash.cases import CallCase, add_operation


class AsynchronousCallTests(CallCase):
    """Requests that may be answered 202."""


class SynchronousCallTests(CallCase):
    """Requests that must wait."""


for _operation in OPERATIONS:
    add_operation(AsynchronousCallTests, _operation, asynchronous=True)
    add_operation(SynchronousCallTests, _operation, asynchronous=False)

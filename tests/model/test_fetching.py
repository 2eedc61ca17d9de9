"""What platforms may see of what is stored."""

from typing import Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import ConcurrencyError, NotFound
from dockerbroker.model.fetching import fetched_binding, fetched_instance
from dockerbroker.model.instances import BindingState, InstanceState
from dockerbroker.model.requests import FetchRequest
from tests.model.values import binding, instance

FETCH: Final = FetchRequest(instance_id="i-1")


class InstanceTests(SynchronousTestCase):
    """GET of an instance."""

    def test_states(self) -> None:
        """It is there as soon as it was made, and cannot be read while it changes."""
        expected: dict[InstanceState, type[Exception] | None] = {
            InstanceState.PROVISIONING: NotFound,
            InstanceState.READY: None,
            InstanceState.UPDATING: ConcurrencyError,
            InstanceState.DEPROVISIONING: ConcurrencyError,
            InstanceState.FAILED: None,
        }
        for state in InstanceState:
            stored = instance(state=state)
            if (error := expected[state]) is not None:
                self.assertRaises(error, fetched_instance, FETCH, stored)
            else:
                self.assertEqual(fetched_instance(FETCH, stored), stored)

    def test_unknown(self) -> None:
        """Nothing is found under an unknown id."""
        self.assertRaises(NotFound, fetched_instance, FETCH, None)

    def test_hints(self) -> None:
        """The ids of service and plan are hints that may be out of date."""
        asked = evolve(FETCH, service_id="mysql", plan_id="mysql_200")
        self.assertEqual(fetched_instance(asked, instance()), instance())


class BindingTests(SynchronousTestCase):
    """GET of a binding."""

    def test_states(self) -> None:
        """It is there when it is bound, and only then."""
        for state in BindingState:
            stored = binding(state=state)
            if state is BindingState.BOUND:
                self.assertEqual(fetched_binding(stored), stored)
            else:
                self.assertRaises(NotFound, fetched_binding, stored)

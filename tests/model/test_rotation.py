"""Binds that are to replace another binding."""

from typing import Any, Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import (
    InvalidRequest,
)
from dockerbroker.model.instances import (
    BindingState,
    ServiceBinding,
)
from dockerbroker.model.secrets import Secret
from dockerbroker.model.transitions import (
    bind_decision,
    check_predecessor,
)
from tests.model.test_transitions import BIND, decided
from tests.model.values import REDIS, binding, instance


class RotationTests(SynchronousTestCase):
    """PUT of a binding that is to replace another one (OSB section Binding Rotation)."""

    rotate: Final = evolve(BIND, predecessor_binding_id="b-0")
    bare: Final = evolve(rotate, service_id="", plan_id="")

    def test_new(self) -> None:
        """The two ids may be left out, but not one of them alone; given, they must be the instance's."""
        for request, expected in (
            (self.rotate, "begin"),
            (self.bare, "begin"),
            (evolve(self.rotate, plan_id=""), "invalid"),
            (evolve(self.rotate, service_id=""), "invalid"),
            (evolve(self.rotate, plan_id="redis_200"), "invalid"),
        ):
            self.assertEqual(decided(bind_decision, request, instance(), None, None), expected, request)

    def test_same(self) -> None:
        """A repeated rotation names the same predecessor; what was taken over from that does not count."""
        stored = binding(
            state=BindingState.BOUND,
            predecessor_id="b-0",
            app_guid="app-1",
            parameters=Secret({"a": 1}),
            bind_resource={"app_guid": "app-1"},
        )
        for request, expected in (
            (self.rotate, "done"),
            (self.bare, "done"),
            (evolve(self.rotate, predecessor_binding_id="b-9"), "conflict"),
            (BIND, "conflict"),
        ):
            self.assertEqual(decided(bind_decision, request, instance(), stored, None), expected, request)

    def test_binding_that_is_no_rotation(self) -> None:
        """A binding that was made without a predecessor is not the one that a rotation asks for."""
        stored = binding(state=BindingState.BOUND)
        self.assertEqual(decided(bind_decision, self.rotate, instance(), stored, None), "conflict")

    def checked(self, predecessor: ServiceBinding | None, *, rotatable: bool = True, now: float = 0.0) -> str:
        """Return what is said of the predecessor, empty when it is good."""
        stored = instance(evolve(REDIS, plans=(evolve(REDIS.plan, binding_rotatable=rotatable),)))
        try:
            check_predecessor(self.rotate, stored, predecessor, now)
        except InvalidRequest as error:
            return error.description
        return ""

    def test_predecessor(self) -> None:
        """It must be bound, and of the plan it must be said that its bindings can be rotated."""
        bound = binding(id="b-0", state=BindingState.BOUND)
        self.assertEqual(self.checked(bound), "")
        self.assertIn("cannot be rotated", self.checked(bound, rotatable=False))
        self.assertIn("no binding of this service instance", self.checked(None))
        for state in set(BindingState) - {BindingState.BOUND}:
            self.assertIn("no binding of this", self.checked(evolve(bound, state=state)))

    def test_expiry(self) -> None:
        """A predecessor that has expired cannot be rotated; one that does not say when never does."""
        metadata: tuple[tuple[Any, float, bool], ...] = (
            ({"expires_at": "2030-01-01T00:00:00.0Z"}, 1893456000.0, True),
            ({"expires_at": "2030-01-01T00:00:00.0Z"}, 1893455999.0, False),
            ({"expires_at": "2030-01-01T00:00:00Z"}, 1893456000.0, True),
            ({"renew_before": "2001-01-01T00:00:00.0Z"}, 1893456000.0, False),
            ({}, 1893456000.0, False),
            (None, 1893456000.0, False),
        )
        for members, now, expired in metadata:
            document = Secret({"credentials": {}, "metadata": members})
            found = self.checked(binding(id="b-0", state=BindingState.BOUND, document=document), now=now)
            self.assertEqual("has expired" in found, expired, (members, now, found))

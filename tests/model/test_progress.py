"""The sentences about an operation that people read."""

from itertools import product
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.instances import OperationKind, Phase, Step
from dockerbroker.model.progress import sentence
from tests.model.values import instance, operation

#: What is said of each step; most steps are of one kind of operation only.
DOING = {
    (OperationKind.PROVISION, Step.CREATE): "creating the container of redis on 10.0.0.1",
    (OperationKind.PROVISION, Step.START): "starting redis on 10.0.0.1",
    (OperationKind.PROVISION, Step.READY): "waiting for redis to become healthy on 10.0.0.1",
    (OperationKind.PROVISION, Step.EXECUTE): "running /provision of redis on 10.0.0.1",
    (OperationKind.PROVISION, Step.KEEP): "finishing redis on 10.0.0.1",
    (OperationKind.UPDATE, Step.HALT): "stopping the present container of redis on 10.0.0.1",
    (OperationKind.UPDATE, Step.EXECUTE): "running /update of redis on 10.0.0.1",
    (OperationKind.UPDATE, Step.RETIRE): "removing the former container of redis on 10.0.0.1",
    (OperationKind.BIND, Step.EXECUTE): "running /bind of redis on 10.0.0.1",
    (OperationKind.UNBIND, Step.EXECUTE): "running /unbind of redis on 10.0.0.1",
    (OperationKind.DEPROVISION, Step.UNBIND): "removing the bindings of redis on 10.0.0.1",
    (OperationKind.DEPROVISION, Step.EXECUTE): "running /deprovision of redis on 10.0.0.1",
    (OperationKind.DEPROVISION, Step.REMOVE): "removing the container of redis on 10.0.0.1",
}
UNDOING = {
    (OperationKind.PROVISION, Step.UNDO): "cleaning up redis on 10.0.0.1",
    (OperationKind.PROVISION, Step.REMOVE): "removing the container of redis on 10.0.0.1",
    (OperationKind.UPDATE, Step.DISCARD): "removing the new container of redis on 10.0.0.1",
    (OperationKind.UPDATE, Step.RESTORE): "starting the former container of redis on 10.0.0.1 again",
}


class SentenceTests(SynchronousTestCase):
    """What is said at 112 seconds of an operation that began at 40, and its present step at 100."""

    def said(self, kind: OperationKind, **members: Any) -> str:
        """Return the sentence."""
        times = {"created_at": 40.0, "step_at": 100.0}
        return sentence(operation(kind, **{**times, **members}), instance(), 112.9)

    def test_each_step(self) -> None:
        """It tells what is done, of which service, on which host, and since when."""
        for (kind, step), expected in DOING.items():
            self.assertEqual(self.said(kind, step=step), f"{expected} (12 s)")

    def test_undoing(self) -> None:
        """Of what is being undone it tells first why."""
        for (kind, step), expected in UNDOING.items():
            found = self.said(kind, step=step, phase=Phase.FAILING, description="It failed.")
            self.assertEqual(found, f"It failed. Undoing it: {expected} (12 s)")

    def test_tries(self) -> None:
        """It tells of later attempts which one it is."""
        self.assertIn("(12 s, attempt 3)", self.said(OperationKind.BIND, attempt=3))

    def test_waiting(self) -> None:
        """Of what goes forward and waits to be tried again it tells why."""
        found = self.said(OperationKind.DEPROVISION, step=Step.REMOVE, description="Docker is away.")
        self.assertEqual(found, "removing the container of redis on 10.0.0.1 (12 s): Docker is away.")

    def test_since(self) -> None:
        """A record without the time of its step counts from its beginning; nothing is negative."""
        self.assertIn("(72 s)", self.said(OperationKind.BIND, step_at=0.0))
        self.assertIn("(0 s)", self.said(OperationKind.BIND, step_at=200.0))

    def test_over(self) -> None:
        """When it is over it tells what there is now, or why it failed, in some words always."""
        for kind in OperationKind:
            done = self.said(kind, phase=Phase.SUCCEEDED)
            self.assertIn("is", done)
            self.assertNotIn("(", done)
            failed = self.said(kind, phase=Phase.FAILED, description="It failed.")
            self.assertEqual(failed, "It failed.")
            self.assertEqual(self.said(kind, phase=Phase.FAILED), f"the {kind.value} failed")

    def test_whatever_it_is(self) -> None:
        """There is a sentence for every record, also when its instance is gone."""
        for kind, step, phase in product(OperationKind, Step, Phase):
            found = sentence(operation(kind, step=step, phase=phase), None, 1.0)
            self.assertTrue(found)
            self.assertNotIn("{", found)

"""What the records of operations tell."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model import auditing
from dockerbroker.model.executables import Action, ExecutionResult, failure
from dockerbroker.model.instances import Change, Operation, OperationKind, Phase, Step

_SECRET = "password-swordfish"
_OPERATION = Operation(id="o", kind=OperationKind.BIND, instance_id="i", step=Step.UNDO)


def told(description: str) -> str:
    """Return what is told of an operation that has failed with the description."""
    failed = evolve(_OPERATION, description=description).over(Phase.FAILED, 1.0)
    [entry] = auditing.of_commit(Change(operation=failed))
    return entry.detail


class FailureTests(SynchronousTestCase):
    """The end of an operation that has failed."""

    def test_kinds(self) -> None:
        """A record tells the kind of failure, with its exit status or step."""
        ended = ExecutionResult(exit_code=7, stdout=b"", stderr_tail=_SECRET.encode())
        for description, expected in {
            failure(Action.BIND, ended, frozenset()): "/bind of the service image failed with exit status 7.",
            f"/update of the service image printed something other than one JSON object: {_SECRET}": (
                "/update of the service image printed something other than one JSON object."
            ),
            f"The container of x on y ended with exit status 3. Its last log lines: {_SECRET}": (
                "The container ended with exit status 3."
            ),
            f"The container of x on y was not ready within 60 s. Its last log lines: {_SECRET}": (
                "The container was not ready."
            ),
            "The bind took too long: it was stopped in the step 'execute'.": (
                "The bind took too long: it was stopped in the step 'execute'."
            ),
        }.items():
            self.assertEqual(told(description), expected)

    def test_others(self) -> None:
        """Whatever else is said stands in no record: an image may have said it."""
        self.assertEqual(told(_SECRET), "The record of the operation tells why.")
        self.assertEqual(told(f"{_SECRET}\nThe creation was ended by a deletion"), told(""))

    def test_success(self) -> None:
        """What has succeeded tells nothing more."""
        [entry] = auditing.of_commit(Change(operation=_OPERATION.over(Phase.SUCCEEDED, 1.0)))
        self.assertEqual(entry.detail, "")

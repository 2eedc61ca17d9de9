"""The one table from errors to statuses."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker import errors
from dockerbroker.web.osb import STATUS, failure


class StatusTests(SynchronousTestCase):
    """Every error of the closed list."""

    def test_every_error_has_a_status(self) -> None:
        """Each class has the status of the specification; what is nobody else's is a 500."""
        expected: dict[type[errors.BrokerError], int] = {
            errors.InvalidRequest: 400,
            errors.Unauthenticated: 401,
            errors.Forbidden: 403,
            errors.NotFound: 404,
            errors.MethodNotAllowed: 405,
            errors.TooSlow: 408,
            errors.Conflict: 409,
            errors.Gone: 410,
            errors.UnsupportedVersion: 412,
            errors.PreconditionFailed: 412,
            errors.TooLarge: 413,
            errors.TargetTooLong: 414,
            errors.UnsupportedContent: 415,
            errors.TooManyRequests: 429,
            errors.AsyncRequired: 422,
            errors.ConcurrencyError: 422,
            errors.MaintenanceInfoConflict: 422,
            errors.UpdateRefused: 422,
            errors.HeadTooLarge: 431,
            errors.NoCapacity: 503,
            errors.NoPort: 503,
            errors.Unavailable: 503,
            errors.Unreadable: 503,
        }
        coded = {errors.AsyncRequired, errors.ConcurrencyError, errors.MaintenanceInfoConflict}
        more: dict[Any, dict[str, Any]] = {
            errors.ExecutableOverrun: {"ended": True},
            errors.TooManyRequests: {"retry_after": 1},
        }
        every: list[Any] = [found for found in vars(errors).values() if isinstance(found, type)]
        for kind in every:
            error = kind("It is so.", **more.get(kind, {}))
            code = {"error": kind.__name__} if kind in coded else {}
            self.assertEqual(failure(error), (expected.get(kind, 500), {"description": "It is so.", **code}))

    def test_order(self) -> None:
        """In the table a class stands before its bases, so that it is found."""
        kinds = [kind for kind, _, _ in STATUS]
        for position, kind in enumerate(kinds):
            for later in kinds[position + 1 :]:
                self.assertFalse(issubclass(later, kind), (later, kind))

    def test_consequences(self) -> None:
        """What a failure means for the instance is told where it is known, and only there."""
        for usable in (True, False, None):
            for repeatable in (True, False, None):
                error = errors.OperationFailed(
                    "It failed.", instance_usable=usable, update_repeatable=repeatable
                )
                expected: dict[str, Any] = {"description": "It failed."}
                if usable is not None:
                    expected["instance_usable"] = usable
                if repeatable is not None:
                    expected["update_repeatable"] = repeatable
                self.assertEqual(failure(error), (500, expected))

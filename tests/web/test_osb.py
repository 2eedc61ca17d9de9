"""The one table from errors to statuses."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker import errors
from dockerbroker.web.osb import STATUS, check_identifier, failure


class StatusTests(SynchronousTestCase):
    """Every error of the closed list."""

    def test_every_error_has_a_status(self) -> None:
        """Each class has the status of the specification; what is nobody else's is a 500."""
        expected: dict[type[errors.BrokerError], int] = {
            errors.InvalidRequest: 400,
            errors.Unauthenticated: 401,
            errors.NotFound: 404,
            errors.MethodNotAllowed: 405,
            errors.Conflict: 409,
            errors.Gone: 410,
            errors.UnsupportedVersion: 412,
            errors.TooLarge: 413,
            errors.ConcurrencyError: 422,
            errors.MaintenanceInfoConflict: 422,
            errors.NoCapacity: 503,
            errors.Unavailable: 503,
        }
        every: list[Any] = [found for found in vars(errors).values() if isinstance(found, type)]
        for kind in every:
            error = kind("It is so.", ended=True) if kind is errors.ExecutableOverrun else kind("It is so.")
            status, body = failure(error)
            self.assertEqual(status, expected.get(kind, 500), kind)
            self.assertEqual(body["description"], "It is so.")
            self.assertEqual(body.get("error"), kind.__name__ if status == 422 else None)

    def test_order(self) -> None:
        """In the table a class stands before its bases, so that it is found."""
        kinds = [kind for kind, _, _ in STATUS]
        for position, kind in enumerate(kinds):
            for later in kinds[position + 1 :]:
                self.assertFalse(issubclass(later, kind), (later, kind))


class IdentifierTests(SynchronousTestCase):
    """What an id of a platform may be."""

    def test_bounds(self) -> None:
        """From 1 to 255 characters are an id, whatever their size in bytes."""
        for identifier in ("x", "x" * 255, "\U0001f600" * 255, " ", "..."):
            self.assertEqual(check_identifier("instance id", identifier), identifier)
        for identifier in ("", "x" * 256, ".", "..", "a/b", "\x00", "\x7f", "\x85", "a\n"):
            error = self.assertRaises(errors.InvalidRequest, check_identifier, "binding id", identifier)
            self.assertIn("The binding id must", error.description)

"""The one table from what can go wrong to the statuses of the Open Service Broker API.

`osb_requests` decodes what platforms send, `osb_answers` encodes what they are answered.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from twisted.web.http import RESPONSES

from dockerbroker import errors

#: THE table: what can go wrong -> HTTP status and, where the specification names one, its error code.
#: The first class that matches counts, so that subclasses stand before their bases.
STATUS: tuple[tuple[type[errors.BrokerError], int, str | None], ...] = (
    (errors.InvalidRequest, 400, None),
    (errors.Unauthenticated, 401, None),
    (errors.Forbidden, 403, None),
    (errors.NotFound, 404, None),
    (errors.MethodNotAllowed, 405, None),
    (errors.TooSlow, 408, None),
    (errors.Conflict, 409, None),
    (errors.Gone, 410, None),
    (errors.UnsupportedVersion, 412, None),
    (errors.PreconditionFailed, 412, None),
    (errors.TooLarge, 413, None),
    (errors.TargetTooLong, 414, None),
    (errors.UnsupportedContent, 415, None),
    (errors.AsyncRequired, 422, "AsyncRequired"),
    (errors.ConcurrencyError, 422, "ConcurrencyError"),
    (errors.MaintenanceInfoConflict, 422, "MaintenanceInfoConflict"),
    (errors.UpdateRefused, 422, None),
    (errors.TooManyRequests, 429, None),
    (errors.HeadTooLarge, 431, None),
    (errors.NoCapacity, 503, None),
    (errors.Unavailable, 503, None),
    (errors.BrokerError, 500, None),
)

#: What stands behind a status; Twisted has no words for some.
WORDS: Final[Mapping[int, bytes]] = MappingProxyType(
    {
        **RESPONSES,
        422: b"Unprocessable Entity",
        429: b"Too Many Requests",
        431: b"Request Header Fields Too Large",
    }
)


def failure(error: errors.BrokerError) -> tuple[int, dict[str, Any]]:
    """Return the status and the body that tell of the error."""
    for kind, status, code in STATUS:
        if isinstance(error, kind):
            named = {"error": code} if code is not None else {}
            return status, {**named, "description": error.description, **_consequences(error)}
    raise AssertionError(error)


def _consequences(error: errors.BrokerError) -> dict[str, bool]:
    """Return what the failure means for the instance, as far as that is said."""
    if not isinstance(error, errors.OperationFailed):
        return {}
    said = {"instance_usable": error.instance_usable, "update_repeatable": error.update_repeatable}
    return {member: value for member, value in said.items() if value is not None}

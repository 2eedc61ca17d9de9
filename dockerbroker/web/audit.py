"""The route by which administrators read the audit log."""

from typing import Any

from klein.resource import KleinResource
from twisted.web.server import Request

from dockerbroker.broker.audit_log import AuditFilter, AuditLog
from dockerbroker.errors import InvalidRequest
from dockerbroker.model.audit import AuditRecord
from dockerbroker.model.auditing import ACTIONS
from dockerbroker.web.answers import new_app
from dockerbroker.web.conditions import answer_known
from dockerbroker.web.parameters import OF_LISTS, takes
from dockerbroker.web.parts import Wanted, link
from dockerbroker.web.query import Query

#: No number and no time is larger.
_HIGHEST = 2**53


class AuditRoutes:
    """What administrators read of what was changed."""

    app = new_app()

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def resource(self) -> KleinResource:
        """Return the resource of these routes."""
        return self.app.resource()

    @app.route("/admin/audit", methods=["GET"])
    @takes(*OF_LISTS, "action", "subject", "since", "format")
    async def records(self, request: Request) -> bytes:
        """List records, the oldest first: as one document, or one in each line."""
        wanted = Wanted.of(request)
        query = wanted.query
        after = query.number("after", 0, least=0, most=_HIGHEST)
        part = await self._log.some(_filter(query), after=after, limit=wanted.limit)
        link(request, wanted, None if part.after is None else str(part.after))
        if not _is_by_line(query):
            return answer_known(request, [_encoded(record) for record in part.records])
        request.setHeader(b"content-type", b"application/x-ndjson")
        return answer_known(request, "".join(f"{record.line}\n" for record in part.records).encode())


def _filter(query: Query) -> AuditFilter:
    since = query.number("since", -1, least=0, most=_HIGHEST)
    action = query.filled("action")
    if action is not None and action not in ACTIONS:
        raise InvalidRequest(f"The query parameter action must be one of: {', '.join(sorted(ACTIONS))}.")
    return AuditFilter(action=action, subject=query.filled("subject"), since=None if since < 0 else since)


def _is_by_line(query: Query) -> bool:
    text = query.text("format")
    if text not in {None, "json", "ndjson"}:
        raise InvalidRequest("The query parameter format must be json or ndjson.")
    return text == "ndjson"


def _encoded(record: AuditRecord) -> dict[str, Any]:
    return {
        "number": record.number,
        "previous": record.previous,
        "hash": record.hash,
        "record": record.members,
    }

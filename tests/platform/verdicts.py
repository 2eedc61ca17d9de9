"""What Cloud Controller makes of one answer: the rules behind every cell of `matrix.md`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from attrs import evolve, field, frozen

from tests.platform import bodies


class Call(Enum):
    """What is asked of a broker, named as in the matrix; an update is polled as a create is."""

    CATALOG = "catalog"
    PROVISION = "provision"
    UPDATE = "update"
    DEPROVISION = "deprovision"
    POLL_INSTANCE = "inst last_op (create)"
    POLL_DEPROVISION = "inst last_op (delete)"
    BIND = "bind"
    POLL_BINDING = "bind last_op (create)"
    POLL_UNBIND = "bind last_op (delete)"
    UNBIND = "unbind"
    FETCH_INSTANCE = "fetch instance"
    FETCH_BINDING = "fetch binding"


class Lost(Enum):
    """Why there is no answer; a connection that was dropped was dropped twice (`Exchange`)."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    DROPPED = "dropped"


@frozen(kw_only=True)
class Reply:
    """An answer with a status line; the body may have been cut off."""

    status: int
    body: bytes = field(default=b"", repr=False)
    retry_after: str | None = None

    @property
    def document(self) -> Any:
        """The body as JSON, or None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def members(self) -> Mapping[str, Any]:
        """The members of the body, none when it is no JSON object."""
        return self.document if isinstance(self.document, dict) else {}


@frozen(kw_only=True)
class Verdict:
    """What an answer means: a state (`accepted` for what is only read), or an error.

    `mitigates` is whether orphan mitigation is begun. `status` is None when there was no answer.
    """

    state: str = "error"
    error: str | None = None
    mitigates: bool = False
    status: int | None = None
    document: Mapping[str, Any] = field(factory=dict, repr=False)
    description: str = ""


_CREATES: Final = {Call.PROVISION, Call.BIND}
_DELETES: Final = {Call.DEPROVISION, Call.UNBIND}
_INSTANCE_POLLS: Final = {Call.POLL_INSTANCE, Call.POLL_DEPROVISION}
_BINDING_POLLS: Final = {Call.POLL_BINDING, Call.POLL_UNBIND}
_FETCHES: Final = {Call.FETCH_INSTANCE, Call.FETCH_BINDING}
POLLS: Final = _INSTANCE_POLLS | _BINDING_POLLS
STATES: Final = ("in progress", "succeeded", "failed")

#: The statuses below 300 that an answer may have, and what they mean.
_GOOD: Final[Mapping[Call, Mapping[int, str]]] = {
    Call.CATALOG: {200: "accepted"},
    Call.PROVISION: {200: "succeeded", 201: "succeeded", 202: "in progress"},
    Call.UPDATE: {200: "succeeded", 202: "in progress"},
    Call.DEPROVISION: {200: "succeeded", 202: "in progress"},
    Call.POLL_INSTANCE: {200: "polled"},
    Call.POLL_DEPROVISION: {200: "polled"},
    Call.BIND: {200: "succeeded", 201: "succeeded", 202: "in progress"},
    Call.POLL_BINDING: {200: "polled"},
    Call.POLL_UNBIND: {200: "polled"},
    Call.UNBIND: {200: "succeeded", 202: "in progress"},
    Call.FETCH_INSTANCE: {200: "accepted"},
    Call.FETCH_BINDING: {200: "accepted"},
}
#: What a 422 means by its error code, and by any other.
_UNPROCESSABLE: Final[Mapping[Call, Mapping[str | None, str]]] = {
    Call.PROVISION: {
        "AsyncRequired": "AsyncRequired",
        "ConcurrencyError": "ConcurrencyError",
        "MaintenanceInfoConflict": "MaintenanceInfoConflict",
    },
    Call.UPDATE: {
        "AsyncRequired": "AsyncRequired",
        "MaintenanceInfoConflict": "MaintenanceInfoConflict",
        None: "RequestRejected",
    },
    Call.DEPROVISION: {"AsyncRequired": "AsyncRequired", "ConcurrencyError": "ApiError"},
    Call.BIND: {
        "AsyncRequired": "AsyncRequired",
        "ConcurrencyError": "ConcurrencyError",
        "RequiresApp": "AppRequired",
    },
    Call.UNBIND: {"AsyncRequired": "AsyncRequired", "ConcurrencyError": "ApiError"},
}
_LOST: Final = {
    Lost.TIMEOUT: "HttpClientTimeout",
    Lost.REFUSED: "ApiUnreachable",
    Lost.DROPPED: "HttpRequestError",
}
#: The errors after which a create may have made something, which is then to be deleted.
_MITIGATED: Final = {
    "HttpClientTimeout",
    "BadResponse",
    "ResponseMalformed",
    "InvalidVolumeMounts",
    "InvalidSyslogDrainUrl",
}
#: The errors that say that nothing was changed.
REJECTIONS: Final = frozenset(
    {
        "ApiAuthenticationFailed",
        "ApiError",
        "ApiUnreachable",
        "AppRequired",
        "AsyncRequired",
        "ConcurrencyError",
        "Conflict",
        "MaintenanceInfoConflict",
        "RequestRejected",
    }
)


def judge(call: Call, answer: Reply | Lost, requires: frozenset[str] = frozenset()) -> Verdict:
    """Return what Cloud Controller makes of the answer; `requires` is the offering's."""
    if isinstance(answer, Lost):
        verdict = Verdict(error=_LOST[answer], description=f"The broker gave no answer: {answer.value}.")
    else:
        judged = (
            _judge_good(call, answer, requires) if 200 <= answer.status < 300 else _judge_bad(call, answer)
        )
        text = "" if answer.status < 300 and judged.error is None else _description(answer)
        verdict = evolve(judged, status=answer.status, document=answer.members, description=text)
    if call in _BINDING_POLLS and verdict.error is not None:
        return evolve(verdict, state="in progress", error=None)
    malformed_but_done = verdict.error == "ResponseMalformed" and verdict.status == 200
    mitigates = call in _CREATES and verdict.error in _MITIGATED and not malformed_but_done
    return evolve(verdict, mitigates=mitigates)


def _judge_good(call: Call, reply: Reply, requires: frozenset[str]) -> Verdict:
    state = _GOOD[call].get(reply.status)
    # These read the body before they look at the status.
    reads_first = call is Call.CATALOG or call in _INSTANCE_POLLS
    if reply.status == 204 or (state is None and not reads_first):
        return Verdict(error="BadResponse")
    if not isinstance(reply.document, dict):
        return Verdict(error="ResponseMalformed")
    if state is None:
        return Verdict(error="BadResponse")
    if state == "polled":
        said = reply.members.get("state")
        return Verdict(state=said) if said in STATES else Verdict(error="ResponseMalformed")
    if error := _complaint(call, reply, requires):
        return Verdict(error=error)
    return Verdict(state=state)


def _complaint(call: Call, reply: Reply, requires: frozenset[str]) -> str | None:
    members = reply.members
    if call in _FETCHES:
        check = bodies.fetched_instance if call is Call.FETCH_INSTANCE else bodies.fetched_binding
        return None if check(members) else "ResponseMalformed"
    if call is Call.CATALOG:
        return None
    if not bodies.operation(members):
        return "ResponseMalformed"
    if call in {Call.PROVISION, Call.UPDATE}:
        return None if bodies.provisioned(members) else "ResponseMalformed"
    if call is Call.BIND and reply.status != 202:
        return bodies.complaint_of_bound(members, requires)
    return None


def _judge_bad(call: Call, reply: Reply) -> Verdict:
    status = reply.status
    if status == 410 and call in _DELETES | {Call.POLL_DEPROVISION, Call.POLL_UNBIND}:
        return Verdict(state="succeeded")
    if status == 410 and call in POLLS:
        return Verdict(state="in progress")
    if status == 400 and call in POLLS:
        return Verdict(state="failed")
    if status == 422:
        meanings = _UNPROCESSABLE.get(call, {})
        code = reply.members.get("error")
        code = code if isinstance(code, str) else None
        return Verdict(error=meanings.get(code, meanings.get(None, "BadResponse")))
    named = {401: "ApiAuthenticationFailed", 408: "ApiTimeout", 410: "BadResponse"}
    named[409] = "Conflict" if call in _CREATES else "BadResponse"
    return Verdict(error=named.get(status, "RequestRejected" if 400 <= status < 500 else "BadResponse"))


def _description(reply: Reply) -> str:
    text = reply.members.get("description")
    if isinstance(text, str) and text:
        return f"Service broker error: {text}"
    return f"The service broker answered {reply.status}: {reply.body.decode('utf-8', 'replace')}"

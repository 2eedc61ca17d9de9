"""What a platform asked and was told, as lines of JSON, and what follows from it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import asdict, field, fields, frozen

from dockerbroker.errors import InvalidRequest

CREATES: Final = frozenset({"provision", "bind"})
DELETES: Final = frozenset({"deprovision", "unbind"})
#: Polls of a creation or a change, and of a deletion.
POLLS: Final = frozenset({"poll", "poll deletion"})
CALLS: Final = CREATES | DELETES | POLLS | {"update", "fetch", "catalog"}
KINDS: Final = ("invoke", "ok", "fail", "info")


@frozen(order=True)
class Resource:
    """An instance, or one of its bindings."""

    instance_id: str
    binding_id: str | None = None


@frozen(kw_only=True)
class Event:
    """A line of a history.

    Each transmission of a request begins with `invoke` and ends with one of `ok` (answered, and it is as the
    answer says), `fail` (nothing was changed) and `info` (nobody knows); `number` joins the two. `at` is in
    seconds by the platform's clock. `state` is what the answer says, in OSB's words; `operation` what a 202
    named, or what a poll asked about; `credentials` a digest of what a binding was told.
    """

    number: int
    kind: str
    call: str
    at: float
    instance_id: str = ""
    binding_id: str | None = None
    status: int | None = None
    state: str | None = None
    operation: str | None = None
    credentials: str | None = None
    unannounced_close: bool = field(default=False)

    @property
    def resource(self) -> Resource:
        """What the request was about."""
        return Resource(self.instance_id, self.binding_id)


def encode_event(event: Event) -> str:
    """Return the event as a line of JSON."""
    return json.dumps(asdict(event), sort_keys=True)


def read_history(lines: Iterable[str]) -> tuple[Event, ...]:
    """Read lines of JSON; raises `InvalidRequest` naming the first line that is no event."""
    events = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            events.append(_read(json.loads(line)))
        except (TypeError, ValueError) as error:
            raise InvalidRequest(f"Line {number} of the history is no event: {error}.") from None
    return tuple(events)


def _read(document: Any) -> Event:
    if not isinstance(document, dict):
        raise TypeError("it is no object")
    known = {one.name for one in fields(Event)}
    event = Event(**{key: value for key, value in document.items() if key in known})
    if event.kind not in KINDS or event.call not in CALLS:
        raise ValueError(f"{event.kind!r} or {event.call!r} is not known")
    return event


def told(history: Iterable[Event]) -> Mapping[Resource, bool]:
    """Return of which resources the platform was told that they exist (true) or do not (false).

    Of all others nothing is known. An instance that is gone takes its bindings with it. What was only ever
    refused does not exist.
    """
    known: dict[Resource, bool] = {}
    for event in history:
        if event.call in CREATES:
            _told_create(event, known)
        elif event.call in DELETES:
            _told_delete(event, known)
        elif event.call in POLLS and event.kind == "ok" and event.state in {"succeeded", "failed"}:
            is_deletion = event.call == "poll deletion"
            if event.state == "failed":
                known.pop(event.resource, None)
            elif not is_deletion:
                known[event.resource] = True
            else:
                _gone(event.resource, known)
    return known


def _told_create(event: Event, known: dict[Resource, bool]) -> None:
    if event.kind == "ok" and event.state == "succeeded":
        known[event.resource] = True
    elif event.kind == "fail":
        known.setdefault(event.resource, False)
    elif event.kind != "invoke":
        known.pop(event.resource, None)


def _told_delete(event: Event, known: dict[Resource, bool]) -> None:
    if event.kind == "ok" and event.state == "succeeded":
        _gone(event.resource, known)
    elif event.kind in {"ok", "info"}:
        known.pop(event.resource, None)


def _gone(resource: Resource, known: dict[Resource, bool]) -> None:
    known[resource] = False
    if resource.binding_id is None:
        for other in known:
            if other.instance_id == resource.instance_id:
                known[other] = False

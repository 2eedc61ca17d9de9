"""A platform as the campaign needs it: it sends again what was dropped, polls, cleans up, and believes.

What it does is what Cloud Controller does: a request whose connection breaks is sent once more at once; 202
is polled every 60 seconds; a provision or bind that fails with 5xx is deleted without another word; a 4xx has
changed nothing.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from dockerbroker.model.instances import Operation, Phase
from tests.asking import Answer, binding_path, instance_path
from tests.crash.scenarios import SERVICE, Act
from tests.crash.service import TOLD_TO_FAIL
from tests.crash.world import Dropped, World, result

#: Seconds between two polls.
POLL_EVERY: Final = 60.0
#: No operation takes more polls: its deadline is 600 s, and what is undone waits a minute at most.
MOST_POLLS: Final = 30
_CREATIONS: Final = ("provision", "bind")
_DELETIONS: Final = ("deprovision", "unbind")


@define(eq=False)
class Deed:
    """An act, and what came of it.

    `outcome` is `done`, `failed` (something was tried), `refused` (nothing was changed), `accepted` (nobody
    asked further), `unknown` (two connections broke), or None while it lasts.
    """

    act: Act
    asked_at: float
    ended_at: float = float("inf")
    outcome: str | None = None
    statuses: list[int] = field(factory=list)
    told: str = ""
    credentials: Any = None

    @property
    def resource(self) -> tuple[str, str | None]:
        """What it is about."""
        return self.act.instance_id, self.act.binding_id

    def __str__(self) -> str:
        """Return one line for a person."""
        sync = "" if self.act.asynchronous else " (synchronous)"
        what = f"{self.act.kind} {self.act.instance_id} {self.act.binding_id or ''}".strip()
        when = f"{self.asked_at:.1f}..{self.ended_at:.1f}"
        return f"{when} {what}{sync}: {self.outcome} {self.statuses} {self.told}"


def request_of(act: Act) -> tuple[str, str, Any]:
    """Return method, path and body."""
    ids = {"service_id": SERVICE.service_id, "plan_id": "small"}
    path = instance_path(act.instance_id)
    if act.binding_id is not None:
        path = binding_path(act.instance_id, act.binding_id)
    incomplete = "accepts_incomplete=true" if act.asynchronous else ""
    if act.kind in _DELETIONS:
        query = "&".join(f"{key}={value}" for key, value in ids.items())
        return "DELETE", f"{path}?{query}&{incomplete}".rstrip("&"), None
    body: dict[str, Any] = dict(ids)
    if act.kind == "provision":
        body.update(organization_guid="o-1", space_guid="s-1", parameters={"size": 0})
    if act.kind == "update":
        del body["plan_id"]
        body.update(act.change)
    return ("PATCH" if act.kind == "update" else "PUT"), f"{path}?{incomplete}".rstrip("?"), body


@define(eq=False)
class Platform:
    """Sends requests and remembers what came of them."""

    world: World
    deeds: list[Deed] = field(factory=list)
    plans: dict[str, str] = field(factory=dict)

    def perform(self, act: Act) -> Deferred[Deed]:
        """Do what the act says, to its end."""
        deed = Deed(act, self.world.clock.seconds())
        self.deeds.append(deed)
        return Deferred.fromCoroutine(self._perform(deed))

    async def _perform(self, deed: Deed) -> Deed:
        try:
            answer = await self._ask_twice(deed, *self._request(deed.act))
            deed.outcome = await self._outcome(deed, answer)
        except Dropped:
            deed.outcome = "unknown"
        deed.ended_at = self.world.clock.seconds()
        if deed.outcome == "failed" and deed.act.kind in _CREATIONS and deed.statuses[-1] >= 500:
            await self._mitigate(deed.act)
        return deed

    def _request(self, act: Act) -> tuple[str, str, Any]:
        method, path, body = request_of(act)
        plan = self.plans.get(act.instance_id, "small")
        if act.kind in {"bind", "unbind", "deprovision"}:
            # Cloud Controller knows which plan an instance has.
            path = path.replace("plan_id=small", f"plan_id={plan}")
            body = body and {**body, "plan_id": plan}
        return method, path, body

    async def _ask_twice(self, deed: Deed, method: str, path: str, body: Any) -> Answer:
        try:
            answer = await self.world.ask(method, path, body)
        except Dropped:
            answer = await self.world.ask(method, path, body)
        deed.statuses.append(answer.status)
        return answer

    async def _outcome(self, deed: Deed, answer: Answer) -> str:
        kind = deed.act.kind
        if answer.status == 202:
            return await self._polled(deed, answer.json["operation"])
        if answer.status in {200, 201} or (answer.status == 410 and kind in _DELETIONS):
            if kind == "bind":
                deed.credentials = answer.json.get("credentials")
            self._learn(deed.act)
            return "done"
        deed.told = answer.json.get("description", "")
        return "failed" if answer.status >= 500 else "refused"

    def _learn(self, act: Act) -> None:
        if act.kind == "update" and "plan_id" in act.change:
            self.plans[act.instance_id] = act.change["plan_id"]
        if act.kind == "deprovision":
            self.plans.pop(act.instance_id, None)

    async def _polled(self, deed: Deed, operation: str) -> str:
        path = instance_path(deed.act.instance_id)
        if deed.act.binding_id is not None:
            path = binding_path(deed.act.instance_id, deed.act.binding_id)
        url = f"{path}/last_operation?operation={operation}"
        for _ in range(MOST_POLLS):
            try:
                answer = await self.world.ask("GET", url)
            except Dropped:
                answer = None
            if answer is not None:
                deed.statuses.append(answer.status)
                if (final := await self._final(deed, answer)) is not None:
                    return final
            await deferLater(self.world.clock, POLL_EVERY)
        self.world.complaints.append(f"never ends: {deed}")
        return "unknown"

    async def _final(self, deed: Deed, answer: Answer) -> str | None:
        is_deletion = deed.act.kind in _DELETIONS
        if answer.status == 410 and is_deletion:
            return "done"
        if answer.status == 400:
            self.world.complaints.append(f"400 to a poll, which is final for Cloud Controller: {deed}")
            return "failed"
        if answer.status != 200 or answer.json["state"] == "in progress":
            return None
        deed.told = answer.json.get("description", "")
        if answer.json["state"] == "failed":
            return "failed"
        self._learn(deed.act)
        return "done"

    async def _mitigate(self, act: Act) -> None:
        """Delete what may be there of a creation that failed with 5xx; nobody asks how that ends."""
        kind = "deprovision" if act.kind == "provision" else "unbind"
        mitigation = Act(kind=kind, instance_id=act.instance_id, binding_id=act.binding_id)
        for attempt in range(6):
            deed = Deed(mitigation, self.world.clock.seconds())
            self.deeds.append(deed)
            try:
                answer = await self._ask_twice(deed, *self._request(mitigation))
                deed.outcome = {200: "done", 410: "done", 202: "accepted"}.get(answer.status, "failed")
            except Dropped:
                deed.outcome = "unknown"
            deed.ended_at = self.world.clock.seconds()
            if deed.outcome in {"done", "accepted"}:
                return
            await deferLater(self.world.clock, 60.0 * 2**attempt)

    def belief(self, resource: tuple[str, str | None]) -> str | None:
        """Return `present` or `absent` when what the platform was told allows but one of them, else None.

        Of requests that overlapped nothing is concluded, unless a deletion came after all of them.
        """
        about = [deed for deed in self.deeds if _concerns(deed, resource)]
        if not about:
            return None
        *others, last = about
        if any(other.ended_at > last.asked_at for other in others):
            return None
        if last.act.kind in _DELETIONS:
            is_gone = last.outcome == "done" or (last.outcome == "accepted" and not self._is_kept(resource))
            return "absent" if is_gone else None
        made = False
        for deed in about:
            made = deed.act.kind in _CREATIONS and (made or deed.outcome == "done")
        return "present" if made else None

    def _is_kept(self, resource: tuple[str, str | None]) -> bool:
        """Whether the image's own executable has kept the resource from being removed."""
        last: Operation | None = result(self.world.reader.last_operation(*resource))
        return last is not None and last.phase is Phase.FAILED and TOLD_TO_FAIL in last.description


def _concerns(deed: Deed, resource: tuple[str, str | None]) -> bool:
    """Whether the deed may make or remove the resource; a deprovision removes the bindings, too."""
    if deed.outcome == "refused":
        return False
    if deed.resource == resource:
        return deed.act.kind != "update"
    return deed.act.kind == "deprovision" and deed.act.instance_id == resource[0]

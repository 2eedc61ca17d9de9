"""The platform's jobs: a create, a change or a removal, from its request to what the user sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tests.platform.beliefs import Belief, Beliefs, Resource, after_create, after_delete
from tests.platform.exchange import Exchange, Request
from tests.platform.offerings import Offering
from tests.platform.verdicts import Call, Verdict
from tests.platform.waiting import Mitigation, Polling, longest_polling

_POLL_OF: Final[Mapping[Call, Call]] = {
    Call.PROVISION: Call.POLL_INSTANCE,
    Call.UPDATE: Call.POLL_INSTANCE,
    Call.DEPROVISION: Call.POLL_DEPROVISION,
    Call.BIND: Call.POLL_BINDING,
    Call.UNBIND: Call.POLL_UNBIND,
}
_UNDONE_BY: Final[Mapping[Call, Call]] = {Call.PROVISION: Call.DEPROVISION, Call.BIND: Call.UNBIND}


@frozen(kw_only=True)
class Outcome:
    """What the user sees in the end.

    The state is `succeeded`, `failed`, `refused` (by the platform, and nothing was sent) or `superseded` (a
    removal came between). `error` is the class of a failure's error, None of one that the broker reported by
    polling. `document` is what an instance or binding was given.
    """

    state: str
    description: str = ""
    error: str | None = None
    document: Mapping[str, Any] = field(factory=dict, repr=False)


@define(eq=False)
class Held:
    """What the platform keeps of an instance or binding; `job` is the request that goes on.

    `is_answered` is whether the broker has answered that request, so that a removal may come between.
    """

    offering: Offering
    job: Request | None = None
    is_answered: bool = False
    is_created: bool = False
    is_being_removed: bool = False

    def begin(self, job: Request) -> None:
        """Begin a job; the one that went on is superseded."""
        self.job, self.is_answered = job, False

    def end(self, job: Request) -> None:
        """End the job, unless it was superseded."""
        if self.job is job:
            self.job = None

    @property
    def is_busy(self) -> bool:
        """Whether anything goes on."""
        return self.job is not None or self.is_being_removed

    @property
    def may_be_removed(self) -> bool:
        """Whether the user may remove it: nothing goes on but a create that was answered."""
        if self.is_being_removed:
            return False
        return self.job is None or (self.is_answered and self.job.call in _UNDONE_BY)


@define(eq=False, kw_only=True)
class Jobs:
    """Carries out jobs; orphan mitigation goes on by itself afterwards, and is kept in `mitigations`."""

    exchange: Exchange
    clock: IReactorTime
    beliefs: Beliefs = field(factory=Beliefs)
    mitigations: list[Mitigation] = field(factory=list)
    _log = Logger()

    async def create(self, held: Held, request: Request) -> Outcome:
        """Make an instance or binding."""
        resource, started = _resource(request), self.clock.seconds()
        held.begin(request)
        self.beliefs.hold(resource, Belief.UNKNOWN)
        answered = await self.exchange.ask(request, held.offering.requires)
        held.is_answered = True
        self.beliefs.hold(resource, after_create(answered))
        verdict: Verdict | None = answered.verdict
        if answered.verdict.mitigates:
            self.mitigate(held, request)
        elif answered.verdict.state == "in progress":
            verdict = await self._finished(held, request, answered.verdict, started)
        if held.job is not request:
            return Outcome(state="superseded")
        held.end(request)
        outcome = outcome_of(verdict)
        held.is_created = outcome.state == "succeeded"
        return outcome

    async def _finished(
        self, held: Held, request: Request, accepted: Verdict, started: float
    ) -> Verdict | None:
        if request.call is Call.BIND and not held.offering.bindings_retrievable:
            return Verdict(error="BindingNotRetrievable", description="The binding cannot be fetched.")
        verdict = await self._follow(held, request, accepted, started)
        if held.job is not request:
            return None
        if verdict is None:
            self.mitigate(held, request)
            return None
        is_there = verdict.state == "succeeded"
        self.beliefs.hold(_resource(request), Belief.EXISTS if is_there else Belief.GONE)
        return await self._fetched(held, request, verdict) if is_there else verdict

    async def _fetched(self, held: Held, request: Request, verdict: Verdict) -> Verdict:
        # Of an instance only the dashboard is of interest, and it is done without; of a binding, everything.
        if request.call is Call.PROVISION and not held.offering.instances_retrievable:
            return evolve(verdict, document={})
        call = Call.FETCH_INSTANCE if request.call is Call.PROVISION else Call.FETCH_BINDING
        fetch = Request(call=call, instance_id=request.instance_id, binding_id=request.binding_id)
        fetched = (await self.exchange.ask(fetch)).verdict
        if fetched.error is None:
            return evolve(verdict, document=fetched.document)
        if request.call is Call.PROVISION:
            return evolve(verdict, document={})
        if held.job is request:
            self.beliefs.hold(_resource(request), Belief.UNKNOWN)
        return fetched

    async def change(self, held: Held, request: Request) -> Outcome:
        """Change an instance."""
        started = self.clock.seconds()
        held.begin(request)
        answered = await self.exchange.ask(request)
        held.is_answered = True
        verdict: Verdict | None = answered.verdict
        if answered.verdict.state == "in progress":
            verdict = await self._follow(held, request, answered.verdict, started)
        held.end(request)
        return outcome_of(verdict)

    async def remove(self, held: Held, request: Request) -> Outcome:
        """Remove an instance or binding, in the midst of its create if need be."""
        resource, started = _resource(request), self.clock.seconds()
        before = self.beliefs.of(resource)
        self.beliefs.hold(resource, Belief.UNKNOWN)
        answered = await self.exchange.ask(request)
        verdict: Verdict | None = answered.verdict
        if answered.verdict.error is not None:
            # A create that has ended meanwhile told more than was known before.
            now = self.beliefs.of(resource)
            known = before if now is Belief.UNKNOWN else now
            self.beliefs.hold(resource, after_delete(answered, known))
            return outcome_of(verdict)
        held.begin(request)
        held.is_answered = True
        if answered.verdict.state == "in progress":
            verdict = await self._follow(held, request, answered.verdict, started)
        held.end(request)
        is_gone = verdict is not None and verdict.state == "succeeded"
        self.beliefs.hold(resource, Belief.GONE if is_gone else Belief.UNKNOWN)
        return outcome_of(verdict)

    async def _follow(
        self, held: Held, request: Request, accepted: Verdict, started: float
    ) -> Verdict | None:
        query = {"service_id": held.offering.service_id, "plan_id": held.offering.plan_id}
        if operation := accepted.document.get("operation"):
            query["operation"] = operation
        polling = Polling(
            exchange=self.exchange,
            clock=self.clock,
            request=evolve(request, call=_POLL_OF[request.call], query=query, body=None),
            started=started,
            limit=longest_polling(held.offering.maximum_polling_duration),
        )
        return await polling.outcome(lambda: held.job is request)

    def mitigate(self, held: Held, request: Request) -> None:
        """Begin orphan mitigation of what the request may have made."""
        resource = _resource(request)
        delete = evolve(
            request,
            call=_UNDONE_BY[request.call],
            query=removal_query(held.offering),
            body=None,
            is_of_user=False,
        )
        mitigation = Mitigation(exchange=self.exchange, clock=self.clock, request=delete)
        self.mitigations.append(mitigation)
        self.beliefs.hold(resource, Belief.UNKNOWN)
        running = Deferred.fromCoroutine(mitigation.run(lambda: self.beliefs.hold(resource, Belief.GONE)))
        running.addErrback(lambda failure: self._log.failure("orphan mitigation", failure))


def outcome_of(verdict: Verdict | None) -> Outcome:
    """Return what the user sees of a final verdict; None is that the time was up."""
    if verdict is None:
        return Outcome(state="failed", error="JobTimeout", description="The job execution has timed out.")
    if verdict.state == "succeeded":
        return Outcome(state="succeeded", document=verdict.document)
    text = verdict.description or str(verdict.document.get("description", ""))
    return Outcome(state="failed", error=verdict.error, description=text)


def removal_query(offering: Offering) -> dict[str, str]:
    """Return the query of a DELETE."""
    return {
        "accepts_incomplete": "true",
        "plan_id": offering.plan_id,
        "service_id": offering.service_id,
    }


def _resource(request: Request) -> Resource:
    return Resource(request.instance_id, request.binding_id)

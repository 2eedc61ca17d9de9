"""A model of Cloud Controller: what it sends to a broker, when, and what it believes afterwards.

    platform = CloudController(client=client, clock=reactor, base_url="http://broker", auth=(user, password))
    outcome = await platform.create_service("i-1", "redis", "redis_100")

Each method returns when the platform is done, which for asynchronous work is after minutes of `clock`.
Orphan mitigation goes on by itself; `is_idle` tells whether any is left. The rules are those of Cloud
Controller's v3 API, where every request carries `accepts_incomplete=true`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from tests.platform.beliefs import Belief, Beliefs, Resource
from tests.platform.exchange import Event, Exchange, Request
from tests.platform.jobs import Held, Jobs, Outcome, removal_query
from tests.platform.messages import bind_body, provision_body, update_body
from tests.platform.offerings import Offering, read_offerings
from tests.platform.verdicts import Call

_INCOMPLETE: Final = {"accepts_incomplete": "true"}


@define(eq=False, kw_only=True)
class CloudController:
    """A platform; `client` has treq's `request`."""

    client: Any
    clock: IReactorTime
    base_url: str
    auth: tuple[str, str] = field(repr=False)
    exchange: Exchange = field(init=False)
    jobs: Jobs = field(init=False)
    _offerings: dict[tuple[str, str], Offering] = field(factory=dict, init=False)
    _held: dict[Resource, Held] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        """Make what sends and what remembers."""
        self.exchange = Exchange(client=self.client, clock=self.clock, base_url=self.base_url, auth=self.auth)
        self.jobs = Jobs(exchange=self.exchange, clock=self.clock)

    # What an invariant checker reads.

    @property
    def history(self) -> list[Event]:
        """Every transmission and its end, in order."""
        return self.exchange.history

    @property
    def beliefs(self) -> Beliefs:
        """What is believed of every instance and binding."""
        return self.jobs.beliefs

    @property
    def believed_instances(self) -> frozenset[str]:
        """The ids of the instances that exist, as far as the platform was told."""
        existing = self.beliefs.such(Belief.EXISTS)
        return frozenset(one.instance_id for one in existing if one.binding_id is None)

    @property
    def believed_bindings(self) -> frozenset[tuple[str, str]]:
        """The ids of instance and binding of the bindings that exist, as far as the platform was told."""
        existing = self.beliefs.such(Belief.EXISTS)
        return frozenset((one.instance_id, one.binding_id) for one in existing if one.binding_id is not None)

    @property
    def believed_gone(self) -> frozenset[Resource]:
        """What was never made or is removed, as far as the platform was told.

        An orphan whose DELETE was accepted counts: nobody polls for its end.
        """
        return self.beliefs.such(Belief.GONE)

    @property
    def is_idle(self) -> bool:
        """Whether no orphan mitigation goes on."""
        return all(mitigation.is_done is not None for mitigation in self.jobs.mitigations)

    # What users do.

    async def fetch_catalog(self) -> Outcome:
        """Read the broker's catalog, as `cf create-service-broker` does."""
        verdict = (await self.exchange.ask(Request(call=Call.CATALOG))).verdict
        if verdict.error is not None:
            return Outcome(state="failed", error=verdict.error, description=verdict.description)
        self._offerings = read_offerings(verdict.document)
        return Outcome(state="succeeded", document=verdict.document)

    async def create_service(
        self,
        instance_id: str,
        service_id: str,
        plan_id: str,
        parameters: Mapping[str, Any] | None = None,
        name: str = "instance",
        replaces: str | None = None,
    ) -> Outcome:
        """Make an instance; Cloud Controller takes a new id every time.

        `replaces` is the id of one of the same name whose creation failed: its orphan is deleted first.
        """
        if not self._offerings and (outcome := await self.fetch_catalog()).state == "failed":
            return outcome
        offering = self._offerings.get((service_id, plan_id))
        resource = Resource(instance_id)
        if offering is None or resource in self._held:
            return _refused("The plan is not known, or the instance is there already.")
        self._forget_failed(replaces)
        body = provision_body(offering, name, parameters)
        held = self._held[resource] = Held(offering)
        request = Request(call=Call.PROVISION, instance_id=instance_id, query=_INCOMPLETE, body=body)
        return await self.jobs.create(held, request)

    async def update_service(
        self,
        instance_id: str,
        *,
        plan_id: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        name: str | None = None,
        maintenance_version: str | None = None,
    ) -> Outcome:
        """Change an instance; what no broker needs to know is not sent."""
        held = self._held.get(Resource(instance_id))
        if held is None or held.is_busy or not held.is_created:
            return _refused("The instance is not there, or an operation on it is in progress.")
        old = held.offering
        new = self._offerings.get((old.service_id, plan_id or old.plan_id))
        if new is None or (new != old and not old.plan_updateable):
            return _refused("The plan of the instance cannot be changed to that one.")
        info = {"version": maintenance_version} if maintenance_version else None
        if info is None and new != old and new.maintenance_info:
            info = {"version": new.maintenance_info["version"]}
        is_rename = name is not None and old.allow_context_updates
        if new == old and parameters is None and info is None and not is_rename:
            return Outcome(state="succeeded")
        body = update_body(old, new, parameters, name, info)
        request = Request(call=Call.UPDATE, instance_id=instance_id, query=_INCOMPLETE, body=body)
        outcome = await self.jobs.change(held, request)
        if outcome.state == "succeeded":
            for one in (held, *(self._held[other] for other in self._bindings_of(instance_id))):
                one.offering = new
        return outcome

    async def delete_service(self, instance_id: str) -> Outcome:
        """Remove an instance; first its bindings, one after the other, each to its end."""
        resource = Resource(instance_id)
        held = self._held.get(resource)
        if held is None or not held.may_be_removed:
            return _refused("The instance is not there, or an operation on it is in progress.")
        held.is_being_removed = True
        outcome = await self._remove_with_bindings(resource)
        held.is_being_removed = False
        return outcome

    async def _remove_with_bindings(self, resource: Resource) -> Outcome:
        for other in sorted(self._bindings_of(resource.instance_id)):
            if not self._held[other].may_be_removed:
                return _failed_busy()
            outcome = await self._remove(other, Call.UNBIND)
            if outcome.state != "succeeded":
                return outcome
        return await self._remove(resource, Call.DEPROVISION)

    async def bind(
        self,
        instance_id: str,
        binding_id: str,
        app_guid: str | None = "app-1",
        parameters: Mapping[str, Any] | None = None,
    ) -> Outcome:
        """Bind an application to an instance, or make a service key when `app_guid` is None."""
        instance, resource = self._held.get(Resource(instance_id)), Resource(instance_id, binding_id)
        if instance is None or instance.is_busy or not instance.is_created or resource in self._held:
            return _refused("The instance is not there, or an operation on it is in progress.")
        if not instance.offering.bindable:
            return _refused("Instances of the plan cannot be bound.")
        held = self._held[resource] = Held(instance.offering)
        request = Request(
            call=Call.BIND,
            instance_id=instance_id,
            binding_id=binding_id,
            query=_INCOMPLETE,
            body=bind_body(held.offering, app_guid, parameters),
        )
        return await self.jobs.create(held, request)

    async def unbind(self, instance_id: str, binding_id: str) -> Outcome:
        """Remove a binding."""
        resource = Resource(instance_id, binding_id)
        instance, held = self._held.get(Resource(instance_id)), self._held.get(resource)
        if instance is None or instance.is_busy or held is None or not held.may_be_removed:
            return _refused("The binding is not there, or an operation is in progress.")
        held.is_being_removed = True
        outcome = await self._remove(resource, Call.UNBIND)
        held.is_being_removed = False
        return outcome

    async def _remove(self, resource: Resource, call: Call) -> Outcome:
        held = self._held[resource]
        request = Request(
            call=call,
            instance_id=resource.instance_id,
            binding_id=resource.binding_id,
            query=removal_query(held.offering),
        )
        outcome = await self.jobs.remove(held, request)
        if outcome.state == "succeeded":
            del self._held[resource]
        return outcome

    def _forget_failed(self, instance_id: str | None) -> None:
        held = self._held.get(Resource(instance_id)) if instance_id is not None else None
        if held is not None and not held.is_created and not held.is_busy:
            del self._held[Resource(instance_id or "")]
            self.jobs.mitigate(held, Request(call=Call.PROVISION, instance_id=instance_id or ""))

    def _bindings_of(self, instance_id: str) -> list[Resource]:
        return [one for one in self._held if one.instance_id == instance_id and one.binding_id is not None]


def _refused(description: str) -> Outcome:
    return Outcome(state="refused", description=description)


def _failed_busy() -> Outcome:
    return Outcome(state="failed", description="An operation on a binding of the instance is in progress.")

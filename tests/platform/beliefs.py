"""What the platform believes to exist, and what to be gone; of the rest it knows nothing."""

from __future__ import annotations

from enum import Enum, auto

from attrs import define, field, frozen

from tests.platform.exchange import Answered


@frozen(order=True)
class Resource:
    """An instance, or one of its bindings."""

    instance_id: str
    binding_id: str | None = None


class Belief(Enum):
    """What is believed of a resource."""

    EXISTS = auto()
    GONE = auto()
    UNKNOWN = auto()


def after_create(answered: Answered) -> Belief:
    """Return what is believed once a create is answered: what was rejected was not made."""
    if answered.verdict.state == "succeeded":
        return Belief.EXISTS
    return Belief.GONE if answered.is_rejection else Belief.UNKNOWN


def after_delete(answered: Answered, before: Belief) -> Belief:
    """Return what is believed once a delete is answered: a rejected one has changed nothing."""
    if answered.verdict.state == "succeeded":
        return Belief.GONE
    return before if answered.is_rejection else Belief.UNKNOWN


@define(eq=False)
class Beliefs:
    """The platform's view of the broker; an instance that is gone takes its bindings with it."""

    _of: dict[Resource, Belief] = field(factory=dict)

    def of(self, resource: Resource) -> Belief:
        """Return what is believed; what was never asked for is gone."""
        return self._of.get(resource, Belief.GONE)

    def hold(self, resource: Resource, belief: Belief) -> None:
        """Believe it from now on."""
        self._of[resource] = belief
        if resource.binding_id is None and belief is Belief.GONE:
            for other in self._of:
                if other.instance_id == resource.instance_id:
                    self._of[other] = Belief.GONE

    def such(self, belief: Belief) -> frozenset[Resource]:
        """Return all resources of which that is believed."""
        return frozenset(resource for resource, held in self._of.items() if held is belief)

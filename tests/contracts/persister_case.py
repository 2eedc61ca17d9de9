"""What the contracts of persisters share: a database for each test, and awaited calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import BrokerError
from dockerbroker.model.instances import Change, Operation, Phase, ServiceBinding, ServiceInstance
from dockerbroker.persisters.interfaces import IPersister
from tests.persisters import values

T = TypeVar("T")

#: A call of a persister's method that is not yet made.
Call = Callable[[], Coroutine[Any, Any, Any]]


class Fixture(Protocol):
    """One new and empty database, whose leases are judged by `clock`."""

    clock: Clock

    def persister(self) -> IPersister:
        """Return the persister of another broker that works on the database."""

    def restart(self) -> IPersister:
        """End all persisters and return a new one."""

    def race(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls at once, as far as the database can, and return what each returned or raised."""

    def wait(self, deferred: Deferred[Any]) -> None:
        """Let a call go on until it has an outcome; nothing where it has when it returns."""


def made_by(*ids: str) -> str:
    """Return the id of the operation that has made what has these ids."""
    return hashlib.sha256("\0".join(ids).encode()).hexdigest()[:32]


class PersisterTestCase(SynchronousTestCase):
    """Calls of persisters, awaited."""

    make_fixture: Callable[[SynchronousTestCase], Fixture]

    def setUp(self) -> None:
        """Open a persister on a new database."""
        self.fixture = type(self).make_fixture(self)
        self.persister = self.fixture.persister()

    def done(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what the call returns."""
        return self.successResultOf(self._made(call))

    def refused(self, kind: type[BrokerError], call: Coroutine[Any, Any, Any]) -> None:
        """Check that the call raises that error, and that it says something."""
        error = self.failureResultOf(self._made(call), kind).value
        assert isinstance(error, BrokerError)
        self.assertTrue(error.description.endswith("."), error.description)

    def _made(self, call: Coroutine[Any, Any, T]) -> Deferred[T]:
        made = Deferred.fromCoroutine(call)
        self.fixture.wait(made)
        return made

    def begin(self, change: Change, owner: str = "one", ttl: float = 15, within: float = 60) -> Operation:
        """Begin an operation."""
        return self.done(self.persister.begin(change, owner=owner, ttl=ttl, within=within))

    def succeed(self, operation: Operation, **members: Any) -> None:
        """Commit that the operation succeeded."""
        self.done(self.persister.commit(Change(operation=operation.over(Phase.SUCCEEDED, 1.0), **members)))

    def provisioned(self, made: ServiceInstance) -> ServiceInstance:
        """Return an instance that was stored and that nothing holds."""
        self.succeed(self.begin(values.provision(made_by(made.id), made)))
        return made

    def bound(self, made: ServiceBinding) -> ServiceBinding:
        """Return a binding that was stored, on an instance that nothing holds."""
        self.succeed(self.begin(values.bind(made_by(made.instance_id, made.id), made)))
        return made

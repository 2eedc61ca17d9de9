"""A persister beside the one in memory: both get the same random calls, and must answer alike."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from itertools import product
from typing import Any

import hypothesis.strategies as st
from attrs import evolve
from hypothesis.stateful import RuleBasedStateMachine, rule
from twisted.internet.defer import Deferred

from dockerbroker.errors import BrokerError
from dockerbroker.model.hosts import HostState
from dockerbroker.model.instances import Change, Operation, Phase, Step
from dockerbroker.model.liveness import Verdict
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.interfaces import IPersister
from tests.contracts.persister_case import Fixture
from tests.memory_persister import MemoryPersister, Tables
from tests.model.values import definition
from tests.persisters import values
from tests.pinging import ping, pings
from tests.vaults import sealing_vault

IDS = st.sampled_from(["i", "I", "i "])
BINDINGS = st.sampled_from(["b", "B"])
IMAGES = st.sampled_from([values.REDIS, values.STATIC, evolve(values.STATIC, name="Redis")])
PORTS = st.lists(st.sampled_from([20001, 20002, 20003]), max_size=2, unique=True)
HOSTS = st.sampled_from([values.HERE, values.THERE])
OWNERS = st.sampled_from(["one", "two", "Two"])
SECONDS = st.sampled_from([0.0, 0.5, 1.0, 2.0])
#: Times of the wall clock.
WALL = st.floats(0, 100)

#: A call of a persister's method.
Call = Callable[[IPersister], Coroutine[Any, Any, Any]]


def outcome(call: Call, persister: IPersister) -> Any:
    """Return what the call returns, or the class of what it raises."""
    outcomes: list[Any] = []
    Deferred.fromCoroutine(call(persister)).addBoth(outcomes.append)
    [result] = outcomes
    error = getattr(result, "value", None)
    if isinstance(error, Exception):
        if not isinstance(error, BrokerError):
            raise error
        return type(error)
    return result


class TwoPersisters(RuleBasedStateMachine):
    """Makes every call of both persisters and compares the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.fixture = self.new_fixture()
        self.clock = self.fixture.clock
        # Whether secrets are sealed makes no difference.
        keys = sealing_vault("one")
        self.memory = MemoryPersister(self.clock.seconds, Tables(sealing=keys.first_sealing()), keys)
        self.real = self.fixture.persister()
        self.begun: list[Operation] = []
        self.ids: set[str] = set()
        self.tombstones = 0

    def new_fixture(self) -> Fixture:
        """Return an empty database whose calls are made at once."""
        raise NotImplementedError

    @rule()
    def restart(self) -> None:
        """Open the database anew."""
        self.real = self.fixture.restart()

    def teardown(self) -> None:
        """Look at everything once more."""
        self.same()

    def both(self, call: Call) -> Any:
        """Make the call of both; returns what both answered."""
        expected = outcome(call, self.memory)
        found = outcome(call, self.real)
        assert found == expected, (found, expected)
        return found

    @rule(image=IMAGES, again=st.booleans())
    def seed(self, image: Any, again: bool) -> None:
        """Seed the catalog."""
        self.both(lambda persister: persister.seed_images([image] if again else []))

    @rule(image=IMAGES, plan=st.sampled_from(["free", "paid"]))
    def put(self, image: Any, plan: str) -> None:
        """Put a definition."""
        self.both(lambda persister: persister.put_image(definition(image.name, plan)))

    @rule(image=IMAGES)
    def delete(self, image: Any) -> None:
        """Delete a definition."""
        self.both(lambda persister: persister.delete_image(image.name))

    @rule(key=HOSTS, is_active=st.booleans())
    def ping(self, key: Any, is_active: bool) -> None:
        """Hear of a host."""
        self.both(lambda persister: persister.record_pings(pings([values.host(key, is_active=is_active)])))

    @rule(
        key=HOSTS,
        session=st.sampled_from(["", "one", "two", "three"]),
        sequence=st.integers(0, 3),
        engine_id=st.sampled_from(["", "", "mine", "other"]),
    )
    def ping_of_session(self, key: Any, session: str, sequence: int, engine_id: str) -> None:
        """Hear of a host by one of several agents."""
        told = ping(values.host(key), session=session, sequence=sequence, engine_id=engine_id)
        self.both(lambda persister: persister.record_pings([told]))

    @rule(state=st.sampled_from(HostState))
    def judge(self, state: HostState) -> None:
        """Give all hosts a state."""

        async def judged(persister: IPersister) -> object:
            found = (await persister.fleet()).lives()
            return await persister.judge([Verdict(life=life, state=state) for life in found])

        self.both(judged)

    @rule(key=HOSTS, complaint=st.sampled_from(["", "It is down."]))
    def complain(self, key: Any, complaint: str) -> None:
        """Record why a host cannot be used, or that it can."""
        self.both(lambda persister: persister.complain(key, complaint))

    @rule(key=HOSTS, is_cordoned=st.booleans())
    def cordon(self, key: Any, is_cordoned: bool) -> None:
        """Put a cordon around a host, or take it away."""
        self.both(lambda persister: persister.cordon(key, is_cordoned=is_cordoned))

    @rule(key=HOSTS, is_draining=st.booleans())
    def drain(self, key: Any, is_draining: bool) -> None:
        """Let the instances of a host move, or let them stay."""
        self.both(lambda persister: persister.drain(key, is_draining=is_draining))

    @rule(key=HOSTS)
    def forget_host(self, key: Any) -> None:
        """Forget a host."""
        self.both(lambda persister: persister.forget_host(key))

    @rule()
    def beat(self) -> None:
        """Hear of a broker."""
        self.both(lambda persister: persister.observe())

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.advance(seconds)

    @rule(instance_id=IDS, image=IMAGES, ports=PORTS, key=HOSTS, owner=OWNERS, ttl=SECONDS)
    def provision(
        self, instance_id: str, image: Any, ports: list[int], key: Any, owner: str, ttl: float
    ) -> None:
        """Begin a provision."""
        made = values.instance(instance_id, *ports, definition=image, host=key)
        self.begin(values.provision(self.next_id(), made), owner, ttl)

    @rule(instance_id=IDS, binding_id=BINDINGS, owner=OWNERS, ttl=SECONDS)
    def bind(self, instance_id: str, binding_id: str, owner: str, ttl: float) -> None:
        """Begin a bind."""
        self.begin(values.bind(self.next_id(), values.binding(instance_id, binding_id)), owner, ttl)

    @rule(instance_id=IDS, binding_id=BINDINGS, owner=OWNERS, ttl=SECONDS)
    def unbind(self, instance_id: str, binding_id: str, owner: str, ttl: float) -> None:
        """Begin an unbind."""
        self.begin(values.unbind(self.next_id(), instance_id, binding_id), owner, ttl)

    @rule(
        instance_id=IDS, owner=OWNERS, ttl=SECONDS, dashboard=st.sampled_from(["a", "b"]), late=st.booleans()
    )
    def update(self, instance_id: str, owner: str, ttl: float, dashboard: str, late: bool) -> None:
        """Begin an update of the instance as it is, or as it was when nothing had been done with it."""
        stored = outcome(lambda persister: persister.instance(instance_id), self.memory)
        if stored is None or late:
            stored = values.instance(instance_id)
        successor = evolve(stored, dashboard_url=dashboard, successor=None)
        self.begin(values.update(self.next_id(), evolve(stored, successor=successor)), owner, ttl)

    @rule(data=st.data(), binding_id=BINDINGS, owner=OWNERS, ttl=SECONDS, unbinds=st.booleans())
    def supersede(self, data: st.DataObject, binding_id: str, owner: str, ttl: float, unbinds: bool) -> None:
        """Begin a deletion in the place of another operation."""
        if not self.begun:
            return
        halted = data.draw(st.sampled_from(self.begun))
        change = values.deprovision(self.next_id(), halted.instance_id)
        if unbinds:
            change = values.unbind(self.next_id(), halted.instance_id, halted.binding_id or binding_id)
        wall = data.draw(WALL)
        operation = evolve(change.operation, created_at=wall, halted_id=halted.id)
        self.begin(evolve(change, operation=operation, supersedes=halted.id), owner, ttl)

    @rule(instance_id=IDS, owner=OWNERS, ttl=SECONDS)
    def deprovision(self, instance_id: str, owner: str, ttl: float) -> None:
        """Begin a deprovision."""
        self.begin(values.deprovision(self.next_id(), instance_id), owner, ttl)

    def next_id(self) -> str:
        """Return an identifier for an operation."""
        return f"o{len(self.ids)}"

    def begin(self, change: Change, owner: str, ttl: float) -> None:
        """Begin an operation, and remember it, whatever becomes of it."""
        self.ids.add(change.operation.id)
        begun = self.both(lambda persister: persister.begin(change, owner=owner, ttl=ttl, within=2 * ttl))
        self.begun.append(begun if isinstance(begun, Operation) else change.operation)

    @rule(data=st.data(), phase=st.sampled_from(Phase), step=st.sampled_from(Step))
    def commit(self, data: st.DataObject, phase: Phase, step: Step) -> None:
        """Write progress or an outcome, as the holder or as one who was late."""
        if not self.begun:
            return
        held = data.draw(st.sampled_from(self.begun))
        moved = evolve(held, phase=phase, step=step, description=data.draw(st.sampled_from(["", "why"])))
        moved = evolve(moved, deadline=99.0, is_cancelled=data.draw(st.booleans()))
        moved = moved.over(phase, data.draw(WALL)) if moved.is_over else moved
        change = Change(operation=moved, remove_instance=data.draw(st.booleans()))
        if held.instance_id in self.memory.tables.instances:
            change = self.with_records(change, data)
        self.both(lambda persister: persister.commit(change))

    def with_records(self, change: Change, data: st.DataObject) -> Change:
        """Return the change with records of an instance that exists."""
        held = change.operation
        if data.draw(st.booleans()):
            made = values.instance(held.instance_id, *data.draw(PORTS), host=data.draw(HOSTS))
            change = evolve(change, instance=made)
        if held.binding_id is not None and data.draw(st.booleans()):
            document = Secret({"credentials": {"drawn": data.draw(st.integers(0, 9))}})
            made_binding = values.binding(held.instance_id, held.binding_id, document=document)
            change = evolve(change, binding=made_binding)
        if held.binding_id is not None and data.draw(st.booleans()):
            change = evolve(change, remove_binding=held.binding_id)
        return change

    @rule(owner=OWNERS, ttl=SECONDS)
    def claim(self, owner: str, ttl: float) -> None:
        """Take over what has lapsed."""
        claimed: list[Operation] = []

        async def ordered(persister: IPersister) -> list[Operation]:
            claimed[:] = sorted(await persister.claim(owner, ttl=ttl), key=lambda operation: operation.id)
            return list(claimed)

        self.both(ordered)
        self.begun.extend(claimed)

    @rule(owner=OWNERS, ttl=SECONDS)
    def renew(self, owner: str, ttl: float) -> None:
        """Renew leases."""
        self.both(lambda persister: persister.renew(owner, ttl=ttl))

    @rule(data=st.data(), delay=SECONDS)
    def release(self, data: st.DataObject, delay: float) -> None:
        """Let go of an operation."""
        if self.begun:
            held = data.draw(st.sampled_from(self.begun))
            self.both(lambda persister: persister.release(held, delay=delay))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Cancel an operation."""
        operation_id = data.draw(st.sampled_from([*sorted(self.ids), "never"]))
        self.both(lambda persister: persister.cancel(operation_id))

    @rule(data=st.data())
    def hasten(self, data: st.DataObject) -> None:
        """Hasten an operation."""
        operation_id = data.draw(st.sampled_from([*sorted(self.ids), "never"]))
        self.both(lambda persister: persister.hasten(operation_id))

    @rule(before=WALL, limit=st.integers(1, 3))
    def forget(self, before: float, limit: int) -> None:
        """Forget what was over before."""
        self.both(lambda persister: persister.forget(before, limit))

    @rule(instance_id=IDS)
    def entomb(self, instance_id: str) -> None:
        """Record that what does not exist was to be deleted."""
        self.tombstones += 1
        self.both(lambda persister: persister.entomb(instance_id, f"t{self.tombstones}"))

    @rule(instance_id=IDS, condition=st.sampled_from([None, "It is gone.", "It has stopped."]))
    def observe(self, instance_id: str, condition: str | None) -> None:
        """Record a condition."""
        self.both(lambda persister: persister.set_condition(instance_id, condition))

    @rule(host=IDS, text=BINDINGS)
    def put_certificate(self, host: str, text: str) -> None:
        """Add or replace a certificate."""
        self.both(lambda persister: persister.put_certificate(values.certificate(host, text)))

    @rule(host=IDS)
    def delete_certificate(self, host: str) -> None:
        """Remove a certificate, or none."""
        self.both(lambda persister: persister.delete_certificate(host))

    @rule(name=IDS, role=st.sampled_from(Role))
    def put_credential(self, name: str, role: Role) -> None:
        """Add or replace a credential."""
        self.both(lambda persister: persister.put_credential(values.credential(name, role)))

    @rule(name=IDS)
    def delete_credential(self, name: str) -> None:
        """Remove a credential, or none."""
        self.both(lambda persister: persister.delete_credential(name))

    @rule(after=st.sampled_from(["", "I", "i"]), limit=st.integers(1, 3), unfinished=st.booleans())
    def look(self, after: str, limit: int, unfinished: bool) -> None:
        """Look through what there is."""
        self.both(lambda persister: persister.instances(after, limit))
        self.both(lambda persister: persister.operations(unfinished=unfinished, limit=limit))

    @rule()
    def same(self) -> None:
        """Both hold the same."""
        self.both(lambda persister: persister.images())
        self.both(lambda persister: persister.certificates())
        self.both(lambda persister: persister.credentials())
        self.both(lambda persister: persister.hosts())
        for instance_id in ("i", "I", "i "):
            self.both(lambda persister, i=instance_id: persister.instance(i))  # type: ignore[misc]
            self.both(lambda persister, i=instance_id: persister.bindings(i))  # type: ignore[misc]
            self.both(lambda persister, i=instance_id: persister.tombstone(i))  # type: ignore[misc]
            self.both(lambda persister, i=instance_id: persister.binding(i, "b"))  # type: ignore[misc]
        for key in (values.HERE, values.THERE):
            self.both(lambda persister, key=key: persister.leased_ports(key))  # type: ignore[misc]
        self.both(lambda persister: persister.now())
        self.both(lambda persister: persister.instances("", 99))
        self.both(lambda persister: persister.conditions())
        self.both(lambda persister: persister.operations(unfinished=False, limit=99))
        self.both(lambda persister: persister.known_operations([*self.ids, "never"]))
        for instance_id, binding_id in product(("i", "I", "i "), (None, "b", "B")):
            self.both(lambda persister, i=instance_id, b=binding_id: persister.last_operation(i, b))  # type: ignore[misc]
        for operation_id in self.ids:
            self.both(lambda persister, o=operation_id: persister.operation(o))  # type: ignore[misc]

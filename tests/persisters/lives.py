"""A database in the midst of life: something of everything that can be on record."""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen
from twisted.internet.task import Clock

from dockerbroker.model.hosts import HostState
from dockerbroker.model.instances import (
    BindingState,
    Change,
    InstanceState,
    Operation,
    Phase,
    ServiceInstance,
)
from dockerbroker.model.liveness import Verdict
from dockerbroker.model.plans import PlacementRules
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.interfaces import IPersister
from tests.persisters import values
from tests.persisters.values import LOOK_ALIKES, REDIS, STATIC
from tests.pinging import ping, pings

#: Who carries what is not over.
OWNER: Final = "broker-1/7"
#: For how long it is leased, and how much time it has, in seconds.
TTL: Final = 15.0
WITHIN: Final = 600.0

MEGABYTE: Final = "\U0001f980 \u00fc\u0000\u2028" * (1 << 15)


@frozen
class Life:
    """Writes records as a broker does; `text` is in the largest of them."""

    persister: IPersister
    clock: Clock
    text: str = MEGABYTE

    async def begin(self, change: Change) -> Operation:
        """Begin an operation, half a second after the last one."""
        self.clock.advance(0.5)
        now = self.clock.seconds()
        change = evolve(change, operation=evolve(change.operation, created_at=now, step_at=now + 0.1))
        return await self.persister.begin(change, owner=OWNER, ttl=TTL, within=WITHIN)

    async def end(self, operation: Operation, phase: Phase = Phase.SUCCEEDED, **records: object) -> None:
        """End an operation."""
        over = operation.over(phase, self.clock.seconds() + 1 / 3)
        await self.persister.commit(Change(operation=over, **records))  # type: ignore[arg-type]

    async def instance(self, instance_id: str, *ports: int, **members: object) -> ServiceInstance:
        """Make an instance that is ready."""
        made = values.instance(instance_id, *ports, **members)
        begun = await self.begin(values.provision(f"made {instance_id[-200:]}", made))
        ready = evolve(made, state=InstanceState.READY, container_id=f"c-{instance_id}")
        await self.end(begun, instance=ready)
        return ready

    async def binding(self, instance_id: str, binding_id: str, **members: object) -> None:
        """Make a binding."""
        made = values.binding(instance_id, binding_id, **members)
        begun = await self.begin(values.bind(f"bound {instance_id[-100:]} {binding_id[-100:]}", made))
        await self.end(begun, binding=evolve(made, state=BindingState.BOUND))

    async def lead(self) -> None:
        """Write something of everything, of which six operations are not over."""
        await self.persister.seed_images([REDIS, STATIC])
        await self.persister.record_pings(
            pings([values.host(exec_arguments=("a", "\u00fc")), values.host(values.THERE)])
        )
        await self.persister.record_pings([ping(values.host(values.THERE), engine_id="\u00fc", session="s")])
        for name in ("10.0.0.2", "fd00::1", "Z"):
            await self.persister.put_certificate(values.certificate(name, self.text))
        await self.persister.seed_credentials(map(values.credential, ("c1", "c2")))
        await self.persister.put_credential(values.credential("c3", Role.AGENT, host="10.0.0.2"))
        await self.persister.delete_credential("c2")
        await self._lead_steady()
        await self._lead_busy()
        # From now on nothing may be placed.
        await self.persister.drain(values.THERE, is_draining=True)
        lives = (await self.persister.fleet()).lives()
        [dead] = [life for life in lives if life.key == values.THERE]
        await self.persister.judge([Verdict(life=dead, state=HostState.DEAD)])

    async def _lead_steady(self) -> None:
        await self.persister.entomb("absent \u00fc", "t-1")
        self.clock.advance(0.25)
        await self.persister.entomb("also absent", "t-2")
        await self.instance("i1", 20001, 20002)
        await self.binding("i1", "b1", app_guid="app", parameters=Secret({"deep": [{"\u00fc": None}]}))
        await self.binding("i1", "b2", document=Secret({"credentials": {"password": self.text}}))
        await self.persister.set_condition("i1", "Its container is paused on \u00fc.")
        for number, name in enumerate(LOOK_ALIKES):
            await self.instance(name, 21000 + number, definition=STATIC)
            await self.binding(name, name)
        large = Secret({"text": self.text, "number": 0.1, "none": None})
        await self.instance("large", 22000, host=values.THERE, parameters=large, provisioned=large)
        await self.end(await self.begin(values.provision("first", values.instance("gone", 20003))))
        await self.end(await self.begin(values.deprovision("removed", "gone")), remove_instance=True)
        failed = await self.begin(values.provision("failed", values.instance("never", 20003)))
        await self.end(evolve(failed, description="No \u00fc."), Phase.FAILED, remove_instance=True)
        # The same id once more, so that only its last operation is kept.
        await self.instance("gone", 20004)

    async def _lead_busy(self) -> None:
        await self.begin(values.provision("making", values.instance("making", 20010)))
        changing = await self.instance("changing", 20011)
        wanted = evolve(changing, generation=2, container_id=None, ports={"1/tcp": 20012})
        moved = evolve(
            changing, state=InstanceState.UPDATING, successor=wanted, last_operation_id="made changing"
        )
        await self.begin(values.update("changing", moved))
        waiting = await self.instance("waiting", 20013)
        bind = await self.begin(values.bind("waiting", values.binding(waiting.id, "w")))
        await self.persister.release(bind, delay=20)
        await self.begin(values.provision("halted", values.instance("halted", 20014)))
        halting = values.deprovision("halting", "halted")
        await self.begin(evolve(halting, supersedes="halted"))
        cancelled = await self.begin(values.provision("cancelled", values.instance("cancelled", 20015)))
        await self.persister.commit(
            Change(operation=evolve(cancelled, exec_id="e-1", attempt=3, may_create=True))
        )
        await self.persister.cancel("cancelled")
        await self._lead_moving()

    async def _lead_moving(self) -> None:
        alone = evolve(REDIS.plans[0], placement=PlacementRules(same_host="never"))
        leaving = await self.instance("leaving", 20016, definition=evolve(REDIS, plans=(alone,)))
        there = evolve(leaving, host=values.THERE, generation=2, moves=1, container_id=None)
        moving = evolve(
            leaving, state=InstanceState.UPDATING, successor=there, last_operation_id="made leaving"
        )
        await self.begin(values.move("moving", moving))

"""What every persister promises of a new instance that is to be made on another host than it was begun on."""

from __future__ import annotations

from typing import Any, Final

from attrs import evolve

from dockerbroker.errors import HostFull, PortLeased
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Change, Operation, ServiceInstance
from dockerbroker.model.plans import PlacementRules
from dockerbroker.model.reservations import Most, Reserved
from tests.contracts.persister_case import PersisterTestCase
from tests.contracts.persister_reservations import MIB, large
from tests.persisters import values
from tests.persisters.values import HERE, THERE

_MADE: Final = values.instance("i1", 20001, 20002, definition=large())
_ROOM: Final = Most(memory=1024 * MIB, cpus=4000)


def there(made: ServiceInstance = _MADE, *ports: int) -> ServiceInstance:
    """Return what the instance is to become on the other host."""
    return evolve(
        values.instance(made.id, *(ports or (20001, 20003))), definition=made.definition, host=THERE
    )


class RelocationContract(PersisterTestCase):
    """An instance with two ports and a reservation, on its way to the other host."""

    def setUp(self) -> None:
        """Begin to make it."""
        super().setUp()
        self.operation: Operation = self.begin(values.provision("o1", _MADE))

    def relocate(self, to: ServiceInstance, most: Most = _ROOM) -> Any:
        """Let it be made there."""
        return self.persister.commit(Change(operation=self.operation, instance=to, most=most))

    def held(self, host: HostKey) -> tuple[set[int], Reserved]:
        """Return what is leased and reserved on a host."""
        reserved = self.done(self.persister.reserved()).get(host, Reserved())
        return set(self.done(self.persister.leased_ports(host))), reserved

    def test_other_host(self) -> None:
        """It holds what it needs there, and nothing where it was, which others may have."""
        before = self.held(HERE)
        self.done(self.relocate(there()))
        self.assertEqual(self.held(HERE), (set(), Reserved()))
        self.assertEqual(self.held(THERE), ({20001, 20003}, before[1]))
        stored = self.done(self.persister.instance("i1"))
        assert stored is not None
        self.assertEqual((stored.host, stored.operation_id), (THERE, "o1"))
        self.provisioned(values.instance("i2", 20001, 20002, definition=large()))
        self.assertEqual(self.held(HERE), before)
        self.done(self.relocate(evolve(_MADE, ports={"1/tcp": 20005, "2/tcp": 20006})))
        self.assertEqual(self.held(THERE), (set(), Reserved()))
        self.assertEqual(self.held(HERE)[0], {20001, 20002, 20005, 20006})

    def test_no_room(self) -> None:
        """Where there is no room it is refused, and stays with all that it has."""
        before = self.held(HERE)
        self.refused(HostFull, self.relocate(there(), Most(memory=511 * MIB, cpus=4000)))
        self.assertEqual((self.held(HERE), self.held(THERE)), (before, (set(), Reserved())))

    def test_taken_port(self) -> None:
        """So it is when a port there is another instance's."""
        self.provisioned(evolve(values.instance("i2", 20003), host=THERE))
        before = self.held(HERE), self.held(THERE)
        self.refused(PortLeased, self.relocate(there()))
        self.assertEqual((self.held(HERE), self.held(THERE)), before)

    def test_lonely(self) -> None:
        """One that must be apart from others gives its place up, and takes the other one."""
        [plan] = values.REDIS.plans
        alone = evolve(values.REDIS, plans=(evolve(plan, placement=PlacementRules(same_host="never")),))
        first = values.instance("i2", 20011, definition=alone)
        begun = self.begin(values.provision("o2", first))
        moved = there(first, 20012)
        self.done(self.persister.commit(Change(operation=begun, instance=moved, most=_ROOM)))
        third = self.begin(values.provision("o3", values.instance("i3", 20013, definition=alone)))
        elsewhere = there(values.instance("i3", 20013, definition=alone), 20014)
        change = Change(operation=third, instance=elsewhere, most=_ROOM)
        self.refused(HostFull, self.persister.commit(change))
        self.assertEqual(self.held(THERE)[0], {20012})

"""What every persister promises of the beginning of operations."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import AlreadyExists, Busy, PortLeased
from dockerbroker.model.instances import BindingState, Change, InstanceState, ServiceInstance
from dockerbroker.model.secrets import Secret
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.persisters.values import EXISTING, HERE, STATIC, THERE

FULL = values.instance(
    "i1",
    20001,
    20002,
    definition=STATIC,
    host=THERE,
    parameters=Secret({"Size": 1, "nested": [{"x": None}, 2.5, True]}),
    context={"platform": "cloudfoundry", "ümlaut": ["ß"]},
    generation=3,
    container_id="c0ffee",
    provisioned=Secret({"password": "pw"}),
    dashboard_url="http://10.0.0.2:20001",
    state=InstanceState.READY,
    created_at=1234.5,
)


class BeginContract(PersisterTestCase):
    """The beginning of operations."""

    def stored(self, instance_id: str = "i1") -> ServiceInstance | None:
        """Return the stored instance."""
        return self.done(self.persister.instance(instance_id))

    def read(self) -> ServiceInstance:
        """Return the instance `i1`, which exists, as it is stored."""
        stored = self.stored()
        assert stored is not None
        return stored

    def test_unknown(self) -> None:
        """What was never written is not there."""
        self.assertIsNone(self.stored())
        self.assertIsNone(self.done(self.persister.binding("i1", "b1")))
        self.assertEqual(self.done(self.persister.bindings("i1")), [])
        self.assertIsNone(self.done(self.persister.operation("o1")))
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), frozenset())

    def test_provision(self) -> None:
        """A provision stores the whole instance, held by the operation, and leases its ports."""
        begun = self.begin(values.provision("o1", FULL))
        self.assertEqual(self.stored(), evolve(FULL, operation_id="o1"))
        self.assertEqual(self.done(self.persister.leased_ports(THERE)), {20001, 20002})
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), frozenset())
        self.assertEqual(self.done(self.persister.operation("o1")), begun)

    def test_operation(self) -> None:
        """The operation is returned as stored: epoch 1, with its owner, whatever was given."""
        change = values.provision("o1", FULL)
        given = evolve(change.operation, epoch=7, owner="nobody", attempt=2, exec_id="e", created_at=5.5)
        begun = self.begin(evolve(change, operation=given), owner="one")
        self.assertEqual(begun, evolve(given, epoch=1, owner="one", deadline=60))
        self.assertEqual(self.done(self.persister.operation("o1")), begun)

    def test_provision_exists(self) -> None:
        """An instance that exists, busy or not, is not provisioned again; nothing is written."""
        begun = self.begin(values.provision("o1", FULL))
        other = values.provision("o2", values.instance("i1", 20003))
        self.refused(AlreadyExists, self.persister.begin(other, owner="two", ttl=15, within=60))
        self.succeed(begun)
        self.refused(AlreadyExists, self.persister.begin(other, owner="two", ttl=15, within=60))
        self.assertEqual(self.stored(), FULL)
        self.assertIsNone(self.done(self.persister.operation("o2")))
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), frozenset())

    def test_provision_port_leased(self) -> None:
        """A port that another instance of the host has is refused, and nothing is written."""
        self.provisioned(values.instance("i1", 20001))
        wants = values.provision("o2", values.instance("i2", 20000, 20001))
        self.refused(PortLeased, self.persister.begin(wants, owner="one", ttl=15, within=60))
        self.assertIsNone(self.stored("i2"))
        self.assertIsNone(self.done(self.persister.operation("o2")))
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), {20001})

    def test_provision_port_elsewhere(self) -> None:
        """The same port of another host is another port."""
        self.provisioned(values.instance("i1", 20001))
        self.provisioned(values.instance("i2", 20001, host=THERE))
        self.provisioned(values.instance("i3", 20001, host=evolve(THERE, docker_port=2377)))
        self.assertEqual(self.done(self.persister.leased_ports(THERE)), {20001})

    def test_provision_existing_container(self) -> None:
        """The ports of a container that is not the broker's are not leased."""
        self.provisioned(values.instance("i1", 20001, definition=EXISTING))
        self.provisioned(values.instance("i2", 20001, definition=EXISTING))
        self.provisioned(values.instance("i3", 20001))
        self.assertEqual(self.done(self.persister.leased_ports(HERE)), {20001})

    def test_same_operation_id(self) -> None:
        """An operation's identifier is used once."""
        self.provisioned(values.instance("i1"))
        begun = self.begin(values.provision("o1", values.instance("i2")))
        again = self.persister.begin(values.deprovision("o1", "i1"), owner="two", ttl=15, within=60)
        self.refused(AlreadyExists, again)
        self.assertEqual(self.done(self.persister.operation("o1")), begun)
        self.assertEqual(self.stored("i1"), values.instance("i1"))

    def test_bind(self) -> None:
        """A bind stores the whole binding and takes the instance."""
        self.provisioned(FULL)
        made = values.binding(
            app_guid="app",
            bind_resource={"route": "x.example.org"},
            parameters=Secret({"a": [1]}),
            context={"c": {}},
            document=Secret({"credentials": {"uri": "redis://:pw@h:1"}}),
            created_at=1.5,
        )
        self.begin(values.bind("o2", made))
        self.assertEqual(self.done(self.persister.binding("i1", "b1")), made)
        self.assertEqual(self.stored(), evolve(FULL, operation_id="o2"))

    def test_bind_exists(self) -> None:
        """A binding that exists is not made again, and the instance is not taken."""
        self.provisioned(FULL)
        kept = self.bound(values.binding(app_guid="first"))
        again = values.bind("o3", values.binding(app_guid="second"))
        self.refused(AlreadyExists, self.persister.begin(again, owner="one", ttl=15, within=60))
        self.assertEqual(self.done(self.persister.binding("i1", "b1")), kept)
        self.assertEqual(self.stored(), FULL)

    def test_bindings(self) -> None:
        """Bindings belong to their instance: the same identifier on another is another binding."""
        for instance_id in ("i1", "i2"):
            self.provisioned(values.instance(instance_id))
        first, second, other = (
            self.bound(values.binding(*ids)) for ids in (("i1", "b1"), ("i1", "b2"), ("i2", "b1"))
        )
        self.assertEqual(self.done(self.persister.bindings("i1")), [first, second])
        self.assertEqual(self.done(self.persister.bindings("i2")), [other])
        self.assertIsNone(self.done(self.persister.binding("i2", "b2")))

    def test_busy(self) -> None:
        """While an operation holds the instance, no other but that of another instance begins."""
        self.provisioned(values.instance("i2"))
        self.provisioned(FULL)
        self.bound(values.binding())
        self.begin(values.deprovision("held"))
        for number, change in enumerate(self.everything_on_i1()):
            self.refused(Busy, self.persister.begin(change, owner="one", ttl=15, within=60))
            self.assertIsNone(self.done(self.persister.operation(f"o{number}")))
        self.assertIsNone(self.done(self.persister.binding("i1", "new")))
        self.assertEqual(self.stored(), evolve(FULL, operation_id="held"))
        self.begin(values.deprovision("other", "i2"))

    def test_changed_meanwhile(self) -> None:
        """What was read before another operation held the instance is not written over what that left."""
        self.provisioned(FULL)
        stale = self.read()
        self.bound(values.binding())
        change = evolve(values.deprovision("late"), instance=evolve(stale, dashboard_url="stale"))
        self.refused(Busy, self.persister.begin(change, owner="one", ttl=15, within=60))
        self.assertEqual(self.stored(), FULL)
        self.begin(evolve(change, instance=evolve(self.read(), dashboard_url="new")))
        self.assertEqual(self.stored(), evolve(FULL, dashboard_url="new", operation_id="late"))

    def test_changed_by_another_life(self) -> None:
        """What was read of an instance that was removed and made again is not written over the new one."""
        self.provisioned(FULL)
        stale = self.read()
        self.succeed(self.begin(values.deprovision("gone")), remove_instance=True)
        self.succeed(self.begin(values.provision("again", FULL)))
        change = evolve(values.deprovision("late"), instance=stale)
        self.refused(Busy, self.persister.begin(change, owner="one", ttl=15, within=60))

    def test_gone(self) -> None:
        """On an instance that does not exist nothing but a provision begins, and nothing is written."""
        for number, change in enumerate(self.everything_on_i1()):
            self.refused(Busy, self.persister.begin(change, owner="one", ttl=15, within=60))
            self.assertIsNone(self.done(self.persister.operation(f"o{number}")))
        self.assertIsNone(self.stored())
        self.assertEqual(self.done(self.persister.bindings("i1")), [])

    def everything_on_i1(self) -> list[Change]:
        """Return the beginnings of all but a provision."""
        deprovision = evolve(values.deprovision("o2"), instance=evolve(FULL, state=InstanceState.FAILED))
        return [values.bind("o0", values.binding("i1", "new")), values.unbind("o1"), deprovision]

    def test_unbind_gone(self) -> None:
        """An unbind of a binding that has gone meanwhile does not begin, nor bring the binding back."""
        self.provisioned(FULL)
        late = evolve(values.unbind("o2"), binding=values.binding())
        self.refused(Busy, self.persister.begin(late, owner="one", ttl=15, within=60))
        self.assertIsNone(self.done(self.persister.binding("i1", "b1")))
        self.assertEqual(self.stored(), FULL)

    def test_writes_others(self) -> None:
        """The other records of the change are written as they are."""
        self.provisioned(FULL)
        kept = self.bound(values.binding())
        leaving = evolve(self.read(), state=InstanceState.DEPROVISIONING)
        self.succeed(self.begin(evolve(values.deprovision("o2"), instance=leaving)))
        self.assertEqual(self.stored(), leaving)
        unbinding = evolve(kept, state=BindingState.UNBINDING)
        self.succeed(self.begin(evolve(values.unbind("o3"), binding=unbinding)))
        self.assertEqual(self.done(self.persister.binding("i1", "b1")), unbinding)

    def test_exact_ids(self) -> None:
        """Instances and bindings whose identifiers only look alike are different."""
        for number, look_alike in enumerate(values.LOOK_ALIKES):
            self.provisioned(values.instance(look_alike, 20000 + number))
            self.bound(values.binding(look_alike, "b"))
            self.bound(values.binding(values.LOOK_ALIKES[0], look_alike))
        for number, look_alike in enumerate(values.LOOK_ALIKES):
            self.assertEqual(self.stored(look_alike), values.instance(look_alike, 20000 + number))
            found = self.done(self.persister.binding(values.LOOK_ALIKES[0], look_alike))
            self.assertEqual(found, values.binding(values.LOOK_ALIKES[0], look_alike))
        self.assertEqual(
            len(self.done(self.persister.bindings(values.LOOK_ALIKES[0]))), 1 + len(values.LOOK_ALIKES)
        )

    def test_large_documents(self) -> None:
        """Parameters and credentials of a megabyte are kept."""
        text = '"\\\u00fc\U0001f600' * 250_000
        made = self.provisioned(values.instance(parameters=Secret({"text": text}), context={"text": text}))
        self.assertEqual(self.stored(), made)
        kept = self.bound(values.binding(document=Secret({"credentials": {"text": text}})))
        self.assertEqual(self.done(self.persister.bindings("i1")), [kept])

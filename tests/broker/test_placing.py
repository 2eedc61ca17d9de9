"""On which host an instance is made, and on which ports."""

from typing import Final

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import EngineUnreachable, Unavailable
from dockerbroker.model.hosts import HostKey
from tests.broker.ledger import complaints, stack_instance
from tests.stack import HOST, Stack, add_service, instance_path, provision_body

OTHER: Final = evolve(HOST, key=HostKey(service_host="10.0.0.9", docker_host="10.0.0.9", docker_port=2375))


class HostTests(SynchronousTestCase):
    """Several hosts; the dispatcher of these tests tries `HOST` before `OTHER`."""

    def setUp(self) -> None:
        """Start a broker with two hosts."""
        self.stack = Stack()
        self.other = self.stack.add_host(OTHER)
        add_service(self.other)

    def made_on(self) -> str:
        """Provision an instance; return the address of its host."""
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 201, answer.body)
        address: str = stack_instance(self.stack, "i-1").host.service_host
        return address

    def listen(self) -> None:
        """Let the broker tell that it is there, once and from then on."""
        self.stack.heartbeat.start()
        self.stack.advance(1)

    def test_first_choice(self) -> None:
        """The instance is made on the host that the dispatcher names first, and on no other."""
        self.assertEqual(self.made_on(), "10.0.0.1")
        self.assertEqual(self.other.calls, [])

    def test_missing_image(self) -> None:
        """A host that lacks the image is passed over."""
        self.stack.engine.images.clear()
        self.assertEqual(self.made_on(), "10.0.0.9")

    def test_unreachable(self) -> None:
        """A host whose Docker is not reached is passed over."""
        self.stack.engine.reachable = False
        self.assertEqual(self.made_on(), "10.0.0.9")

    def test_docker_that_does_not_answer(self) -> None:
        """A host whose Docker accepts and does not answer is passed over before the request is late."""
        self.stack.engine.hang_next("image")
        self.assertEqual(self.made_on(), "10.0.0.9")

    def test_several_that_do_not_answer(self) -> None:
        """Three hosts that hang leave enough time for a fourth one."""
        self.stack.engine.hang_next("image")
        self.other.hang_next("image")
        for number in (2, 3):
            name = f"10.0.1.{number}"
            key = HostKey(service_host=name, docker_host=name, docker_port=2375)
            engine = self.stack.add_host(evolve(HOST, key=key))
            if number == 2:
                engine.hang_next("image")
            else:
                add_service(engine)
        self.assertEqual(self.made_on(), "10.0.1.3")

    def test_no_docker_that_answers(self) -> None:
        """When no Docker answers the request is answered in time all the same, with no capacity."""
        self.stack.engine.hang_next("image")
        self.other.hang_next("image")
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 503)
        self.assertIn("The Docker of 10.0.0.1 does not answer", answer.description)
        self.assertLess(self.stack.clock.seconds(), 10)

    def test_silent(self) -> None:
        """A host is not used when its last ping is older than three of its intervals."""
        self.listen()
        self.stack.add_host(evolve(HOST, keep_alive=2))
        self.stack.advance(6.5)
        self.assertEqual(self.made_on(), "10.0.0.9")

    def test_last_moment(self) -> None:
        """A host is still used when its last ping is exactly three intervals old, and there is no other."""
        self.listen()
        self.stack.add_host(evolve(OTHER, is_active=False))
        self.stack.add_host(evolve(HOST, keep_alive=2))
        self.stack.advance(6)
        self.assertEqual(self.made_on(), "10.0.0.1")

    def test_late(self) -> None:
        """A host of which a ping is missing is used only when there is no other."""
        self.listen()
        self.stack.add_host(evolve(HOST, keep_alive=2))
        self.stack.advance(3)
        self.assertEqual(self.made_on(), "10.0.0.1")
        self.stack.advance(0.5)
        self.stack.provision("i-2")
        self.assertEqual(stack_instance(self.stack, "i-2").host, OTHER.key)

    def test_brokers_away(self) -> None:
        """After the brokers were away for long a host is used at once, whether it has pinged again or not."""
        self.listen()
        self.stack.add_host(evolve(HOST, keep_alive=2))
        self.stack.heartbeat.stop()
        self.stack.advance(3600)
        self.stack = self.stack.successor()
        self.assertEqual(self.made_on(), "10.0.0.1")
        self.listen()
        self.assertEqual(self.stack.provision("i-2").status, 201)

    def test_database_away(self) -> None:
        """So it is after the database was away, while the broker went on; later silence counts again."""
        self.listen()
        self.stack.add_host(evolve(HOST, keep_alive=2))
        for _ in range(20):
            self.stack.persister.fail_next("observe", Unavailable("The database is gone."))
        self.stack.advance(20)
        self.assertEqual(self.made_on(), "10.0.0.1")
        self.stack.advance(7.5)
        self.stack.provision("i-2")
        self.assertEqual(stack_instance(self.stack, "i-2").host, OTHER.key)

    def test_inactive(self) -> None:
        """A host that its agent sets inactive gets no new instances, but its own can be used and removed."""
        self.made_on()
        self.stack.add_host(evolve(HOST, is_active=False))
        self.stack.provision("i-2")
        self.assertEqual(stack_instance(self.stack, "i-2").host, OTHER.key)
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 201)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)

    def test_none_usable(self) -> None:
        """Without any usable host the request is answered with 503 that says why."""
        self.stack.add_host(evolve(HOST, is_active=False))
        self.stack.add_host(evolve(OTHER, keep_alive=1))
        self.listen()
        self.stack.advance(10)
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 503)
        self.assertIn("of 2 Docker hosts 1 is set inactive and 1 sent no ping lately.", answer.description)

    def test_all_refuse(self) -> None:
        """When every host refuses, each refusal is told."""
        self.stack.engine.images.clear()
        self.other.fail_next("image", EngineUnreachable("Docker on 10.0.0.9 is not reached."))
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 503)
        self.assertIn("no image redis", answer.description)
        self.assertIn("10.0.0.9 is not reached", answer.description)
        self.assertEqual(self.stack.persister.history(), [])

    def test_silent_host_of_an_instance(self) -> None:
        """An instance of a host whose agent fell silent can still be bound and removed."""
        self.made_on()
        self.stack.persister.forget_pings()
        self.assertEqual(self.stack.bind("i-1", "b-1").status, 201)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)

    def test_unknown_host_of_an_instance(self) -> None:
        """An instance whose host was forgotten can be removed; what else is asked is told what to do."""
        self.made_on()
        self.stack.persister.tables.hosts.clear()
        answer = self.stack.bind("i-1", "b-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("start its agent", answer.description)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)


class PortTests(SynchronousTestCase):
    """Ports of a host."""

    def setUp(self) -> None:
        """Start a broker with a host of two ports."""
        self.stack = Stack()
        self.stack.add_host(evolve(HOST, portbind_min=100, portbind_max=101))

    def ports(self) -> set[int]:
        """Return the leased ports."""
        return {port for _, port in self.stack.persister.tables.leases}

    def test_both_ends(self) -> None:
        """Both ends of the range are given away, then nothing is left, until one comes back."""
        self.assertEqual([self.stack.provision(f"i-{number}").status for number in range(3)], [201, 201, 503])
        self.assertEqual(self.ports(), {100, 101})
        answer = self.stack.provision("i-2")
        self.assertIn("1 wanted, 0 of 100 to 101 free", answer.description)
        self.stack.deprovision("i-0")
        self.assertEqual(self.ports(), {101})
        self.assertEqual(self.stack.provision("i-2").status, 201)

    def test_taken_by_somebody_else(self) -> None:
        """A port on which another process listens is given up for another one, and is leased to nobody."""
        self.stack.engine.taken_ports.add(100)
        self.assertEqual(self.stack.provision("i-1").status, 201)
        self.assertEqual(stack_instance(self.stack, "i-1").ports, {"6379/tcp": 101})
        self.assertEqual(self.ports(), {101})
        self.assertEqual(complaints(self.stack), [])

    def test_all_taken_by_somebody_else(self) -> None:
        """When every port of the range is in use by others the provision fails, and nothing is left."""
        self.stack.engine.taken_ports.update({100, 101})
        self.stack.add_host(evolve(HOST, portbind_min=100, portbind_max=120))
        self.stack.engine.taken_ports.update(range(100, 121))
        answer = self.stack.provision("i-1")
        self.assertEqual(answer.status, 500)
        self.assertIn("Port ", answer.description)
        self.assertEqual((self.stack.engine.world, self.ports()), ({}, set()))

    def test_race_for_the_same_port(self) -> None:
        """Two instances that chose the same port at once get one each."""
        hang = self.stack.engine.hang_reply("image")
        first = self.stack.ask("PUT", instance_path("i-1"), provision_body())
        self.assertEqual(self.stack.provision("i-2").status, 201)
        hang.release()
        self.assertEqual(self.stack.settle(first).status, 201)
        self.assertEqual(self.ports(), {100, 101})

    def test_image_without_ports(self) -> None:
        """An image that exposes nothing leases nothing."""
        self.stack.image.image = evolve(self.stack.image.image, ports=())
        self.assertEqual(self.stack.provision("i-1").status, 201)
        self.assertEqual(self.ports(), set())

    def test_several_ports(self) -> None:
        """Every exposed port gets one, of TCP and of UDP alike."""
        self.stack.image.image = evolve(self.stack.image.image, ports=("53/tcp", "53/udp"))
        self.assertEqual(self.stack.provision("i-1").status, 201)
        self.assertEqual(set(stack_instance(self.stack, "i-1").ports), {"53/tcp", "53/udp"})
        self.assertEqual(self.ports(), {100, 101})


class LeaseRaceTests(SynchronousTestCase):
    """Ports that are lost to another instance between choosing and leasing."""

    def test_other_ports_that_are_lost_too(self) -> None:
        """Whoever lost the ports that should replace taken ones chooses once more."""
        stack = Stack()
        stack.add_host(evolve(HOST, portbind_min=100, portbind_max=102))
        stack.engine.taken_ports.add(100)
        hang = stack.engine.hang_next("remove")
        asked = stack.ask("PUT", instance_path("i-1"), provision_body())
        self.assertTrue(hang.reached)
        self.assertEqual(stack.provision("i-2").status, 201)
        hang.release()
        self.assertEqual(stack.settle(asked).status, 201)
        self.assertEqual(complaints(stack), [])

"""What cannot be adopted is told, and services of every kind are adopted."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import EngineUnreachable
from dockerbroker.model.containers import LABEL_CLUSTER, LABEL_INSTANCE, LABEL_OPERATION, container_name
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.plans import ContainerOptions, Plan
from dockerbroker.model.secrets import Secret
from tests.command.adopting import LOST, AdoptCase
from tests.stack import (
    HOST,
    REDIS,
    add_service,
    bind_body,
    binding_path,
    instance_path,
    query,
)


class LeftTests(AdoptCase):
    """What cannot be adopted is told."""

    def left(self, status: int = 1) -> list[str]:
        """Adopt, and return why what is left is left."""
        return [line[4] for line in self.lines(status=status) if line[0] == "leave"]

    def test_no_plan(self) -> None:
        """An instance whose plan is not in the catalog waits until it is."""
        self.stack.provision("i-2")
        self.empty()
        self.stack.persister.tables.images.clear()
        reasons = self.left()
        self.assertEqual(len(reasons), 2)
        self.assertIn("has a plan that is not in the catalog; put it there and run this again.", reasons[0])
        self.stack.add_definition(REDIS)
        self.assertEqual([line[0] for line in self.lines()], ["adopt", "adopt"])

    def test_existing(self) -> None:
        """A service that is now a container that exists already gets none of the broker's own."""
        self.empty()
        self.stack.add_definition(evolve(REDIS, numinstances=0, container_name="mine"))
        self.assertIn("exists already", self.left()[0])

    def test_port_leased(self) -> None:
        """A port that is another instance's is told, in a dry run as well."""
        spec = self.container().spec
        self.stack.provision("i-2")
        self.stack.engine.crash(self.container().id)
        port = next(iter(self.instance("i-2").ports.values()))
        labels = {**spec.labels, LABEL_INSTANCE: "i-3", LABEL_OPERATION: "o-3"}
        ports = dict.fromkeys(spec.ports, port)
        third = evolve(spec, name=container_name(LOST, "i-3", 1), labels=labels, ports=ports)
        self.value(self.stack.engine.create(third))
        sentence = f"Its port {port} is leased to another service instance."
        for words in (("--dry-run",), ()):
            lines = self.lines(*words, status=1)
            self.assertEqual([(line[0], line[1], line[4]) for line in lines], [("leave", "i-3", sentence)])
        # Neither has a record now, and the first one gets the port.
        self.empty()
        dry = self.lines("--dry-run", status=1)
        self.assertEqual([line[:2] for line in dry], [["adopt", "i-1"], ["adopt", "i-2"], ["leave", "i-3"]])
        self.assertEqual(self.lines(status=1), dry)

    def test_copy(self) -> None:
        """A copy of a container bears its labels, but not its name, and is nobody's loss."""
        spec = self.container().spec
        self.value(self.stack.engine.create(evolve(spec, name="copy")))
        self.empty()
        (reason,) = self.left(status=0)
        self.assertIn("it is a copy", reason)
        self.assertEqual(list(self.stack.persister.tables.instances), ["i-1"])

    def test_two_generations(self) -> None:
        """Of two containers of an instance the highest generation that runs is adopted."""
        spec = self.container().spec
        labels = {**spec.labels, "dockerbroker.generation": "2", LABEL_OPERATION: "o-2"}
        second = evolve(spec, name=container_name(LOST, "i-1", 2), labels=labels)
        made = self.value(self.stack.engine.create(second))
        self.empty()
        lines = self.lines("--dry-run")
        self.assertEqual([(line[0], line[2] == made) for line in lines], [("adopt", False), ("leave", True)])
        self.stack.engine.crash(self.container_of(1))
        self.value(self.stack.engine.start(made))
        lines = self.lines()
        self.assertEqual([(line[0], line[2] == made) for line in lines], [("adopt", True), ("leave", False)])
        self.assertEqual(self.instance().generation, 2)

    def container_of(self, generation: int) -> str:
        """Return the id of that container of the instance."""
        (found,) = [
            one.id
            for one in self.stack.engine.world.values()
            if one.spec.labels["dockerbroker.generation"] == str(generation)
        ]
        return found

    def test_silent_host(self) -> None:
        """A host that does not answer is told; those that do are adopted from, and the status is 1."""
        other = DockerHost(key=HostKey(service_host="10.0.0.9", docker_host="10.0.0.9", docker_port=2375))
        self.stack.add_host(other).reachable = False
        self.empty()
        result = self.ask("adopt")
        self.assert_said(result, 1, "10.0.0.9 was not looked at: ")
        self.assertTrue(result.stdout.startswith("adopt\ti-1\t"))

    def test_hanging_host(self) -> None:
        """A host that hangs is given up after a while."""
        self.stack.engine.hang_reply("containers")
        self.empty()
        result = self.ask("adopt")
        self.assert_said(result, 1, "10.0.0.1 was not looked at: It does not answer.")
        self.assertNotIn("has its record", result.stderr)

    def test_host_lost_meanwhile(self) -> None:
        """A container that cannot be looked at any more is told."""
        self.empty()
        self.stack.engine.fail_next("inspect", EngineUnreachable("It is away."))
        self.assertEqual(self.left(), ["It is away."])

    def test_gone_meanwhile(self) -> None:
        """A container that is removed while hosts are looked at is nobody's."""
        self.empty()
        hang = self.stack.engine.hang_reply("containers")
        self.stack.clock.callLater(1, self.stack.engine.world.clear)
        self.stack.clock.callLater(1, hang.release)
        self.assert_said(self.ask("adopt"), 0, "has its record")

    def test_changed_plan(self) -> None:
        """An instance whose plan was changed in the catalog is adopted, and that is told."""
        self.empty()
        plan = evolve(REDIS.plans[0], options=ContainerOptions(memory=1 << 30))
        self.stack.add_definition(evolve(REDIS, plans=(plan,)))
        (line,) = self.lines()
        self.assertEqual(
            (line[0], line[4]), ("adopt", "its plan is not what it was when the container was made")
        )

    def test_stranger(self) -> None:
        """Containers of other deployments are not looked at."""
        spec = self.container().spec
        labels = {**spec.labels, LABEL_CLUSTER: "a" * 32, LABEL_INSTANCE: "i-9"}
        self.value(self.stack.engine.create(evolve(spec, name="stranger", labels=labels)))
        self.empty()
        self.assertEqual([line[1] for line in self.lines()], ["i-1"])


class ServicesTests(AdoptCase):
    """Services of other kinds."""

    def test_static(self) -> None:
        """A static service's credentials and dashboard come from the catalog."""
        static = evolve(
            REDIS,
            name="static",
            id="static",
            image="static",
            plans=(Plan(id="static_free", name="free"),),
            dashboard_url="http://$HOST:$PORT",
            credentials=Secret({"port": "$PORT"}),
        )
        self.stack.add_definition(static)
        add_service(self.stack.engine, static)
        ids = {"service_id": "static", "plan_id": "static_free"}
        self.stack.provision("s-1", **ids)
        before = self.stack.request("PUT", binding_path("s-1", "b-1"), bind_body(**ids)).json
        url = self.instance("s-1").dashboard_url
        self.empty()
        self.lines()
        self.assertEqual(self.instance("s-1").dashboard_url, url)
        after = self.stack.request("PUT", binding_path("s-1", "b-2"), bind_body(**ids)).json
        self.assertEqual(after, before)
        answer = self.stack.request("DELETE", instance_path("s-1") + query(static))
        self.assertEqual(answer.status, 200)

    def test_unfilled(self) -> None:
        """A definition that cannot be filled with what the container publishes is told."""
        self.empty()
        self.stack.add_definition(evolve(REDIS, credentials=Secret({"port": "$PORT_1"})))
        (line,) = self.lines(status=1)
        self.assertIn("does not publish port 1", line[4])

    def test_volumes(self) -> None:
        """Volumes are kept in the record, those without a name of ours not, and removed with the instance."""
        plan = evolve(REDIS.plans[0], options=ContainerOptions(volumes={"data": "/data"}))
        kept = evolve(REDIS, name="kept", id="kept", image="kept", plans=(evolve(plan, id="kept_p"),))
        self.stack.add_definition(kept)
        add_service(self.stack.engine, kept, volumes=("/log",))
        ids = {"service_id": "kept", "plan_id": "kept_p"}
        self.stack.provision("v-1", **ids)
        volumes = self.instance("v-1").volumes
        self.assertEqual(sorted(volumes), ["/data", "/log"])
        self.container("v-1").anonymous["/tmp"] = "a" * 64
        self.empty()
        self.lines()
        self.assertEqual(self.instance("v-1").volumes, volumes)
        self.well()
        self.assertEqual(self.stack.request("DELETE", instance_path("v-1") + query(kept)).status, 200)
        self.assertEqual(self.stack.engine.disk, {})

    def test_shared_docker(self) -> None:
        """Of several names of one Docker the instance gets that which was heard of last."""
        self.stack.advance(10)
        other = evolve(HOST, key=evolve(HOST.key, service_host="10.0.0.7"))
        self.stack.add_host(other)
        self.empty()
        self.lines()
        self.assertEqual(self.instance().host, other.key)

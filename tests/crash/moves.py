"""Two Docker hosts of which one is drained, and brokers that die or meet a fault while an instance moves."""

from __future__ import annotations

from collections import Counter
from typing import Final

from attrs import define, field, frozen
from twisted.internet.task import Clock

from dockerbroker.crashpoints import without_place
from dockerbroker.errors import EngineUnreachable, OutcomeUnknown, Unavailable
from dockerbroker.model.containers import LABEL_INSTANCE
from dockerbroker.model.holdings import holdings
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import InstanceState, OperationKind, ServiceInstance
from dockerbroker.model.reservations import NOTHING
from tests.crash.databases import Databases
from tests.crash.invariants import audit_complaints
from tests.crash.platform import Platform
from tests.crash.scenarios import SERVICE, Act
from tests.crash.world import Broker, Death, World, result
from tests.memory_engine import MemoryEngine
from tests.pinging import pings
from tests.stack import HOST, add_service

OTHER: Final = DockerHost(
    key=HostKey(service_host="10.0.0.7", docker_host="10.0.0.8", docker_port=2375), keep_alive=86400
)
DATA: Final = {"/dump": b"precious", "/log": b"0123456789"}
#: How long a move may take whose brokers die and whose calls fail, in seconds of the world.
_PATIENCE: Final = 1500.0


@define(eq=False)
class MoveWorld(World):
    """A world with a second host; all brokers in it empty hosts that are to be drained."""

    def __attrs_post_init__(self) -> None:
        """Give the second host the service."""
        super().__attrs_post_init__()
        self.service.install(add_service(self.there, SERVICE, volumes=("/data",)))
        result(self.reader.record_pings(pings([OTHER])))

    @property
    def there(self) -> MemoryEngine:
        """The engine of the other host."""
        return self.engines(OTHER)

    def begin(self) -> Broker:
        """Start another broker."""
        broker = super().begin()
        broker.stack.drainer.start()
        return broker


@define(eq=False)
class Mishap:
    """Lets the call at one point fail: before it was made, or after it was, when its answer is lost."""

    at: int | None = None
    met: str = ""
    count: int = 0

    async def __call__(self, name: str) -> None:
        """Count, and fail once."""
        self.count += 1
        if self.count != self.at:
            return
        self.met = name
        call = without_place(name)
        if call.startswith("persister."):
            raise Unavailable("The database does not answer.")
        if call.endswith(":before"):
            raise EngineUnreachable("The Docker host memory cannot be reached.")
        raise OutcomeUnknown("The answer of the Docker host memory was lost.")


@frozen
class Trouble:
    """At which points, counted from the beginning, brokers die one after the other, and which call fails."""

    deaths: tuple[int, ...] = ()
    fault: int | None = None


@define(eq=False)
class Move:
    """An instance with data and a binding, whose host is to be drained."""

    world: MoveWorld
    platform: Platform
    mishap: Mishap
    first: int = 0
    reached: Counter[str] = field(factory=Counter)

    @classmethod
    def under(cls, trouble: Trouble, databases: Databases, database: str = "memory") -> Move:
        """Return what is to be moved, with the trouble to come."""
        clock = Clock()
        world = MoveWorld(databases.new(database, clock.seconds), clock)
        move = cls(world, Platform(world), Mishap())
        for act in (
            Act(kind="provision", instance_id="i-1"),
            Act(kind="bind", instance_id="i-1", binding_id="b-1"),
        ):
            world.wait(move.platform.perform(act), 600)
        [volume] = world.engine.disk.values()
        volume.contents.update(DATA)
        [life] = world.lives
        move.first = life.counts.total()
        if trouble.deaths:
            life.death = Death(None, move.first + trouble.deaths[0])
        world.deaths.extend(Death(None, count) for count in trouble.deaths[1:])
        move.mishap.at = trouble.fault
        world.also = move.mishap
        return move

    def drain(self) -> None:
        """Drain the host, until the instance has moved."""
        result(self.world.reader.drain(HOST.key, is_draining=True))
        end = self.world.clock.seconds() + _PATIENCE
        while self.world.clock.seconds() < end and not self.is_over():
            self.world.advance(5)

    def is_over(self) -> bool:
        """Whether the instance has moved, and nothing is under way."""
        unfinished = result(self.world.reader.operations(unfinished=True, limit=1))
        return not unfinished and self.instance().host == OTHER.key

    def instance(self) -> ServiceInstance:
        """Return the instance."""
        found: ServiceInstance | None = result(self.world.reader.instance("i-1"))
        assert found is not None, "the instance is lost"
        return found

    def points(self) -> int:
        """Return how many points the brokers have reached since the draining began."""
        return sum(life.counts.total() for life in self.world.lives) - self.first

    def complaints(self) -> list[str]:
        """Return what is wrong once the instance has moved, and when it is deleted then."""
        world, instance = self.world, self.instance()
        found = [*world.complaints, *world.service.complaints]
        if not self.is_over() or instance.state is not InstanceState.READY:
            found.append(f"it has not moved: {instance}, {self._moves()}")
        running = [one for one in world.there.world.values() if one.running and one.keeps_running]
        if [one.id for one in running] != [instance.container_id]:
            found.append(f"there run {running}")
        if [one.contents for one in world.there.disk.values()] != [DATA]:
            found.append(f"its data is {[one.contents for one in world.there.disk.values()]}")
        if world.engine.world or world.engine.disk:
            found.append(f"left here: {world.engine.world}, {world.engine.disk}")
        found += self._ledger() + self._deleted()
        # All of them are over by now, so that the log must tell how each has ended.
        return [*found, *audit_complaints(world.reader)]

    def _ledger(self) -> list[str]:
        """Return how the database contradicts the instance about what is held of hosts."""
        reserved, held = result(self.world.reader.reserved()), holdings(self.instance())
        found = []
        for key in (HOST.key, OTHER.key):
            ports = {port for one in held if one.host == key for port in one.ports}
            sums = sum((one.reserved for one in held if one.host == key), NOTHING)
            if ports != result(self.world.reader.leased_ports(key)) or sums != reserved.get(key, NOTHING):
                found.append(f"of {key.service_host} there are leased or reserved other things than it has")
        return found

    def _deleted(self) -> list[str]:
        world = self.world
        world.also = None
        for act in (
            Act(kind="unbind", instance_id="i-1", binding_id="b-1"),
            Act(kind="deprovision", instance_id="i-1"),
        ):
            world.wait(self.platform.perform(act), 600)
        left = [
            one.spec.labels[LABEL_INSTANCE] for engine in self._engines() for one in engine.world.values()
        ]
        left += [name for engine in self._engines() for name in engine.disk]
        bad = [str(deed) for deed in self.platform.deeds if deed.outcome != "done"]
        return [f"left after its deletion: {one}" for one in left] + bad

    def _engines(self) -> list[MemoryEngine]:
        return [self.world.engine, self.world.there]

    def _moves(self) -> list[str]:
        every = result(self.world.reader.operations(unfinished=False, limit=100))
        return [
            f"{one.phase.value} {one.step.value} {one.description}"
            for one in every
            if one.kind is OperationKind.MOVE
        ]

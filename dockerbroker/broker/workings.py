"""What works on the broker's seams: wired once, for the program and for the tests."""

from collections.abc import Callable

from attrs import Factory, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from dockerbroker.broker.absence import DEFAULT_WAIT
from dockerbroker.broker.beginning import Beginning
from dockerbroker.broker.comparing import AUDIT_KEPT, Comparer
from dockerbroker.broker.draining import Drainer
from dockerbroker.broker.executions import Executions
from dockerbroker.broker.fleet import YOUTH, FleetView
from dockerbroker.broker.heartbeat import Heartbeat
from dockerbroker.broker.judging import Judge
from dockerbroker.broker.limits import Limits
from dockerbroker.broker.moves import Moves
from dockerbroker.broker.moving import Moving
from dockerbroker.broker.pings import PACE, Pings
from dockerbroker.broker.placing import Placing
from dockerbroker.broker.readiness import Readiness
from dockerbroker.broker.reconcile import Reconciler
from dockerbroker.broker.relocating import Relocation
from dockerbroker.broker.removals import Removals
from dockerbroker.broker.restarts import Restarts
from dockerbroker.broker.returning import Returning
from dockerbroker.broker.seams import Seams, placed
from dockerbroker.broker.service import ServiceBroker, make_broker
from dockerbroker.broker.steps import Steps
from dockerbroker.broker.sweeping import Sweeps
from dockerbroker.broker.worker import Worker
from dockerbroker.crashpoints import Reach
from dockerbroker.model.dispatchers import Dispatcher, SimpleDispatcher
from dockerbroker.model.placement import Overcommit, Sample
from dockerbroker.model.registrations import USUAL, HostLimits


@frozen(kw_only=True)
class Machine:
    """What a broker takes from the machine on which it runs.

    `clock` is monotonic. `wall` returns seconds since 1970; `spent` the seconds of a processor that this
    process has taken; `jitter` a random part of a pause; `new_id` what nobody else is named. `sample` chooses
    so many of a sequence at random.
    """

    clock: IReactorTime
    wall: Callable[[], float]
    spent: Callable[[], float]
    jitter: Callable[[float], float]
    new_id: Callable[[], str]
    sample: Sample[int]


@frozen(kw_only=True)
class Policy:
    """How a broker works, as its operator wants it.

    `wait_for_host` is for how many seconds a deletion waits for a dead host, `audit_kept` for how many the
    audit log is kept, `youth` for how many hosts are chosen by what was seen of them last, and `pace` how
    many seconds apart pings are stored.
    """

    limits: Limits = Factory(Limits)
    dispatcher: Dispatcher = Factory(SimpleDispatcher)
    overcommit: Overcommit = Factory(Overcommit)
    host_limits: HostLimits = USUAL
    is_guarded: bool = True
    wait_for_host: float = DEFAULT_WAIT
    audit_kept: float = AUDIT_KEPT
    youth: float = YOUTH
    pace: float = PACE


@frozen(kw_only=True)
class Workings:
    """What answers platforms and agents, and what works by itself, on one database."""

    broker: ServiceBroker
    worker: Worker
    reconciler: Reconciler
    comparer: Comparer
    restarts: Restarts
    drainer: Drainer
    heartbeat: Heartbeat
    judge: Judge
    pings: Pings
    sweeps: Sweeps

    def start(self) -> None:
        """Tell that there is a broker, judge hosts, finish what others left, compare, and drain hosts."""
        self.heartbeat.start()
        self.judge.start()
        self.reconciler.start()
        self.comparer.start()
        self.drainer.start()

    def pause(self, is_paused: bool) -> None:
        """Leave the database alone, or no more."""
        for part in (self.heartbeat, self.judge, self.restarts, self.reconciler, self.drainer):
            part.is_paused = is_paused

    def settle(self) -> Deferred[None]:
        """Begin nothing more by itself, but keep the leases of what is being carried.

        The Deferred fires when nothing is just being claimed.
        """
        # Soon it hears no pings, while it may still have much to end.
        for part in (self.heartbeat, self.judge, self.restarts, self.comparer, self.drainer, self.sweeps):
            part.stop()
        return self.reconciler.settle()

    def stop(self) -> None:
        """End all of it."""
        self.settle()
        self.reconciler.stop()


def make_workings(
    seams: Seams, machine: Machine, policy: Policy, *, owner: str, reach: Reach | None = None
) -> Workings:
    """Wire a broker whose name is `owner`; `reach` is called at its crash points."""
    clock = machine.clock
    relocation = Relocation(seams.persister, seams.engines, machine.sample, clock.seconds)
    steps = placed(_steps(seams, clock, policy.limits, relocation), reach)
    worker = Worker(owner, seams.persister, steps, clock, machine.wall, machine.jitter, policy.wait_for_host)
    view = FleetView(seams.persister, clock, policy.overcommit, policy.youth)
    placing = _placing(seams, machine, policy.dispatcher, view, relocation)
    relocation.placing = placing
    beginning = Beginning(seams.persister, worker, policy.limits, clock, machine.new_id, machine.wall)
    comparer = _comparer(seams, machine, policy.audit_kept, relocation)
    restarts = Restarts(comparer, clock)
    pings = Pings(seams.persister, clock, restarts.heard, policy.pace, policy.host_limits)
    welcome = Returning(seams.persister, seams.engines, comparer).welcome
    moving = Moving(seams.persister, seams.engines, placing, beginning)
    return Workings(
        broker=make_broker(seams.persister, placing, beginning),
        worker=worker,
        reconciler=Reconciler(seams.persister, worker, clock),
        comparer=comparer,
        restarts=restarts,
        drainer=Drainer(persister=seams.persister, moving=moving, clock=clock),
        heartbeat=Heartbeat(seams.persister, clock),
        judge=Judge(seams.persister, view, clock, welcome, policy.is_guarded, pings.settled),
        pings=pings,
        sweeps=Sweeps(seams.persister, seams.engines, clock, machine.wall),
    )


def _steps(seams: Seams, clock: IReactorTime, limits: Limits, relocation: Relocation) -> Steps:
    removals = Removals(seams.persister, seams.engines, clock)
    return Steps(
        persister=seams.persister,
        engines=seams.engines,
        executors=seams.executors,
        executions=Executions(seams.persister, seams.engines, seams.executors, clock),
        readiness=Readiness(clock),
        removals=removals,
        moves=Moves(seams.persister, seams.engines, seams.copies, removals, clock),
        relocation=relocation,
        limits=limits,
        clock=clock,
    )


def _placing(
    seams: Seams, machine: Machine, dispatcher: Dispatcher, view: FleetView, relocation: Relocation
) -> Placing:
    return Placing(
        persister=seams.persister,
        view=view,
        engines=seams.engines,
        dispatcher=dispatcher,
        sample=machine.sample,
        clock=machine.clock,
        blocked=relocation.blocked,
        resting=relocation.resting,
    )


def _comparer(seams: Seams, machine: Machine, audit_kept: float, relocation: Relocation) -> Comparer:
    return Comparer(
        persister=seams.persister,
        engines=seams.engines,
        clock=machine.clock,
        wall=machine.wall,
        spent=machine.spent,
        jitter=machine.jitter,
        resting=relocation.resting,
        audit_kept=audit_kept,
    )

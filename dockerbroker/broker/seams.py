"""The broker's two seams, as everything in it sees them: the database and Docker."""

from collections.abc import Callable
from typing import Any

from attrs import fields, frozen

from dockerbroker.broker.steps import Steps
from dockerbroker.crashpoints import Reach, enter, pointed
from dockerbroker.engines.interfaces import Engines, Executors, ICopies, IEngine, IExecutor
from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.work import Work
from dockerbroker.persisters.interfaces import IPersister


@frozen(kw_only=True)
class Seams:
    """What the broker's parts are wired with: nothing in the broker sees the database or Docker but by it."""

    persister: IPersister
    engines: Engines
    copies: ICopies
    executors: Executors


def make_seams(
    persister: IPersister,
    engines: Engines,
    copies: ICopies,
    executors_on: Callable[[Engines], Executors],
    reach: Reach | None,
) -> Seams:
    """Return the seams; without `reach`, as in production, they are what was given, and cost nothing.

    With it there is a crash point before and after every call; `executors_on` makes executors on engines.
    """
    if reach is None:
        return Seams(persister=persister, engines=engines, copies=copies, executors=executors_on(engines))

    def engine(host: DockerHost) -> IEngine:
        return pointed(IEngine, engines(host), "engine", reach)

    on_points = executors_on(engine)

    def executor(host: DockerHost) -> IExecutor:
        return pointed(IExecutor, on_points(host), "executor", reach)

    return Seams(
        persister=pointed(IPersister, persister, "persister", reach),
        engines=engine,
        copies=pointed(ICopies, copies, "copies", reach),
        executors=executor,
    )


def placed(steps: Steps, reach: Reach | None) -> Steps:
    """Return steps that name the places of their crash points; without `reach` they are what was given."""
    if reach is None:
        return steps
    return _PlacedSteps(**{one.name: getattr(steps, one.name) for one in fields(Steps) if one.init})


class _PlacedSteps(Steps):
    """Steps whose crash points are called by the operation's kind and step: `provision.create`."""

    async def do(self, work: Work, *arguments: Any, **options: Any) -> Work:
        enter(f"{work.operation.kind.value}.{work.operation.step.value}")
        return await super().do(work, *arguments, **options)

"""Compares a deployment's rows with its hosts by hand: what is wrong, and what nobody owns."""

from collections.abc import Sequence

import click
from attrs import evolve
from twisted.internet.task import deferLater

from dockerbroker.broker.comparing import read_claims
from dockerbroker.broker.observing import Observer
from dockerbroker.broker.reaping import Reaped, Reaper
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import show_table, tell
from dockerbroker.errors import Conflict
from dockerbroker.invariants import Event, Snapshot, breaches, gather
from dockerbroker.model.orphans import excess
from dockerbroker.model.world import World

#: Something more than the grace, in seconds.
_LONGER = 1.0


async def check_world(
    deployment: Deployment, *, history: Sequence[Event], log: Sequence[str], settle: float
) -> int:
    """Show every breach of an invariant; returns 1 when there is any.

    What is found is looked at once more, `settle` seconds later, and counts only if it is still there: hosts
    and rows are not seen at the same moment.
    """

    async def look() -> tuple[Snapshot, list[str]]:
        seen = await gather(deployment.persister, deployment.engines, deployment.clock)
        world = evolve(seen, history=tuple(history), log=tuple(log))
        return world, breaches(world)

    world, found = await look()
    if found:
        if settle:
            tell(f"Looking again in {settle:g} s.")
        await deferLater(deployment.clock, settle)
        world, again = await look()
        found = [breach for breach in again if breach in found]
    _tell_of(world)
    for breach in found:
        click.echo(breach)
    if not found:
        containers = sum(len(view.containers) for view in world.hosts)
        tell(f"All is well: {len(world.instances)} service instances, {containers} containers.")
    return 1 if found else 0


def _tell_of(world: Snapshot) -> None:
    """Tell what is no breach, and yet to be known."""
    for view in world.hosts:
        if view.complaint is not None:
            tell(f"{view.host.key.service_host} was not looked at: {view.complaint}")
    for instance_id, condition in sorted(world.conditions.items()):
        tell(f"On record about {instance_id}: {condition}")


async def show_orphans(deployment: Deployment) -> int:
    """Show all that nobody owns, be it ever so young, and what the database says about it."""
    reaper = Reaper(deployment.persister, deployment.engines, deployment.clock)
    cluster_id = await deployment.persister.cluster_id()
    world = await _look(deployment, cluster_id)
    claims = await read_claims(deployment.persister, world)
    found = await reaper.find(world, claims, cluster_id)
    verdicts = await reaper.examine(found, claims)
    rows = [
        (one.kind.value, one.id, one.host.key.service_host, one.instance_id, said.value)
        for one, said in zip(found, verdicts, strict=True)
    ]
    show_table(("kind", "id", "host", "instance", "what"), rows)
    if (why := excess(found, world.values())) is not None:
        tell(f"Without --force nothing would be removed: {why}.")
    return 0


async def reap(deployment: Deployment, *, forced: bool) -> int:
    """Remove what nobody owns, after two looks with the grace between them; raises `Conflict`."""
    reaper = Reaper(deployment.persister, deployment.engines, deployment.clock, forced=forced)
    cluster_id = await deployment.persister.cluster_id()
    first = await _pass(deployment, reaper, cluster_id)
    if not first.waiting:
        tell("Everything has an owner.")
        return 0
    tell(f"{first.waiting} without an owner; looking again in {reaper.grace:g} s.")
    await deferLater(deployment.clock, reaper.grace + _LONGER)
    second = await _pass(deployment, reaper, cluster_id)
    if second.refusal is not None:
        raise Conflict(f"Nothing was removed: {second.refusal}.")
    orphans = [removal.orphan for removal in second.removals]
    rows = [(one.kind.value, one.id, one.host.key.service_host, one.instance_id) for one in orphans]
    show_table(("removed", "id", "host", "instance"), rows)
    if second.waiting:
        tell(f"{second.waiting} are still there: too young, in use, or their host refused.")
    return 0


async def _pass(deployment: Deployment, reaper: Reaper, cluster_id: str) -> Reaped:
    world = await _look(deployment, cluster_id)
    claims = await read_claims(deployment.persister, world)
    return await reaper.reap(world, claims, cluster_id)


async def _look(deployment: Deployment, cluster_id: str) -> World:
    observer = Observer(deployment.persister, deployment.engines, deployment.clock)
    world = await observer.look(cluster_id)
    for sight in world.values():
        if sight.complaint is not None:
            tell(f"{sight.host.key.service_host} was not looked at: {sight.complaint}")
    return world

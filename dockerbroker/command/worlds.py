"""Compares a deployment's rows with its hosts by hand: what is wrong, and what nobody owns."""

from collections.abc import Sequence

import click
from attrs import evolve
from twisted.internet.task import deferLater

from dockerbroker.broker.sweeping import Sweeper
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import show_table, tell
from dockerbroker.errors import Conflict
from dockerbroker.invariants import Event, Snapshot, breaches, gather
from dockerbroker.model.audit import command


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
    survey = await _sweeper(deployment).survey()
    for host, complaint in survey.unseen.items():
        tell(f"{host} was not looked at: {complaint}")
    rows = [
        (one.kind.value, one.id, one.host.key.service_host, one.instance_id, said.value)
        for one, said in survey.found
    ]
    show_table(("kind", "id", "host", "instance", "what"), rows)
    if survey.excess is not None:
        tell(f"Without --force nothing would be removed: {survey.excess}.")
    return 0


async def reap(deployment: Deployment, *, forced: bool) -> int:
    """Remove what nobody owns, after two looks with the grace between them; raises `Conflict`."""
    reaped = await _sweeper(deployment).sweep(forced=forced)
    if reaped.refusal is not None:
        raise Conflict(f"Nothing was removed: {reaped.refusal}.")
    if not reaped.removals and not reaped.waiting:
        tell("Everything has an owner.")
        return 0
    orphans = [removal.orphan for removal in reaped.removals]
    rows = [(one.kind.value, one.id, one.host.key.service_host, one.instance_id) for one in orphans]
    show_table(("removed", "id", "host", "instance"), rows)
    if reaped.waiting:
        tell(f"{reaped.waiting} are still there: too young, in use, or their host refused.")
    return 0


def _sweeper(deployment: Deployment) -> Sweeper:
    return Sweeper(deployment.persister, deployment.engines, deployment.clock, tell, command("reap"))

"""Shows Docker hosts, cordons them, drains them, and forgets them."""

import math
from collections import Counter

from twisted.internet.task import deferLater

from dockerbroker.broker.draining import TRIED_WITHIN
from dockerbroker.broker.host_administration import HostAdministration, KnownHost
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import show_table, tell
from dockerbroker.model.audit import command
from dockerbroker.model.draining import (
    FAILED,
    MOVED,
    MOVING,
    STAYING,
    WAITING,
    Drain,
    InstanceDrain,
)
from dockerbroker.model.floors import outdated
from dockerbroker.model.standing import hindrance, host_id

#: How often it is looked how a drain stands, in seconds.
_LOOK_EVERY = 2.0
_DRAIN_COLUMNS = ("instance", "state", "bytes", "bindings to make again", "what")
_COLUMNS = (
    "host",
    "state",
    "ping",
    "instances",
    "cordoned",
    "why it is not used, or the last",
)


async def list_hosts(deployment: Deployment) -> int:
    """List all hosts."""
    known = await HostAdministration(deployment.persister).hosts()
    show_table(_COLUMNS, [_row(one) for one in known])
    return 0


def _row(known: KnownHost) -> tuple[str, ...]:
    report = known.report
    return (
        host_id(report.host.key),
        report.state.value,
        "" if math.isinf(report.age) else f"{report.age:.1f} s ago",
        str(known.instances),
        "yes" if report.is_cordoned else "no",
        hindrance(report) or report.complaint or outdated(report.vitals),
    )


async def cordon_host(deployment: Deployment, name: str, *, is_cordoned: bool) -> int:
    """Let nothing be placed on a host, or let it again; raises `NotFound` or `Conflict`."""
    await HostAdministration(deployment.persister).cordon(
        name, is_cordoned=is_cordoned, origin=command("hosts cordon" if is_cordoned else "hosts uncordon")
    )
    if is_cordoned:
        tell("Nothing is placed on it from now on; what it has stays.")
    else:
        tell("Instances are placed on it again.")
    return 0


async def drain_host(deployment: Deployment, name: str, *, is_draining: bool, waits: bool) -> int:
    """Let the instances of a host move to others, or stay; raises `NotFound` or `Conflict`.

    With `waits` it ends when nothing moves any more, and tells of all that stays by its status.
    """
    hosts = HostAdministration(deployment.persister, deployment.wall)
    drain = await hosts.drain(
        name, is_draining=is_draining, origin=command("hosts drain" if is_draining else "hosts undrain")
    )
    if not is_draining:
        tell("What has not begun to move stays; nothing is placed on it until it is uncordoned.")
        return 0
    tell("Nothing is placed on it from now on, and the brokers move what it has.")
    told, since, before, took = "", deployment.clock.seconds(), _failed(drain), 0.0
    while waits and drain.report.is_draining:
        # What has failed before is tried once more.
        is_tried = not (before & _failed(drain)) or deployment.clock.seconds() - since > TRIED_WITHIN
        if is_tried and not drain.is_under_way:
            break
        if (line := _progress(drain)) != told:
            told = line
            tell(line)
        await deferLater(deployment.clock, _LOOK_EVERY + took)
        began = deployment.clock.seconds()
        drain = await hosts.drained(name)
        # Of many instances it takes long.
        took = deployment.clock.seconds() - began
    show_table(_DRAIN_COLUMNS, [_drain_row(one) for one in drain.instances])
    return 1 if waits and any(one.state != MOVED for one in drain.instances) else 0


def _failed(drain: Drain) -> set[tuple[str, str | None]]:
    return {(one.instance_id, one.operation_id) for one in drain.instances if one.state == FAILED}


def _progress(drain: Drain) -> str:
    counts = Counter(one.state for one in drain.instances)
    counted = ", ".join(f"{counts[state]} {state}" for state in (MOVED, MOVING, WAITING, FAILED, STAYING))
    return f"{counted}; {sum(one.copied for one in drain.instances)} bytes copied"


def _drain_row(one: InstanceDrain) -> tuple[str, ...]:
    return one.instance_id, one.state, str(one.copied), " ".join(one.bindings), one.what


async def forget_host(deployment: Deployment, name: str, *, forced: bool) -> int:
    """Forget a host; raises `NotFound` or `Conflict`."""
    await HostAdministration(deployment.persister).forget(name, forced=forced, origin=command("hosts forget"))
    tell("It is forgotten. If its agent pings it is a new host; deletions that waited for it end.")
    return 0

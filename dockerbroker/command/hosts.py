"""Shows Docker hosts, cordons them, and forgets them."""

import math

from dockerbroker.broker.host_administration import HostAdministration, KnownHost
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import show_table, tell
from dockerbroker.model.standing import hindrance, host_id

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
        hindrance(report) or report.complaint,
    )


async def cordon_host(deployment: Deployment, name: str, *, is_cordoned: bool) -> int:
    """Let nothing be placed on a host, or let it again; raises `NotFound` or `Conflict`."""
    await HostAdministration(deployment.persister).cordon(name, is_cordoned=is_cordoned)
    if is_cordoned:
        tell("Nothing is placed on it from now on; what it has stays.")
    else:
        tell("Instances are placed on it again.")
    return 0


async def forget_host(deployment: Deployment, name: str, *, forced: bool) -> int:
    """Forget a host; raises `NotFound` or `Conflict`."""
    await HostAdministration(deployment.persister).forget(name, forced=forced)
    tell("It is forgotten. If its agent pings it is a new host; deletions that waited for it end.")
    return 0

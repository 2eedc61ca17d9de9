"""Whether a deletion waits for its Docker host any longer."""

from typing import Final

from attrs import define

from dockerbroker.model.hosts import HostReport, HostState
from dockerbroker.model.instances import Operation, OperationKind, ServiceInstance
from dockerbroker.persisters.interfaces import IPersister

#: How long a deletion waits for a host that is dead, in seconds.
DEFAULT_WAIT: Final = 600.0


@define(eq=False)
class Absence:
    """Knows which hosts are away; `wait` is in seconds."""

    persister: IPersister
    wait: float = DEFAULT_WAIT

    async def ends(self, operation: Operation, instance: ServiceInstance) -> bool:
        """Return whether the deletion is over, since its host is dead; raises `Unavailable`."""
        if operation.kind is not OperationKind.DEPROVISION:
            return False
        reports = {report.host.key: report for report in await self.persister.hosts()}
        waited = await self.persister.now() - operation.began_at
        return is_given_up(instance, reports.get(instance.host), waited, self.wait)


def is_given_up(instance: ServiceInstance, report: HostReport | None, waited: float, patience: float) -> bool:
    """Return whether the deletion of an instance has waited long enough for its host, in seconds.

    An administrator has said so by forgetting the host. A container that is not the broker's own stays, and
    with it what only its executable can remove: for that host the deletion waits until then.
    """
    if report is None:
        return True
    return report.state is HostState.DEAD and instance.owns_container and waited >= patience

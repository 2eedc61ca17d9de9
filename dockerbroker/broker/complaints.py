"""Why the Docker of hosts cannot be used, on record for everybody."""

from collections.abc import Iterable
from typing import ClassVar

from attrs import define
from twisted.logger import Logger

from dockerbroker.model.hosts import LONGEST_COMPLAINT, HostReport
from dockerbroker.model.members import printable
from dockerbroker.model.world import World, place_of
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Complaints:
    """Records what brokers find out about hosts, each change once."""

    _log: ClassVar[Logger] = Logger()

    persister: IPersister

    async def note_sights(self, world: World) -> None:
        """Record of every host that was looked at whether it answered; raises `Unavailable`."""
        for report in await self.persister.hosts():
            sight = world.get(place_of(report.host.key))
            if sight is not None:
                await self.note([report], sight.complaint or "")

    async def note(self, reports: Iterable[HostReport], complaint: str) -> None:
        """Record why these hosts cannot be used, nothing if they can; raises `Unavailable`."""
        told = printable(complaint)[:LONGEST_COMPLAINT]
        for report in reports:
            if report.complaint == told:
                continue
            await self.persister.complain(report.host.key, told)
            name = report.host.key.service_host
            if told:
                self._log.warn("the Docker of {host} cannot be used: {why}", host=name, why=told)
            else:
                self._log.info("the Docker of {host} can be used again", host=name)

"""Why the Docker of hosts cannot be used, on record for everybody."""

from collections.abc import Iterable
from typing import ClassVar

from attrs import define, field
from twisted.logger import Logger

from dockerbroker.model.hosts import LONGEST_COMPLAINT, HostKey, HostReport
from dockerbroker.model.members import printable
from dockerbroker.model.world import World, place_of
from dockerbroker.persisters.interfaces import IPersister


@define(eq=False)
class Complaints:
    """Records what brokers find out about hosts, each change once.

    Brokers may differ, as when one is cut off from a host; the log is told when this one finds something
    else than it did before.
    """

    _log: ClassVar[Logger] = Logger()

    persister: IPersister
    _told: dict[HostKey, str] = field(factory=dict, init=False)

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
            key = report.host.key
            before = self._told.get(key, report.complaint)
            self._told[key] = told
            if report.complaint != told:
                await self.persister.complain(key, told)
            if before == told:
                continue
            if told:
                self._log.warn("the Docker of {host} cannot be used: {why}", host=key.service_host, why=told)
            else:
                self._log.info("the Docker of {host} can be used again", host=key.service_host)

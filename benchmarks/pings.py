"""A thousand agents whose pings are stored: how long they wait for it, and whether all is stored."""

from typing import Any, Final, cast

from attrs import frozen

from benchmarks.backends import Section, apart, backend, opened, with_reactor
from benchmarks.pinging import Crowd, Pinged, Send, ping_all, verdict
from benchmarks.sides import Sides
from dockerbroker.broker.pings import Pings
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters.interfaces import IPersister

#: One second is each agent's interval.
CROWD: Final = Crowd(agents=1000, keep_alive=1.0, seconds=5.0)


@frozen
class Together:
    """Pings that are stored together beside those that are each a write of its own."""

    slow: Sides
    processor: Sides
    failed: int
    lost: int

    @property
    def verdict(self) -> str:
        """Whether all pings were stored that are stored together."""
        return verdict(self.failed, self.lost)


def measure(driver: str, rounds: int, crowd: Crowd = CROWD) -> Together | None:
    """Measure a persister; None when there is no such server."""
    with backend(driver) as new_database:
        if new_database is None:
            return None
        return apart(_compare, new_database(), rounds, crowd)


def _compare(section: Section, rounds: int, crowd: Crowd) -> Together:
    async def work(reactor: Any) -> Together:
        persister = await opened(reactor, section)
        sides: tuple[list[Pinged], list[Pinged]] = ([], [])
        for number in range(rounds):
            both = [(sides[0], _together(persister, reactor)), (sides[1], _alone(persister))]
            for pinged, send in both if number % 2 else reversed(both):
                pinged.append(await ping_all(reactor, crowd, send, persister))
        ours, theirs = sides
        return Together(
            slow=Sides([one.slow for one in ours], [one.slow for one in theirs]),
            processor=Sides([one.processor for one in ours], [one.processor for one in theirs]),
            failed=sum(one.failed for one in ours),
            lost=sum(one.lost for one in ours),
        )

    return cast("Together", with_reactor(work))


def _together(persister: IPersister, reactor: Any) -> Send:
    pings = Pings(persister, reactor)

    async def send(_: int, ping: Ping) -> None:
        await pings.record(ping)

    return send


def _alone(persister: IPersister) -> Send:
    async def send(_: int, ping: Ping) -> None:
        await persister.record_pings([ping])

    return send

"""Gives containers whose records were lost a record again."""

from collections.abc import Sequence
from uuid import uuid4

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlinePassed

from dockerbroker.broker.observing import HOST_DEADLINE
from dockerbroker.broker.placing import with_dashboard
from dockerbroker.command.deployment import Deployment
from dockerbroker.command.showing import show_table, tell
from dockerbroker.errors import BrokerError, Conflict, PortLeased
from dockerbroker.model.adoption import (
    Adoption,
    Candidates,
    Left,
    Record,
    Seen,
    adopted,
    candidates,
    recorded,
)
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.world import Place, place_of
from dockerbroker.persisters.archive import Kind

_OWNER = "dockerbroker adopt"


async def adopt(deployment: Deployment, *, cluster_id: str | None, dry_run: bool) -> int:
    """Adopt what can be adopted; returns 1 when an instance stays without its record, or a host is silent.

    With `cluster_id` the database takes that identity first. Raises `Conflict` when it holds instances or
    operations and has another one.
    """
    own = await deployment.persister.cluster_id()
    if cluster_id is not None and cluster_id != own:
        await _identify(deployment, cluster_id, dry_run=dry_run)
    status = await Adopter(deployment, cluster_id or own, dry_run=dry_run).run()
    if dry_run:
        tell("Nothing was changed.")
    return status


async def _identify(deployment: Deployment, cluster_id: str, *, dry_run: bool) -> None:
    standing = await deployment.archive.standing()
    if standing.counts[Kind.INSTANCE] or standing.counts[Kind.OPERATION]:
        raise Conflict(
            f"The database holds instances or operations of the deployment {standing.identity.cluster_id}: "
            "only a new one can take the place of one that was lost."
        )
    if not dry_run:
        await deployment.archive.identify(
            evolve(standing.identity, cluster_id=cluster_id), mover=standing.mover
        )
        tell("The database has the identity of the lost one now: restart every broker that runs on it.")


@define(eq=False)
class Adopter:
    """Looks at all hosts, then at the records, and writes the records that are missing."""

    deployment: Deployment
    cluster_id: str
    dry_run: bool = field(kw_only=True)
    _seen: list[Seen] = field(factory=list, init=False)
    _rows: list[tuple[str, Seen, str]] = field(factory=list, init=False)
    _is_whole: bool = field(default=True, init=False)
    _promised: set[tuple[HostKey, int]] = field(factory=set, init=False)

    async def run(self) -> int:
        """Adopt, and show what was adopted and what was left; returns the exit status."""
        # The world first, as the reaper does: a record is written before its container is made.
        hosts = await self._hosts()
        for host in hosts:
            await self._look(host)
        records = await self._records()
        found = candidates(self._seen, records, await self._known(), self.cluster_id)
        images = await self.deployment.persister.images()
        for one in found.wanted:
            await self._adopt(one, records[one.instance_id], images)
        self._show(found, hosts)
        return 0 if self._is_whole else 1

    async def _hosts(self) -> list[DockerHost]:
        """Return the host for each Docker: of several names that it has, the one that was heard of last."""
        places: dict[Place, DockerHost] = {}
        for report in sorted(await self.deployment.persister.hosts(), key=lambda one: one.age):
            places.setdefault(place_of(report.host.key), report.host)
        if not places:
            tell(
                "No Docker host is known yet: start a broker, and run this again when agents have reached it."
            )
        return list(places.values())

    async def _look(self, host: DockerHost) -> None:
        listing = Deferred.fromCoroutine(self.deployment.engines(host).containers(self.cluster_id))
        try:
            found = await listing.addTimeout(HOST_DEADLINE, self.deployment.clock)
        except (BrokerError, DeadlinePassed) as error:
            self._is_whole = False
            why = error.description if isinstance(error, BrokerError) else "It does not answer."
            tell(f"{host.key.service_host} was not looked at: {why}")
            return
        self._seen += [Seen(host=host, container=one) for one in found]

    async def _records(self) -> dict[str, Record]:
        persister = self.deployment.persister
        ids = sorted({one.instance_id for one in self._seen})
        return {
            one: Record(instance=await persister.instance(one), last=await persister.last_operation(one))
            for one in ids
        }

    async def _known(self) -> frozenset[str]:
        return await self.deployment.persister.known_operations(one.operation_id for one in self._seen)

    async def _adopt(self, seen: Seen, record: Record, images: Sequence[ImageDefinition]) -> None:
        try:
            container = await self.deployment.engines(seen.host).inspect(seen.container.id)
            if container is None:
                return
            # Stopped or started since, it is the one that was chosen.
            looked = evolve(seen, container=container)
            outcome = adopted(looked, record.instance, images, self.cluster_id)
            if isinstance(outcome, Left):
                self._leave(outcome)
                return
            await self._write(evolve(outcome, instance=with_dashboard(outcome.instance)), record)
        except BrokerError as error:
            self._leave(Left(seen=seen, why=error.description, is_loss=True))
            return

    async def _write(self, adoption: Adoption, record: Record) -> None:
        await self._promise(adoption, record)
        if not self.dry_run:
            persister = self.deployment.persister
            made_by = adoption.seen.operation_id
            # By the name that its label has the reaper knows the container's operation.
            is_free = made_by and not await persister.known_operations([made_by])
            change = recorded(
                adoption.instance,
                made_by if is_free else str(uuid4()),
                self.deployment.wall(),
                is_renewal=adoption.is_renewal,
            )
            await persister.begin(change, owner=_OWNER, ttl=0, within=0)
        self._rows.append(("renew" if adoption.is_renewal else "adopt", adoption.seen, adoption.remark))

    async def _promise(self, adoption: Adoption, record: Record) -> None:
        """Raise `PortLeased` when a port is another instance's, also of one that is adopted in this run."""
        instance, former = adoption.instance, record.instance
        own = set(former.ports.values()) if former is not None else set()
        leased = await self.deployment.persister.leased_ports(instance.host) - own
        wanted = {(instance.host, port) for port in instance.ports.values()}
        for _, port in sorted(wanted):
            if port in leased or (instance.host, port) in self._promised:
                raise PortLeased(f"Its port {port} is leased to another service instance.")
        self._promised |= wanted

    def _leave(self, left: Left) -> None:
        self._is_whole = self._is_whole and not left.is_loss
        self._rows.append(("leave", left.seen, left.why))

    def _show(self, found: Candidates, hosts: Sequence[DockerHost]) -> None:
        for left in found.left:
            self._leave(left)
        if hosts and self._is_whole and not self._rows:
            tell(f"Every container of {self.cluster_id} has its record.")
        columns = ("what", "instance", "container", "host", "why")
        show_table(columns, [(what, *_told(seen), why) for what, seen, why in self._rows])


def _told(seen: Seen) -> tuple[str, str, str]:
    return seen.instance_id, seen.container.id, seen.host.key.service_host

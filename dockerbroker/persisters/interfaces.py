"""The seam between the broker and its database: records, reservations and leases, not SQL."""

from collections.abc import Iterable

from zope.interface import Interface

from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.hosts import DockerHost, HostKey, HostReport
from dockerbroker.model.instances import Change, Operation, ServiceBinding, ServiceInstance


class IPersister(Interface):
    """Keeps the records of one deployment, which any number of brokers share.

    Every method is one transaction: it is durable when it returns, and has changed nothing when it raises.
    Any of them raises `Unavailable` when the database does not answer. Identifiers are compared as exact
    bytes. The clock is the persister's own: it never goes back, and all brokers of the deployment see it.
    """

    async def cluster_id() -> str:
        """Return the random identifier that this database was born with: 32 hexadecimal digits."""

    async def images() -> list[ImageDefinition]:
        """Return the catalog."""

    async def seed_images(definitions: Iterable[ImageDefinition]) -> bool:
        """Fill the catalog the first time this is called on a database; returns whether it did.

        From then on the database rules, also when its catalog is empty.
        """

    async def put_image(definition: ImageDefinition) -> bool:
        """Add or replace the definition of that name; returns whether it is new.

        Raises `Conflict` when another definition has its plan id.
        """

    async def delete_image(name: str) -> None:
        """Remove a definition.

        Raises `NotFound` when there is none, and `Conflict` when instances of it exist.
        """

    async def record_ping(host: DockerHost) -> None:
        """Store the host as it describes itself, and that it is alive now."""

    async def hosts() -> list[HostReport]:
        """Return every known host with the age of its last ping."""

    async def instance(instance_id: str) -> ServiceInstance | None:
        """Return the instance, if it exists."""

    async def binding(instance_id: str, binding_id: str) -> ServiceBinding | None:
        """Return the binding of that instance, if it exists."""

    async def bindings(instance_id: str) -> list[ServiceBinding]:
        """Return all bindings of the instance."""

    async def operation(operation_id: str) -> Operation | None:
        """Return the operation; those that are over are kept."""

    async def leased_ports(host: HostKey) -> frozenset[int]:
        """Return the host's ports that are leased to instances."""

    async def begin(change: Change, *, owner: str, ttl: float) -> Operation:
        """Write a new operation with what it needs, and lease it to the owner for `ttl` seconds.

        A provision inserts its instance, which holds the instance's ports by a unique (host, port), and
        raises `AlreadyExists` or `PortLeased`. A bind inserts its binding. Everything but a provision takes
        the instance and raises `Busy` when another operation holds it, has held it since the change's
        instance was read, or it is gone, or the binding of an unbind is gone; for a bind also
        `AlreadyExists`. The other records of the change are written as they are, but for the ids of
        operations in the instance, which are the persister's. Returns the operation as stored: epoch 1,
        with its owner.
        """

    async def commit(change: Change) -> None:
        """Write the operation's progress or outcome and the records that change with it.

        Raises `LostLease` when the operation's epoch is not the stored one, and `PortLeased` when the
        instance has new ports and one is taken. An operation that is over gives up its lease and its
        instance, and never changes again.
        """

    async def claim(owner: str, *, ttl: float) -> list[Operation]:
        """Take over all operations that are not over and whose lease has lapsed; each gets a new epoch."""

    async def renew(owner: str, *, ttl: float) -> None:
        """Prolong the leases of all operations that the owner holds, from now."""

    async def release(operation: Operation, *, delay: float) -> None:
        """Let go of an operation that is not over: it may be claimed after `delay` seconds.

        Raises `LostLease`.
        """

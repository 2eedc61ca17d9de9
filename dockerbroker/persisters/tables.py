"""The tables of the SQL databases; `migrations` makes them.

Every query of `IPersister` finds its rows by a primary key or an index named here, so that its cost does not
grow with the number of records. Nothing secret stands outside the columns named `secret`.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    UniqueConstraint,
    false,
)

from dockerbroker.persisters.columns import Identifier, Number, document

#: Every constraint has a name, since a later migration can only change what it can name.
metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)

#: The one row that describes the deployment. `boot_id` names the boot of the machine by whose clock the
#: leases and pings were written, where that clock starts anew at each boot. `closed` is empty as long as
#: brokers may use the database (`archive.Closed`), `moved_to` says where its records are, for people,
#: and `mover` which run of `migrate-state` works with it. `sealing` says with which keys the secrets are
#: sealed (`sealing.Sealing`); null is that they are not. `credentials` counts the changes of those.
deployment: Final = Table(
    "deployment",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("cluster_id", Identifier, nullable=False),
    Column("seeded", Boolean, nullable=False, server_default=false()),
    Column("boot_id", Identifier, nullable=False, server_default=""),
    Column("closed", Identifier, nullable=False, server_default=""),
    Column("moved_to", Identifier, nullable=False, server_default=""),
    Column("mover", Identifier, nullable=False, server_default=""),
    Column("credentials", Integer, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    Column("sealing", document()),
    CheckConstraint("id = 1", name="single"),
)

images: Final = Table(
    "images",
    metadata,
    Column("name", Identifier, primary_key=True),
    Column("document", document(), nullable=False),
    Column("secret", document(), nullable=False),
)

#: `pinged_at` and `state_at` are by the clock of the leases; null is infinitely long ago. `vitals` is what
#: the agent told last of how the host is, and `sessions` which of its starts have pinged. Brokers agree on
#: the state; the cordon is an administrator's, and so is the wish that its instances move; the complaint is
#: that of whoever could not use its Docker.
hosts: Final = Table(
    "hosts",
    metadata,
    Column("service_host", Identifier, nullable=False),
    Column("docker_host", Identifier, nullable=False),
    Column("docker_port", Integer, nullable=False),
    Column("document", document(), nullable=False),
    Column("pinged_at", Double),
    Column("vitals", document()),
    Column("sessions", document()),
    Column("engine_id", Identifier, nullable=False, server_default=""),
    Column("state", Identifier, nullable=False, server_default="alive"),
    Column("state_at", Double),
    Column("is_cordoned", Boolean, nullable=False, server_default=false()),
    Column("complaint", document()),
    Column("is_draining", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("service_host", "docker_host", "docker_port"),
)

#: What mutual TLS with the Docker Engines at one address needs; `host` is as `folded_host` writes it.
certificates: Final = Table(
    "certificates",
    metadata,
    Column("host", Identifier, primary_key=True),
    Column("document", document(), nullable=False),
    Column("secret", document(), nullable=False),
)

#: Who is let in; of a password only its hash is here.
credentials: Final = Table(
    "credentials",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("role", Identifier, nullable=False),
    Column("document", document(), nullable=False),
    Column("secret", document(), nullable=False),
)

#: The one row, if there is one, tells that brokers were there to hear pings, from `since` to `at` without a
#: gap, by the clock of the leases. It is written every second, and so no part of `deployment`, which every
#: operation that begins locks.
observation: Final = Table(
    "observation",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("since", Double, nullable=False),
    Column("at", Double, nullable=False),
    CheckConstraint("id = 1", name="single"),
)

#: `operation_id` is the operation that holds the instance, `last_operation_id` the last one that held it:
#: nothing changes an instance but the operation that holds it. `image_name` is no foreign key: the catalog
#: entry lives on in the document when the catalog changes. `reserved` is what it adds to which row of
#: `reservations`, and `reserved_there` that of the host to which it moves. Instances of one `neighbourhood`
#: shall not be on one host; what it has for itself alone stands in `lonely_places`.
instances: Final = Table(
    "instances",
    metadata,
    Column("id", Identifier, primary_key=True),
    Column("image_name", Identifier, nullable=False),
    Column("operation_id", Identifier),
    Column("last_operation_id", Identifier),
    Column("document", document(), nullable=False),
    Column("secret", document(), nullable=False),
    Column("reserved", document(), nullable=False),
    Column("reserved_there", document()),
    Column("neighbourhood", Identifier),
    Column("lonely_place", Identifier),
    Column("lonely_place_there", Identifier),
    Index("instances_image_name", "image_name"),
    Index("instances_neighbourhood", "neighbourhood"),
)

bindings: Final = Table(
    "bindings",
    metadata,
    Column("instance_id", Identifier, ForeignKey("instances.id", ondelete="CASCADE"), nullable=False),
    Column("id", Identifier, nullable=False),
    Column("document", document(), nullable=False),
    Column("secret", document(), nullable=False),
    PrimaryKeyConstraint("instance_id", "id"),
)

port_leases: Final = Table(
    "port_leases",
    metadata,
    Column("service_host", Identifier, nullable=False),
    Column("docker_host", Identifier, nullable=False),
    Column("docker_port", Integer, nullable=False),
    Column("port", Integer, nullable=False),
    Column("instance_id", Identifier, ForeignKey("instances.id", ondelete="CASCADE"), nullable=False),
    PrimaryKeyConstraint("service_host", "docker_host", "docker_port", "port"),
    Index("port_leases_instance_id", "instance_id"),
)

#: The places that an instance has for itself: one on its host, and while it moves one on the other.
lonely_places: Final = Table(
    "lonely_places",
    metadata,
    Column("place", Identifier, primary_key=True),
    Column("instance_id", Identifier, ForeignKey("instances.id", ondelete="CASCADE"), nullable=False),
    Index("lonely_places_instance_id", "instance_id"),
)

#: What all instances of a host reserve: memory in bytes, processors in thousandths.
reservations: Final = Table(
    "reservations",
    metadata,
    Column("service_host", Identifier, nullable=False),
    Column("docker_host", Identifier, nullable=False),
    Column("docker_port", Integer, nullable=False),
    Column("memory", BigInteger, nullable=False),
    Column("cpus", BigInteger, nullable=False),
    Column("ports", Integer, nullable=False),
    Column("instances", Integer, nullable=False),
    PrimaryKeyConstraint("service_host", "docker_host", "docker_port"),
)

#: What was observed of instances that are not as they should be.
conditions: Final = Table(
    "conditions",
    metadata,
    Column("instance_id", Identifier, ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True),
    Column("condition", document(), nullable=False),
)

#: Instances that were to be deleted while they did not exist; `at` is by the clock of the leases.
tombstones: Final = Table(
    "tombstones",
    metadata,
    Column("instance_id", Identifier, primary_key=True),
    Column("id", Identifier, nullable=False),
    Column("at", Double, nullable=False),
    Index("tombstones_at", "at"),
)

#: The audit log: `document` is the content of a record, `previous` the hash of the one before it. Whoever
#: writes one holds the one row of `audit_head`, where the number and the hash of the last one stand; it is
#: inserted with the first.
audit: Final = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Identifier, nullable=False),
    Column("document", document(), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("id", name="audit_id"),
)

audit_head: Final = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    CheckConstraint("id = 1", name="single"),
)

#: `number` is in the order in which operations were begun. `lease_until` and `deadline` are by the clock of
#: the leases; `lease_until` is null when the operation is over: all that looks for unfinished work sees only
#: those that are not. An operation outlives its instance, so `instance_id` refers to nothing; `kept_for` is
#: the instance, as long as it exists, of the last operation on the instance itself, which is not forgotten.
operations: Final = Table(
    "operations",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", Identifier, nullable=False),
    Column("instance_id", Identifier, nullable=False),
    Column("binding_id", Identifier),
    Column("kept_for", Identifier, ForeignKey("instances.id", ondelete="SET NULL")),
    Column("phase", Identifier, nullable=False),
    Column("is_over", Boolean, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("owner", Identifier),
    Column("lease_until", Double),
    Column("deadline", Double, nullable=False),
    Column("is_cancelled", Boolean, nullable=False, server_default=false()),
    Column("finished_at", Double),
    Column("document", document(), nullable=False),
    UniqueConstraint("id", name="operations_id"),
    CheckConstraint("(phase IN ('succeeded', 'failed')) = is_over", name="over"),
    CheckConstraint("(lease_until IS NULL) = is_over", name="over_unleased"),
    CheckConstraint("lease_until IS NOT NULL OR owner IS NULL", name="over_unowned"),
    Index("operations_lease_until", "lease_until"),
    Index("operations_owner", "owner"),
    Index("operations_is_over", "is_over", "number"),
    Index("operations_instance_id", "instance_id", "binding_id", "number"),
    Index("operations_kept_for", "kept_for", "finished_at", "number"),
)

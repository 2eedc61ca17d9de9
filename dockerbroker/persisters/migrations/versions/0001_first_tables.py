"""The first tables, and the deployment's identifier.

The one row of `deployment` is written last: where changes of the schema cannot be undone (MySQL), tables
without any row are those of a migration that was interrupted.
"""

import secrets
import time

import sqlalchemy as sa
from alembic import op

from dockerbroker.persisters.columns import Identifier, Number, document

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and the one row of `deployment`."""
    _create_deployment()
    _create_images_and_hosts()
    _create_certificates()
    _create_credentials()
    _create_observation()
    _create_instances()
    _create_bindings()
    _create_port_leases()
    _create_lonely_places()
    _create_reservations()
    _create_conditions()
    _create_tombstones()
    _create_operations()
    _create_audit()
    _name_deployment()


def _create_table(name: str, *parts: sa.schema.SchemaItem) -> None:
    # Whatever a server's defaults are: transactions, foreign keys, all characters, and keys of any length.
    op.create_table(name, *parts, mysql_engine="InnoDB", mysql_charset="utf8mb4", mysql_row_format="DYNAMIC")


def _name_deployment() -> None:
    deployment = sa.table("deployment", sa.column("id"), sa.column("cluster_id"), sa.column("created_at"))
    op.bulk_insert(
        deployment, [{"id": 1, "cluster_id": secrets.token_bytes(16).hex(), "created_at": time.time()}]
    )


def _create_deployment() -> None:
    _create_table(
        "deployment",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("cluster_id", Identifier, nullable=False),
        sa.Column("seeded", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("boot_id", Identifier, nullable=False, server_default=""),
        sa.Column("closed", Identifier, nullable=False, server_default=""),
        sa.Column("moved_to", Identifier, nullable=False, server_default=""),
        sa.Column("mover", Identifier, nullable=False, server_default=""),
        sa.Column("credentials", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("sealing", document()),
        sa.PrimaryKeyConstraint("id", name="deployment_pk"),
        sa.CheckConstraint("id = 1", name=op.f("deployment_single")),
    )


def _create_images_and_hosts() -> None:
    _create_table(
        "images",
        sa.Column("name", Identifier, nullable=False),
        sa.Column("document", document(), nullable=False),
        sa.Column("secret", document(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="images_pk"),
    )
    _create_table(
        "hosts",
        sa.Column("service_host", Identifier, nullable=False),
        sa.Column("docker_host", Identifier, nullable=False),
        sa.Column("docker_port", sa.Integer, nullable=False),
        sa.Column("document", document(), nullable=False),
        sa.Column("pinged_at", sa.Double),
        sa.Column("vitals", document()),
        sa.Column("sessions", document()),
        sa.Column("engine_id", Identifier, nullable=False, server_default=""),
        sa.Column("state", Identifier, nullable=False, server_default="alive"),
        sa.Column("state_at", sa.Double),
        sa.Column("is_cordoned", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("complaint", document()),
        sa.Column("is_draining", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.PrimaryKeyConstraint("service_host", "docker_host", "docker_port", name="hosts_pk"),
    )


def _create_certificates() -> None:
    _create_table(
        "certificates",
        sa.Column("host", Identifier, nullable=False),
        sa.Column("document", document(), nullable=False),
        sa.Column("secret", document(), nullable=False),
        sa.PrimaryKeyConstraint("host", name="certificates_pk"),
    )


def _create_credentials() -> None:
    _create_table(
        "credentials",
        sa.Column("id", Identifier, nullable=False),
        sa.Column("role", Identifier, nullable=False),
        sa.Column("document", document(), nullable=False),
        sa.Column("secret", document(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="credentials_pk"),
    )


def _create_observation() -> None:
    _create_table(
        "observation",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="observation_pk"),
        sa.CheckConstraint("id = 1", name=op.f("observation_single")),
    )


def _create_instances() -> None:
    _create_table(
        "instances",
        sa.Column("id", Identifier, nullable=False),
        sa.Column("image_name", Identifier, nullable=False),
        sa.Column("operation_id", Identifier),
        sa.Column("last_operation_id", Identifier),
        sa.Column("document", document(), nullable=False),
        sa.Column("secret", document(), nullable=False),
        sa.Column("reserved", document(), nullable=False),
        sa.Column("reserved_there", document()),
        sa.Column("neighbourhood", Identifier),
        sa.Column("lonely_place", Identifier),
        sa.Column("lonely_place_there", Identifier),
        sa.PrimaryKeyConstraint("id", name="instances_pk"),
    )
    op.create_index("instances_image_name", "instances", ["image_name"])
    op.create_index("instances_neighbourhood", "instances", ["neighbourhood"])


def _create_bindings() -> None:
    _create_table(
        "bindings",
        sa.Column("instance_id", Identifier, nullable=False),
        sa.Column("id", Identifier, nullable=False),
        sa.Column("document", document(), nullable=False),
        sa.Column("secret", document(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", "id", name="bindings_pk"),
        _belongs_to_instance("bindings_instance_id_fk"),
    )


def _create_port_leases() -> None:
    _create_table(
        "port_leases",
        sa.Column("service_host", Identifier, nullable=False),
        sa.Column("docker_host", Identifier, nullable=False),
        sa.Column("docker_port", sa.Integer, nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("instance_id", Identifier, nullable=False),
        sa.PrimaryKeyConstraint("service_host", "docker_host", "docker_port", "port", name="port_leases_pk"),
        _belongs_to_instance("port_leases_instance_id_fk"),
    )
    op.create_index("port_leases_instance_id", "port_leases", ["instance_id"])


def _create_lonely_places() -> None:
    _create_table(
        "lonely_places",
        sa.Column("place", Identifier, nullable=False),
        sa.Column("instance_id", Identifier, nullable=False),
        sa.PrimaryKeyConstraint("place", name="lonely_places_pk"),
        _belongs_to_instance("lonely_places_instance_id_fk"),
    )
    op.create_index("lonely_places_instance_id", "lonely_places", ["instance_id"])


def _create_reservations() -> None:
    _create_table(
        "reservations",
        sa.Column("service_host", Identifier, nullable=False),
        sa.Column("docker_host", Identifier, nullable=False),
        sa.Column("docker_port", sa.Integer, nullable=False),
        sa.Column("memory", sa.BigInteger, nullable=False),
        sa.Column("cpus", sa.BigInteger, nullable=False),
        sa.Column("ports", sa.Integer, nullable=False),
        sa.Column("instances", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("service_host", "docker_host", "docker_port", name="reservations_pk"),
    )


def _create_conditions() -> None:
    _create_table(
        "conditions",
        sa.Column("instance_id", Identifier, nullable=False),
        sa.Column("condition", document(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", name="conditions_pk"),
        _belongs_to_instance("conditions_instance_id_fk"),
    )


def _create_tombstones() -> None:
    _create_table(
        "tombstones",
        sa.Column("instance_id", Identifier, nullable=False),
        sa.Column("id", Identifier, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("instance_id", name="tombstones_pk"),
    )
    op.create_index("tombstones_at", "tombstones", ["at"])


def _create_operations() -> None:
    _create_table(
        "operations",
        sa.Column("number", Number, autoincrement=True, nullable=False),
        sa.Column("id", Identifier, nullable=False),
        sa.Column("instance_id", Identifier, nullable=False),
        sa.Column("binding_id", Identifier),
        sa.Column("kept_for", Identifier),
        sa.Column("phase", Identifier, nullable=False),
        sa.Column("is_over", sa.Boolean, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("owner", Identifier),
        sa.Column("lease_until", sa.Double),
        sa.Column("deadline", sa.Double, nullable=False),
        sa.Column("is_cancelled", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("finished_at", sa.Double),
        sa.Column("document", document(), nullable=False),
        *_operation_constraints(),
    )
    op.create_index("operations_lease_until", "operations", ["lease_until"])
    op.create_index("operations_owner", "operations", ["owner"])
    op.create_index("operations_is_over", "operations", ["is_over", "number"])
    op.create_index("operations_instance_id", "operations", ["instance_id", "binding_id", "number"])
    op.create_index("operations_kept_for", "operations", ["kept_for", "finished_at", "number"])


def _create_audit() -> None:
    _create_table(
        "audit",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("id", Identifier, nullable=False),
        sa.Column("document", document(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="audit_pk"),
        sa.UniqueConstraint("id", name="audit_id"),
    )
    _create_table(
        "audit_head",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="audit_head_pk"),
        sa.CheckConstraint("id = 1", name=op.f("audit_head_single")),
    )


def _operation_constraints() -> list[sa.Constraint]:
    return [
        sa.PrimaryKeyConstraint("number", name="operations_pk"),
        sa.UniqueConstraint("id", name="operations_id"),
        sa.CheckConstraint(
            "(phase IN ('succeeded', 'failed')) = is_over",
            name=op.f("operations_over"),
        ),
        sa.CheckConstraint("(lease_until IS NULL) = is_over", name=op.f("operations_over_unleased")),
        sa.CheckConstraint("lease_until IS NOT NULL OR owner IS NULL", name=op.f("operations_over_unowned")),
        sa.ForeignKeyConstraint(
            ["kept_for"], ["instances.id"], ondelete="SET NULL", name="operations_kept_for_fk"
        ),
    ]


def _belongs_to_instance(name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], ondelete="CASCADE", name=name)

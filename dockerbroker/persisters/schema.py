"""The schema of the SQL databases and its growth by Alembic's migrations."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, inspect, select, update

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters import migrations
from dockerbroker.persisters.archive import obstacle
from dockerbroker.persisters.tables import (
    bindings,
    certificates,
    credentials,
    deployment,
    images,
    instances,
    metadata,
    operations,
)
from dockerbroker.persisters.vault import FORGOTTEN, MARK, Vault

#: The key under which `migrations/env.py` finds the connection.
CONNECTION: Final = "connection"

#: Where secrets stand.
_KEPT: Final = (images, certificates, credentials, instances, bindings)

#: Where Alembic keeps the revision of the database.
_versions: Final = Table("alembic_version", MetaData(), Column("version_num", String))


def upgrade(connection: Connection) -> None:
    """Bring the database to this version's schema, inside the transaction that the connection is in.

    That transaction must keep out all others that might upgrade. Raises `InvalidConfiguration` when the
    database is newer than this version, or holds tables that are not this program's.
    """
    database = f"persister.database: the database {connection.engine.url.database}"
    tables = inspect(connection).get_table_names()
    current = None
    if _versions.name in tables:
        current = connection.execute(select(_versions.c.version_num)).scalar()
    elif tables:
        raise InvalidConfiguration(f"{database} belongs to another program; name another one.")
    known = revisions()
    if current is not None and current not in known:
        raise InvalidConfiguration(
            f"{database} was used by a newer version of the broker (its schema is {current}); "
            "install that version, or restore an older backup."
        )
    if current is None and tables:
        _begin_again(connection, tables, database)
    if current != known[-1]:
        _migrate(connection)


def _begin_again(connection: Connection, tables: Sequence[str], database: str) -> None:
    """Drop the empty tables that are left where a first migration was interrupted.

    MySQL makes every change of the schema durable by itself.
    """
    ours = {_versions.name, *metadata.tables}
    left = [table for name, table in metadata.tables.items() if name in tables]
    if not ours.issuperset(tables) or any(connection.execute(select(one).limit(1)).first() for one in left):
        raise InvalidConfiguration(f"{database} belongs to another program; name another one.")
    metadata.drop_all(connection)


def require_open(connection: Connection) -> None:
    """Raise `InvalidConfiguration` when the records were moved to another database, or are being moved."""
    row = connection.execute(select(deployment.c.closed, deployment.c.moved_to)).one()
    if (why := obstacle(row.closed, row.moved_to)) is not None:
        raise InvalidConfiguration(
            f"persister.database: the database {connection.engine.url.database} {why}."
        )


def settle_keys(connection: Connection, vault: Vault, *, closed: bool) -> None:
    """Let a database that holds no secret begin with the newest of the vault's keys, and let the vault learn.

    Raises `InvalidConfiguration` when the vault lacks a key, or when secrets are sealed and nothing says with
    which key, unless nobody is to work with the database.
    """
    told = connection.execute(select(deployment.c.sealing)).scalar() or None
    if told is None and (first := vault.first_sealing()) is not None and not _has_secrets(connection):
        connection.execute(update(deployment).values(sealing=first))
        told = first
    why = FORGOTTEN if told is None and _has_sealed(connection) else vault.learn(told)
    if why is not None and not closed:
        raise InvalidConfiguration(f"keys: the database {connection.engine.url.database} {why}.")


def _has_secrets(connection: Connection) -> bool:
    return any(connection.execute(select(one).limit(1)).first() for one in _KEPT)


def _has_sealed(connection: Connection) -> bool:
    sealed = (select(one.c.secret).where(one.c.secret.like(f"{MARK}%")).limit(1) for one in _KEPT)
    return any(connection.execute(one).first() for one in sealed)


def write_something(connection: Connection) -> None:
    """Leave everything as it is, but let the database write; some obstacles show only then."""
    nothing = {"instance_id": "", "phase": "failed", "is_over": True, "epoch": 0, "deadline": 0}
    connection.execute(insert(operations).values(id="", document="{}", **nothing))
    connection.execute(update(operations).filter_by(id="").values(epoch=1))
    connection.execute(delete(operations).filter_by(id=""))


def revisions() -> list[str]:
    """Return the revisions that this version knows, the newest last: each begins its module's name."""
    names = (module.name for module in files(migrations).joinpath("versions").iterdir())
    return sorted(name.partition("_")[0] for name in names if name[0].isdigit())


def _migrate(connection: Connection) -> None:
    # Imported here, since it takes 11 MiB of memory and most starts do not need it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    configuration = Config()
    # The configuration expands percent signs.
    location = str(files(migrations)).replace("%", "%%")
    configuration.set_main_option("script_location", location)
    configuration.attributes[CONNECTION] = connection
    command.upgrade(configuration, "head")

"""The schema of the SQL databases and its growth by Alembic's migrations."""

from importlib.resources import files
from typing import Final

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters import migrations

#: The key under which `migrations/env.py` finds the connection.
CONNECTION: Final = "connection"

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
    if current != known[-1]:
        _migrate(connection)


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

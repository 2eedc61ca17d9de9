"""The schema of the SQL databases and its growth by Alembic's migrations."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from dockerbroker.errors import InvalidConfiguration
from dockerbroker.persisters import migrations

#: The key under which `migrations/env.py` finds the connection.
CONNECTION: Final = "connection"


def upgrade(connection: Connection) -> None:
    """Bring the database to this version's schema, inside the transaction that the connection is in.

    That transaction must keep out all others that might upgrade. Raises `InvalidConfiguration` when the
    database is newer than this version, or holds tables that are not this program's.
    """
    configuration = _configuration()
    scripts = ScriptDirectory.from_config(configuration)
    known = {script.revision for script in scripts.walk_revisions()}
    database = f"persister.database: the database {connection.engine.url.database}"
    current = set(MigrationContext.configure(connection).get_current_heads())
    if not current <= known:
        raise InvalidConfiguration(
            f"{database} was used by a newer version of the broker (its schema is "
            f"{', '.join(sorted(current - known))}); install that version, or restore an older backup."
        )
    if not current and inspect(connection).get_table_names():
        raise InvalidConfiguration(f"{database} belongs to another program; name another one.")
    if current != set(scripts.get_heads()):
        configuration.attributes[CONNECTION] = connection
        command.upgrade(configuration, "head")


def _configuration() -> Config:
    configuration = Config()
    location = str(Path(str(files(migrations))))
    # The configuration expands percent signs.
    configuration.set_main_option("script_location", location.replace("%", "%%"))
    return configuration

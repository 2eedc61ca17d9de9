"""Run by Alembic: applies the migrations on the connection, and in the transaction, of `schema.upgrade`."""

from alembic import context

from dockerbroker.persisters.schema import CONNECTION
from dockerbroker.persisters.tables import metadata

context.configure(
    connection=context.config.attributes[CONNECTION],
    target_metadata=metadata,
    # SQLite's schema changes are transactional; Alembic does not count on it by itself.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

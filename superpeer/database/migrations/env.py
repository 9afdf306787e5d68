"""Where Alembic starts: the connection is handed over by `superpeer.database.connections.upgrade`."""

from alembic import context

from superpeer.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()

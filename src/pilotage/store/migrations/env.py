"""Alembic's entry: runs revisions on the connection that `store/migrate.py` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from pilotage.store.tables.metadata import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()

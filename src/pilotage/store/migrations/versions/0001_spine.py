"""The spine: corpora, releases, serving, ledger, runs, and the queue that wakes workers."""

from __future__ import annotations

from importlib import resources

from alembic import op
from procrastinate.schema import SchemaManager

from pilotage.store.script import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written, then the queue's own schema inside `procrastinate`."""
    spine = resources.files("pilotage.store.migrations") / "sql" / "0001_spine.sql"
    connection = op.get_bind()
    run_script(connection, spine.read_text(encoding="utf-8"))
    run_script(connection, "CREATE SCHEMA procrastinate; SET LOCAL search_path TO procrastinate")
    run_script(connection, SchemaManager.get_schema())
    run_script(connection, "SET LOCAL search_path TO DEFAULT")

"""Revocation by two persons; the name a log was begun under."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0006_release_states.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

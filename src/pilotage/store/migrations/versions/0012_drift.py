"""Drift: what processes hold that was not approved."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0012_drift.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

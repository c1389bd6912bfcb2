"""Prices of a model as they were when its release was sealed."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0027_sealed_prices.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

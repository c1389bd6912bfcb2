"""When a routing row was written, and which incident told of a firing of the permission wall."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0025_flips_and_firings.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

"""For how long reports of what a process holds could not be compared."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0021_report_lags.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

"""A run is also compared with the oldest GO release of a year."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0028_oldest_go.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

"""What live pages were sent, for ten minutes."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0019_live_events.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

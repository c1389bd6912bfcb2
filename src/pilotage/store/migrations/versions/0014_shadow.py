"""Shadow and replay: phases of a rollout, their pairs, their texts and their costs."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0014_shadow.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

"""A round of critical questions says which release was asked."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0016_probes_of_a_release.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

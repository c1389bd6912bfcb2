"""Which documents of evidence a person opened."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0044"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0044_document_opening.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

"""Sign-ins under way, sealed with the secret of the browser that began them."""

from __future__ import annotations

from importlib import resources

from alembic import op

from pilotage.store.script import run_script

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Run the schema's SQL as written."""
    sql = resources.files("pilotage.store.migrations") / "sql" / "0020_sealed_sign_ins.sql"
    run_script(op.get_bind(), sql.read_text(encoding="utf-8"))

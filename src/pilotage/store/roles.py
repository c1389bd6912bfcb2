"""The two database roles: `pilotage_owner` changes the schema, `pilotage_app` works in it.

Both are group roles without a login; an administrator grants them to the logins in DATABASE_URL. The application role
may not change or remove a ledger entry: it may only number one. Fail mode: without the right to create roles the
migration goes on and the report says what an administrator must run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from pilotage.store.script import run_script

OWNER: Final = "pilotage_owner"
APP: Final = "pilotage_app"

_GRANTS: Final = """
GRANT USAGE ON SCHEMA public, procrastinate TO pilotage_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, procrastinate TO pilotage_app;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public, procrastinate TO pilotage_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public, procrastinate FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public, procrastinate TO pilotage_app;
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM pilotage_app;
REVOKE UPDATE, DELETE, TRUNCATE ON ledger_entry FROM pilotage_app;
GRANT UPDATE (seq) ON ledger_entry TO pilotage_app;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleReport:
    """Whether both roles exist with their grants, and a sentence for a person when they do not."""

    ready: bool
    note: str = ""


def grant_roles(connection: Connection) -> RoleReport:
    """Create the roles where permitted and give the application role what it needs, inside the caller's transaction."""
    missing = [role for role in (OWNER, APP) if not _exists(connection, role)]
    if missing and not _may_create(connection):
        return RoleReport(
            ready=False,
            note=f"This login may not create roles. As an administrator run: "
            f"{' '.join(f'CREATE ROLE {role} NOLOGIN;' for role in missing)} Then run `pilotage migrate` again.",
        )
    for role in missing:
        # Roles belong to the whole server: another database's migration may create one between our look and this line.
        with connection.begin_nested():
            connection.execute(
                text(
                    f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; "
                    "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
                )
            )
    run_script(connection, _GRANTS)
    return RoleReport(ready=True)


def _exists(connection: Connection, role: str) -> bool:
    """Tell whether a role exists on this server."""
    found = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first()
    return found is not None


def _may_create(connection: Connection) -> bool:
    """Tell whether the current login may create roles."""
    shown = connection.execute(
        text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    ).scalar_one()
    return bool(shown)

"""Migrations: run by one process at a time, checked at every start.

A schema that is behind or ahead of this installation is refused with the command to run; nothing ever works "anyway" on
a schema it was not written for. Revisions in DOWNTIME break processes of the version before, so none may live then.
Fail mode: a failed or refused migration rolls back whole and leaves the revision it found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from pilotage.core.errors import Conflict, Unavailable
from pilotage.store.engine import unavailable
from pilotage.store.roles import RoleReport, grant_roles

_LOCK_KEY: Final = 0x50494C4F54  # "PILOT": one migration at a time in this database
_WAIT_FOR_OTHERS_MS: Final = 120_000
DOWNTIME: Final = {
    "0016": "processes of the version before can no longer write rounds of critical questions",
    "0020": "processes of the version before can no longer keep sign-ins under way",
}
"""Revisions that are not expand and contract, and what they break (CONTRIBUTING.md); a new one never joins them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What `migrate` did. `before` is None on an empty database; equal revisions mean nothing was to do."""

    before: str | None
    after: str
    roles: RoleReport

    @property
    def changed(self) -> bool:
        """Whether any revision ran."""
        return self.before != self.after


def _config() -> Config:
    """Return Alembic's settings, without any ini file."""
    config = Config()
    config.set_main_option("script_location", "pilotage.store:migrations")
    return config


def newest_revision() -> str:
    """Return the revision this installation was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        message = "The package holds no migrations."
        raise RuntimeError(message)
    return head


def current_revision(connection: Connection) -> str | None:
    """Return the revision a database is at; None when it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(engine: Engine) -> Migration:
    """Bring the database to this installation's revision, in one transaction, under an advisory lock.

    Waits up to two minutes for another migration. A database that is ahead is refused, never moved back.
    """
    with engine.begin() as connection:
        _lock(connection)
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        before = current_revision(connection)
        _refuse_ahead(before)
        _refuse_live(connection, before)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        roles = grant_roles(connection)
    return Migration(before=before, after=newest_revision(), roles=roles)


def _lock(connection: Connection) -> None:
    """Take the migration lock until the transaction ends."""
    connection.execute(text(f"SET LOCAL lock_timeout = {_WAIT_FOR_OTHERS_MS}"))
    connection.execute(text(f"SET LOCAL statement_timeout = {_WAIT_FOR_OTHERS_MS + 5_000}"))
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    except DBAPIError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise Conflict(
                "MIGRATION_RUNNING",
                "Another process has been migrating this database for two minutes.",
                hint="Wait for it, then run `pilotage migrate` again.",
            ) from error
        raise


def _refuse_ahead(found: str | None) -> None:
    """Refuse a revision this installation does not know."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise Unavailable(
            "SCHEMA_AHEAD",
            f"The database is at schema {found}, which this version of Pilotage ({newest_revision()}) does not know.",
            hint="Install the newer version that migrated it; `pilotage migrate` never goes back.",
        )


def _refuse_live(connection: Connection, before: str | None) -> None:
    """Refuse a revision that needs downtime while a serving or working process lives; an empty database has none."""
    ahead = {script.revision for script in ScriptDirectory.from_config(_config()).iterate_revisions("head", before)}
    needed = [revision for revision in DOWNTIME if before is not None and revision in ahead]
    is_old = not needed or connection.scalar(text("SELECT to_regclass('route_ack') IS NULL"))  # nobody served then
    live = [] if is_old else sorted(connection.scalars(_LIVE))
    if not live:
        return
    why = "; ".join(DOWNTIME[revision] for revision in needed)
    raise Conflict(
        "DOWNTIME_NEEDED",
        f"Schema {', '.join(needed)} needs downtime: {why}. Alive: {', '.join(live)}.",
        hint="Stop every `serve`, `worker` and `up`, wait 30 seconds, then run `pilotage migrate` again.",
    )


_LIVE: Final = text(
    "SELECT id FROM process WHERE seen_at > clock_timestamp() - interval '30 s'"
    " UNION SELECT process FROM route_ack WHERE at > clock_timestamp() - interval '30 s'"
)


def check_schema(engine: Engine) -> str:
    """Return the schema's revision, or refuse to start on one that is behind or ahead."""
    try:
        with engine.connect() as connection:
            found = current_revision(connection)
    except DBAPIError as error:
        raise unavailable(error, engine.url) from error
    _refuse_ahead(found)
    newest = newest_revision()
    if found != newest:
        raise Unavailable(
            "SCHEMA_BEHIND",
            f"The database is at schema {found or '(empty)'}; this version of Pilotage needs {newest}.",
            hint="Run `pilotage migrate`.",
        )
    return newest

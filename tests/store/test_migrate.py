"""Migrations run once, by one process at a time; a schema of another version is refused with the command to run."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from pilotage.core.errors import Conflict, Unavailable
from pilotage.store import migrate as migrations
from pilotage.store.engine import make_engine, parse_url
from pilotage.store.migrate import check_schema, migrate, newest_revision

pytestmark = pytest.mark.store


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_an_empty_database_is_behind_and_migrating_it_twice_changes_it_once(empty: Engine) -> None:
    with pytest.raises(Unavailable, match="`pilotage migrate`") as refused:
        check_schema(empty)
    assert refused.value.code == "SCHEMA_BEHIND"
    first, second = migrate(empty), migrate(empty)
    assert (first.before, first.after, first.changed) == (None, newest_revision(), True)
    assert not second.changed
    assert check_schema(empty) == newest_revision()


def test_a_database_of_a_newer_version_is_refused_and_not_touched(empty: Engine) -> None:
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for attempt in (migrate, check_schema):
        with pytest.raises(Unavailable) as refused:
            attempt(empty)
        assert refused.value.code == "SCHEMA_AHEAD"


def test_two_processes_that_migrate_at_once_both_succeed(empty: Engine) -> None:
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(empty).changed)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, True]


def test_a_migration_that_hangs_elsewhere_is_reported(empty: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_WAIT_FOR_OTHERS_MS", 50)
    with empty.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": migrations._LOCK_KEY})
        with pytest.raises(Conflict, match="Another process"):
            migrate(empty)


def test_the_queue_stands_in_a_schema_of_its_own(engine: Engine) -> None:
    with engine.connect() as connection:
        schemas = connection.execute(
            text("SELECT DISTINCT table_schema FROM information_schema.tables WHERE table_name LIKE 'procrastinate%'")
        ).scalars()
        assert list(schemas) == ["procrastinate"]


@pytest.fixture
def as_app(engine: Engine, database_url: str) -> Iterator[Engine]:
    """A login that is a member of the application role only."""
    name = f"app_{secrets.token_hex(6)}"  # roles belong to the whole server, which other test processes share
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'app' IN ROLE pilotage_app"))
    login = make_engine(parse_url(database_url).set(username=name, password="app").render_as_string(False))
    yield login
    login.dispose()
    with engine.begin() as connection:
        connection.execute(text(f"DROP ROLE {name}"))


def test_the_application_role_can_number_ledger_entries_but_never_change_or_remove_one(
    engine: Engine, as_app: Engine
) -> None:
    with as_app.begin() as connection:
        connection.execute(text("INSERT INTO ledger_entry (id, kind, subject, bytes) VALUES ('e', 'k', 's', 'x')"))
        connection.execute(text("UPDATE ledger_entry SET seq = 0 WHERE id = 'e'"))
        assert connection.execute(text("SELECT make_interaction_month('2040-01-31')")).scalar_one()
    for statement in (
        "UPDATE ledger_entry SET bytes = 'y'",
        "DELETE FROM ledger_entry",
        "TRUNCATE ledger_entry",
        "UPDATE alembic_version SET version_num = '0'",
        "DROP TABLE ledger_entry",
    ):
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), as_app.begin() as connection:
            connection.execute(text(statement))
    # Not even the owner: the triggers refuse.
    for statement in ("UPDATE ledger_entry SET seq = 1", "DELETE FROM ledger_entry", "TRUNCATE ledger_entry"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))


def test_a_login_that_may_not_create_roles_migrates_and_is_told_what_an_administrator_must_run(
    empty: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pilotage.store.roles._may_create", lambda _connection: False)
    monkeypatch.setattr("pilotage.store.roles._exists", lambda _connection, role: role != "pilotage_app")
    report = migrate(empty).roles
    assert not report.ready
    assert "CREATE ROLE pilotage_app NOLOGIN;" in report.note


def _at(engine: Engine, revision: str) -> None:
    """Bring an empty database to a revision, as the version before left it."""
    with engine.begin() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


_ALIVE = {
    "worker": "INSERT INTO process (id, kind, host, pid, started_at, seen_at) VALUES ('w', 'worker', 'h', 1, now(),"
    " clock_timestamp() - CAST(:ago AS interval))",
    "server": "INSERT INTO route_ack (process, space, workflow, generation, at)"
    " VALUES ('s', 'space', 'workflow', 1, clock_timestamp() - CAST(:ago AS interval))",
}


@pytest.mark.parametrize("alive", sorted(_ALIVE))
def test_a_revision_that_needs_downtime_waits_until_nobody_lives(empty: Engine, alive: str) -> None:
    _at(empty, "0015")
    with empty.begin() as connection:
        connection.execute(text(_ALIVE[alive]), {"ago": "0 s"})
    with pytest.raises(Conflict, match="0016, 0020") as refused:
        migrate(empty)
    assert refused.value.code == "DOWNTIME_NEEDED"
    with empty.begin() as connection:
        connection.execute(text("UPDATE process SET seen_at = seen_at - interval '31 s'"))
        connection.execute(text("UPDATE route_ack SET at = at - interval '31 s'"))
    assert migrate(empty).after == newest_revision()


def test_the_others_run_beside_processes_of_the_version_before(empty: Engine) -> None:
    _at(empty, "0020")
    with empty.begin() as connection:
        connection.execute(text(_ALIVE["worker"]), {"ago": "0 s"})
    assert migrate(empty).before == "0020"

"""The doctor sees what is wrong, with its numbers, and nothing when nothing is."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.corpus.conftest import settings

from pilotage.adapters.clock import SystemClock
from pilotage.core.clock import to_text
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Outcome
from pilotage.store.doctor import GROUPS, doctor
from pilotage.store.doctor_report import DoctorReport
from pilotage.store.processes import Identity, beat, forget_dead, list_processes, sign_off_process
from pilotage.store.runs import request_run
from pilotage.store.tables.metadata import metadata

pytestmark = pytest.mark.store

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def _examine(
    engine: Engine, *, schema: tuple[str | None, str] = ("0001", "0001"), home: Path | None = None
) -> DoctorReport:
    with engine.begin() as connection:
        return doctor(
            connection, now=NOW, wall_clock=SystemClock().now(), schema=schema, embedded_home=home, declared={}
        )


def _codes(report: DoctorReport) -> list[str]:
    """Return what was found beside the server's own settings: a plain server runs without data checksums."""
    is_known = not report.server.checksums
    return [found.code for found in report.findings if not (found.code == "checksums_off" and is_known)]


@pytest.fixture(autouse=True)
def _clean(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE run, outbox, process"))


def test_a_fresh_store_is_healthy_and_every_room_has_a_size(engine: Engine) -> None:
    report = _examine(engine)
    assert _codes(report) == []
    assert report.outcome is (Outcome.OK if report.server.checksums else Outcome.INCONCLUSIVE)
    assert set(report.sizes_bytes) == set(GROUPS)
    assert all(size > 0 for size in report.sizes_bytes.values())
    json.dumps(report.as_json())


def test_data_checksums_that_are_off_are_told(engine: Engine) -> None:
    with engine.connect() as connection:
        is_off = connection.execute(text("SHOW data_checksums")).scalar_one() == "off"
    assert ("checksums_off" in {found.code for found in _examine(engine).findings}) is is_off


def test_every_table_of_the_schema_belongs_to_a_group() -> None:
    ours = {name for group, names in GROUPS.items() if group != "queue" for name in names}
    assert ours == set(metadata.tables)


def test_late_and_failed_runs_dead_messages_and_a_wrong_schema_are_named(engine: Engine) -> None:
    with engine.begin() as connection:
        request_run(connection, kind="refresh", key="late", due_at=NOW - timedelta(minutes=2))
        request_run(connection, kind="refresh", key="bad", due_at=NOW)
        connection.execute(text("UPDATE run SET state = 'failed', last_error = 'E: no.' WHERE key = 'bad'"))
        for key, attempt in (("once", 4), ("again", 5)):
            request_run(connection, kind="watch", key=key, due_at=NOW)
            values = {"key": key, "attempt": attempt}
            connection.execute(
                text("UPDATE run SET attempt = :attempt, last_error = 'E: no.' WHERE key = :key"), values
            )
        connection.execute(
            text(
                "INSERT INTO outbox (id, kind, target, payload, idempotency_key, state, next_at)"
                " VALUES ('m1', 'page', 't', '{}', 'k', 'dead', now())"
            )
        )
    report = _examine(engine, schema=(None, "0001"))
    assert set(_codes(report)) == {
        "runs_late",
        "run_failed",
        "run_failing",
        "message_dead",
        "schema_mismatch",
    }
    assert report.work.failed == ("refresh:bad: E: no.",)
    assert report.work.failing == ("watch:again: E: no. 5 failures in a row.",)
    assert report.outcome is Outcome.NOT_OK


def test_an_entry_without_a_number_for_too_long_and_a_stopped_ledger_are_grave(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        connection.execute(
            text(
                "INSERT INTO ledger_entry (id, kind, subject, bytes, inserted_at)"
                " VALUES ('e', 'k', 's', '', now() - interval '11 seconds')"
            )
        )
        connection.execute(text("UPDATE ledger_head SET stopped = 'restored from a backup'"))
        report = doctor(
            connection,
            now=NOW,
            wall_clock=SystemClock().now(),
            schema=("0001", "0001"),
            embedded_home=None,
            declared={},
        )
        transaction.rollback()
    assert set(_codes(report)) == {"ledger_late", "ledger_stopped"}
    assert report.outcome is Outcome.NOT_OK


def test_a_clock_six_seconds_ahead_is_found_here_and_in_other_processes(engine: Engine) -> None:
    ahead = SystemClock().now() + timedelta(seconds=6)
    who = Identity(id="h-1-a", kind="serve", host="h", pid=1, started_at=NOW)
    with engine.begin() as connection:
        assert beat(connection, who, now=ahead, applied={"policies": 3}) > 5_000
        (process,) = list_processes(connection)
        report = doctor(connection, now=NOW, wall_clock=ahead, schema=("0001", "0001"), embedded_home=None, declared={})
    assert process.alive
    assert process.applied == {"policies": 3}
    assert _codes(report) == ["clock_skew", "clock_skew"]
    assert report.outcome is Outcome.NOT_OK


def test_acls_past_the_age_that_their_corpus_promises_are_named(engine: Engine) -> None:
    limits = {"aged": 3600, "fresh": 3601, "free": None, "empty": 60}
    declared = {CorpusName(name): settings(name, acl_max_age_s=limit) for name, limit in limits.items()}
    with engine.connect() as connection, connection.begin() as transaction:
        for name in limits:
            connection.execute(text("INSERT INTO corpus (name) VALUES (:name)"), {"name": name})
        connection.execute(
            text(
                "INSERT INTO document (corpus, id, classification, region, acl_confirmed_at)"
                " SELECT name, 'd', 'internal', 'us', :at FROM corpus WHERE name <> 'empty'"
            ),
            {"at": NOW - timedelta(seconds=3601)},
        )
        schema = ("0001", "0001")
        report = doctor(
            connection, now=NOW, wall_clock=SystemClock().now(), schema=schema, embedded_home=None, declared=declared
        )
        transaction.rollback()
    (found,) = [one for one in report.findings if one.code == "acl_stale"]
    assert (found.where, found.limit, found.observed) == ("aged", "2026-03-02T08:59:59.000Z", to_text(NOW))
    assert report.outcome is Outcome.INCONCLUSIVE
    shown = report.as_json()
    assert shown["acls_confirmed_at"] == dict.fromkeys(("aged", "free", "fresh"), "2026-03-02T07:59:59.000Z")
    assert shown["acls_stale_after"] == {"aged": "2026-03-02T08:59:59.000Z", "fresh": to_text(NOW)}


def test_a_process_without_a_heartbeat_is_dead_and_forgotten_after_a_day(engine: Engine) -> None:
    who = Identity(id="h-1-a", kind="serve", host="h", pid=1, started_at=NOW)
    with engine.begin() as connection:
        beat(connection, who, now=SystemClock().now(), applied={})
        connection.execute(text("UPDATE process SET seen_at = seen_at - interval '31 seconds'"))
        assert [process.alive for process in list_processes(connection)] == [False]
        assert forget_dead(connection) == 0
        connection.execute(text("UPDATE process SET seen_at = seen_at - interval '1 day'"))
        assert forget_dead(connection) == 1
        beat(connection, who, now=SystemClock().now(), applied={})
        sign_off_process(connection, who.id)
        assert list_processes(connection) == ()


@pytest.mark.parametrize(("free", "code"), [(1 << 40, None), (500 << 20, "disk_low"), (100 << 20, "disk_full")])
def test_a_filling_disk_warns_first_and_then_refuses(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, code: str | None
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    report = _examine(engine, home=tmp_path)
    assert _codes(report) == ([] if code is None else [code])

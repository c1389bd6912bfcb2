"""A row behind any list of gates that says what no command wrote is named by `ledger fsck`, whoever looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import pytest
from sqlalchemy import Engine, text
from tests.control.gate_world import GateWorld, gate_world, junit

from pilotage.adapters.parsing.evidence_process import EVIDENCE
from pilotage.control import keep_evidence, reread_evidence
from pilotage.control import record_readings as record_readings_room
from pilotage.control.evidence_reports import show_evidence
from pilotage.control.gate_entries import evidence_data
from pilotage.control.ledger_fsck import fsck_ledger
from pilotage.control.ledger_rows import row_mismatches
from pilotage.control.record_entry import record
from pilotage.control.record_readings import record_readings
from pilotage.core.canonical import Json
from pilotage.core.errors import NotFound
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence, EvidenceState, ReadRefusal
from pilotage.ledger.entry import EntryKind
from pilotage.store.corpus_evidence import attach_quality_report
from pilotage.store.ledger_state_rows import unmatched

pytestmark = pytest.mark.store


@pytest.fixture
def world(engine: Engine) -> Iterator[GateWorld]:
    made = gate_world(engine)
    made.review()
    yield made
    with engine.begin() as connection:  # what was bent here is nobody else's to find
        connection.execute(text("TRUNCATE gate_vote, evidence CASCADE"))


def changed(world: GateWorld, statement: str, **values: object) -> list[Reason]:
    """Return what is newly told after somebody changed the database."""
    instance = world.instance
    before = list(row_mismatches(instance.engine, instance.clock.now()))
    with instance.engine.begin() as connection:
        connection.execute(text(statement), values)
    after = list(row_mismatches(instance.engine, instance.clock.now()))
    return [one for one in after if one not in before]


@pytest.mark.parametrize(
    ("statement", "field"),
    [
        ("UPDATE gate_vote SET decision = 'reject' WHERE release = :release", "decision"),
        ("UPDATE gate_vote SET attempt = 2 WHERE release = :release", "attempt"),
        ("UPDATE gate_vote SET person = 'somebody.else' WHERE release = :release", "person"),
        ("UPDATE evidence SET trust = 'attested' WHERE subject = :release", "trust"),
        ("UPDATE evidence SET kind = 'tests.e2e' WHERE subject = :release", "kind"),
        ("UPDATE evidence SET producer = 'somebody.else' WHERE subject = :release", "person"),
        ("UPDATE evidence SET reading = jsonb_set(reading, '{names}', '{}') WHERE subject = :release", "reading"),
        ("UPDATE evidence SET space_config = NULL, space = 'qa' WHERE subject = :release", "reading"),
    ],
    ids=["decision", "attempt", "person", "trust", "kind", "producer", "names", "space"],
)
def test_a_field_that_was_changed_is_named(world: GateWorld, statement: str, field: str) -> None:
    found = changed(world, statement, release=world.release)
    assert found
    assert {one.code for one in found} == {"LEDGER_MISMATCH"}
    assert all(f" says {field} " in one.text for one in found), [one.text for one in found]
    told = {one.where for one in fsck_ledger(world.instance).findings if one.code == "LEDGER_MISMATCH"}
    assert {one.where for one in found} <= told


def test_what_commands_wrote_is_not_told_of(world: GateWorld) -> None:
    votes = text("SELECT id FROM gate_vote WHERE release = :release UNION SELECT id FROM evidence")
    with world.instance.engine.connect() as connection:
        written = set(connection.execute(votes, {"release": world.release}).scalars())
    assert len(written) >= 3
    found = row_mismatches(world.instance.engine, world.instance.clock.now())
    assert written.isdisjoint({one.where for one in found})


def test_a_rejected_file_is_no_difference(world: GateWorld) -> None:
    with world.instance.engine.connect() as connection:
        before = {one.subject for one in unmatched(connection)}
    (item,) = world.attach(("tests.unit", b"<not-junit/>"))
    assert item.state is EvidenceState.REJECTED
    with world.instance.engine.connect() as connection:
        assert item.id not in {one.subject for one in unmatched(connection)} - before


def reported(world: GateWorld) -> str:
    """Keep the quality report of a corpus version, as a refresh does."""
    now, name = world.instance.clock.now(), new_ulid(world.instance.clock.now())
    with world.instance.engine.begin() as connection:
        digest = attach_quality_report(connection, b"{}", evidence=name, subject="policies@1", claims={}, at=now)
        data: dict[str, Json] = {"about": "policies@1", "kind": "data_quality", "sha256": digest}
        record(connection, EntryKind.EVIDENCE_ATTACHED, actor="system:test", at=now, subject=name, data=data)
    return name


def test_the_quality_report_of_a_corpus_version_is_no_evidence_of_a_gate(world: GateWorld) -> None:
    with pytest.raises(NotFound):
        show_evidence(world.instance, reported(world))


def of_the_version_before(item: Evidence) -> dict[str, Json]:
    return {name: value for name, value in evidence_data(item).items() if name != "reading"}


@pytest.mark.parametrize(
    "bend",
    ["jsonb_set(reading, '{names,passed_tests}', '[\"x\"]')", "jsonb_set(reading, '{refs,commit}', '\"c1\"')"],
    ids=["names", "references"],
)
def test_a_reading_that_was_bent_before_it_was_recorded_counts_for_nothing(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch, bend: str
) -> None:
    monkeypatch.setattr(keep_evidence, "evidence_data", of_the_version_before)
    (item,) = world.attach(("tests.unit", junit(passed=8)))
    monkeypatch.undo()
    with world.instance.engine.begin() as connection:
        connection.execute(text(f"UPDATE evidence SET reading = {bend} WHERE id = :id"), {"id": item.id})
        assert record_readings(connection, world.instance) == 1
        assert record_readings(connection, world.instance) == 0
    found = show_evidence(world.instance, item.id)
    assert (found["state"], found["reason"]["code"]) == ("withdrawn", "EV_READING_DIFFERS")  # type: ignore[index,call-overload]
    told = text("SELECT count(*) FROM outbox WHERE payload -> 'facts' ->> 'evidence' = :id")
    with world.instance.engine.connect() as connection:
        assert connection.scalar(told, {"id": item.id}), "its owner is told"
    assert item.id not in {one.where for one in row_mismatches(world.instance.engine, world.instance.clock.now())}
    (again,) = world.attach(("tests.unit", junit(passed=8)))
    assert (again.state, again.id == item.id) == (EvidenceState.ACCEPTED, False)


def test_a_reading_attached_before_entries_held_it_is_recorded_once_and_compared_from_then_on(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keep_evidence, "evidence_data", of_the_version_before)
    (item,) = world.attach(("tests.unit", junit(passed=7)))
    reported(world)
    bend = "UPDATE evidence SET reading = jsonb_set(reading, '{names,passed_tests}', '[\"x\"]') WHERE id = :id"
    with world.instance.engine.begin() as connection:
        assert record_readings(connection, world.instance) == 1
        assert record_readings(connection, world.instance) == 0
    assert item.id not in {one.where for one in row_mismatches(world.instance.engine, world.instance.clock.now())}
    assert [one.where for one in changed(world, bend, id=item.id)] == [item.id]
    with world.instance.engine.begin() as connection:
        assert record_readings(connection, world.instance) == 0  # what was bent afterwards is not recorded anew


@pytest.mark.parametrize("trouble", ["raises", "refuses", "gone"])
def test_a_file_that_cannot_be_read_again_stands_with_a_warning_and_keeps_no_other_from_its_look(
    world: GateWorld, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    monkeypatch.setattr(keep_evidence, "evidence_data", of_the_version_before)
    items = [world.attach(("tests.unit", junit(passed=count)))[0] for count in (5, 6)]
    monkeypatch.undo()
    refused = ReadRefusal(reason=Reason(code="EV_TOO_LARGE", text="It takes too long."))

    def failing(*_: object) -> NoReturn:
        raise LookupError

    match trouble:
        case "raises":
            monkeypatch.setattr(reread_evidence, "authors_of", failing)
        case "refuses":
            monkeypatch.setattr(EVIDENCE, "read", lambda *_, **__: refused)
        case _:
            monkeypatch.setattr(record_readings_room, "releases_of", lambda _: ())
    with world.instance.engine.begin() as connection:
        assert record_readings(connection, world.instance) == 2
        assert record_readings(connection, world.instance) == 0
    # Which of the two is the newer one is open: the clock stands still.
    assert {evidence_state(world, item) for item in items} <= {"accepted", "superseded"}
    assert len([one for one in caplog.records if "as it stands" in one.getMessage()]) == 2


def evidence_state(world: GateWorld, item: Evidence) -> object:
    found: object = show_evidence(world.instance, item.id)["state"]
    return found


def test_evidence_of_a_workflow_is_told_of_once(world: GateWorld) -> None:
    training = b"person,course,completed_at\nanna,assistant,2026-02-01\n"
    (item,) = world.attach(("training", training))
    world.inner.seal("Another release of the workflow.")
    found = changed(world, "UPDATE evidence SET trust = 'attested' WHERE id = :id", id=item.id)
    assert [one.where for one in found] == [item.id]


def test_entries_that_cannot_be_read_are_a_finding(world: GateWorld) -> None:
    with world.instance.engine.begin() as connection:
        connection.execute(text("ALTER TABLE ledger_entry DISABLE TRIGGER ALL"))
        kept = connection.execute(
            text("SELECT id, bytes FROM ledger_entry WHERE kind = 'gate.signed_off' ORDER BY inserted_at DESC LIMIT 1")
        ).one()
        damage = text("UPDATE ledger_entry SET bytes = :bytes WHERE id = :id")
        connection.execute(damage, {"bytes": b"not json", "id": kept.id})
    try:
        found = list(row_mismatches(world.instance.engine, world.instance.clock.now()))
        assert [one.code for one in found][-1] == "FSCK_ROWS"
    finally:
        with world.instance.engine.begin() as connection:
            connection.execute(damage, {"bytes": bytes(kept.bytes), "id": kept.id})
            connection.execute(text("ALTER TABLE ledger_entry ENABLE TRIGGER ALL"))

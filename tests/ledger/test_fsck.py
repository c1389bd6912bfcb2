"""One flipped byte in any row of the ledger is found and named."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from pilotage.control.ledger_checkpoint import write_checkpoint
from pilotage.control.ledger_epoch import rotate_ledger_key
from pilotage.control.ledger_fsck import FsckReport, fsck_ledger
from pilotage.control.ledger_verify import NotProven, prove_entry, verify_ledger
from pilotage.core.errors import NotFound, PilotageError
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal
from pilotage.ledger.checkpoint import VerifierKey
from pilotage.ledger.commitment import Disclosure, commitments_of
from pilotage.ledger.entry import EncodedEntry, EntryKind, encode_entry
from pilotage.ledger.proof import InclusionProof
from pilotage.ledger.verify import Verdict, Verification
from pilotage.store.ledger_entries import append, append_many
from pilotage.store.ledger_sequencing import give_up_leadership, number_all, take_leadership
from pilotage.testing.ledger import LedgerHome

pytestmark = pytest.mark.store
EntryOf = Callable[..., EncodedEntry]
SIZE = 600


@pytest.fixture
def filled(ledger: LedgerHome, entry_of: EntryOf, admin: Principal) -> LedgerHome:
    """A ledger of three tiles, two keys and one disclosed comment."""
    opened = Disclosure(field="comment", salt=secrets.token_bytes(32), value="because")
    entry = encode_entry(
        id="01JD0000000000000000000001",
        kind=EntryKind.GATE_DECIDED,
        at=ledger.clock.now(),
        actor="p_7f3k2q9w",
        subject="x",
        commit=commitments_of([opened]),
    )
    with ledger.engine.begin() as connection:
        append_many(connection, [entry_of(number) for number in range(SIZE)])
        append(connection, entry, [opened])
    assert not isinstance(rotate_ledger_key(ledger, actor=admin, reason="yearly"), Refusal)
    report = fsck_ledger(ledger)
    assert (report.is_clean, report.entries, report.checkpoints) == (True, SIZE + 3, 3)
    assert report.as_json()["clean"] is True
    return ledger


def change(ledger: LedgerHome, statement: str, **values: object) -> None:
    with ledger.engine.begin() as connection:
        without_triggers(connection)
        assert connection.execute(text(statement), values).rowcount == 1
        connection.execute(text("ALTER TABLE ledger_entry ENABLE TRIGGER ALL"))


def without_triggers(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE ledger_entry DISABLE TRIGGER ALL"))


def named(report: FsckReport, code: str) -> list[str | None]:
    return [finding.where for finding in report.findings if finding.code == code]


def test_a_flipped_byte_of_any_entry_is_named_by_its_seq(filled: LedgerHome) -> None:
    flip = "UPDATE ledger_entry SET bytes = set_byte(bytes, :place, get_byte(bytes, :place) # 1) WHERE seq = :seq"
    for seq, place in ((0, 0), (255, 40), (256, 100), (SIZE, 150)):
        change(filled, flip, seq=seq, place=place)
        report = fsck_ledger(filled)
        assert set(named(report, "FSCK_ENTRY")) == {f"seq {seq}"}
        assert any(f"bytes of entry {seq}" in finding.text for finding in report.findings)
        result = verify_ledger(filled)
        assert isinstance(result, Verification)
        assert result.verdict is Verdict.FAILED
        assert result.failure is not None
        assert result.failure.where == f"seq {seq}"
        change(filled, flip, seq=seq, place=place)
    assert fsck_ledger(filled).is_clean


def test_a_flipped_byte_of_any_tile_is_named(filled: LedgerHome) -> None:
    flip = (
        "UPDATE ledger_tile SET hashes = set_byte(hashes, :place, get_byte(hashes, :place) # 1)"
        " WHERE level = :level AND index = :index"
    )
    change(filled, flip, level=0, index=1, place=32 * 5)
    report = fsck_ledger(filled)
    assert any("leaf hash 5 of tile 0/1" in finding.text for finding in report.findings)
    assert named(report, "FSCK_TILE") == ["tile 1/0"]
    change(filled, flip, level=0, index=1, place=32 * 5)
    change(filled, flip, level=1, index=0, place=31)
    assert named(fsck_ledger(filled), "FSCK_TILE") == ["tile 1/0"]
    change(filled, flip, level=1, index=0, place=31)
    change(filled, "DELETE FROM ledger_tile WHERE level = 0 AND index = 2")
    assert "tile 0/2" in named(fsck_ledger(filled), "FSCK_TILE")


@pytest.mark.parametrize("column", ["id", "kind", "subject"])
def test_a_changed_column_is_named(filled: LedgerHome, column: str) -> None:
    change(filled, f"UPDATE ledger_entry SET {column} = {column} || 'x' WHERE seq = 3")
    assert named(fsck_ledger(filled), "FSCK_COLUMN") == ["seq 3"]


def test_a_removed_or_renumbered_entry_is_a_gap(filled: LedgerHome) -> None:
    change(filled, "UPDATE ledger_entry SET seq = 9000 WHERE seq = 3")
    assert named(fsck_ledger(filled), "FSCK_GAP") == ["seq 3"]
    change(filled, "UPDATE ledger_entry SET seq = 3 WHERE seq = 9000")
    change(filled, "DELETE FROM ledger_entry WHERE seq = :seq", seq=SIZE + 2)
    report = fsck_ledger(filled)
    assert named(report, "FSCK_HEAD") == ["ledger_head"]
    assert f"size {SIZE + 3}" in named(report, "FSCK_CHECKPOINT")


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        ("root = set_byte(root, 0, get_byte(root, 0) # 1)", "differ"),
        ("origin = origin || 'x'", "differ"),
        ("key_id = 'ffffffff'", "differ"),
        ("note = replace(note, 'ledger', 'legder'), origin = replace(origin, 'ledger', 'legder')", "no key"),
        ("note = 'x' || note", "differ"),
        ("note = note || 'x'", "has three lines"),
    ],
)
def test_a_changed_checkpoint_is_named(filled: LedgerHome, assignment: str, problem: str) -> None:
    change(filled, f"UPDATE ledger_checkpoint SET {assignment} WHERE size = {SIZE + 3}")
    report = fsck_ledger(filled)
    assert named(report, "FSCK_CHECKPOINT") == [f"size {SIZE + 3}"]
    assert any(problem in finding.text for finding in report.findings)


def test_a_checkpoint_of_another_tree_is_named(filled: LedgerHome) -> None:
    change(filled, "UPDATE ledger_entry SET bytes = 'x' WHERE seq = 0")
    report = fsck_ledger(filled)
    assert len(named(report, "FSCK_CHECKPOINT")) == 3
    assert report.as_json()["clean"] is False


def test_a_changed_salt_or_value_is_named_and_a_damaged_entry_does_not_hide_it(filled: LedgerHome) -> None:
    change(filled, "UPDATE ledger_disclosure SET value = 'another' WHERE entry = '01JD0000000000000000000001'")
    assert named(fsck_ledger(filled), "FSCK_DISCLOSURE") == ["01JD0000000000000000000001"]
    change(filled, "UPDATE ledger_entry SET bytes = 'x' WHERE id = '01JD0000000000000000000001'")
    report = fsck_ledger(filled)
    assert named(report, "FSCK_DISCLOSURE") == []
    assert len(named(report, "FSCK_ENTRY")) == 2


def test_a_damaged_entry_of_the_log_itself_is_named_too(filled: LedgerHome) -> None:
    change(filled, "UPDATE ledger_entry SET bytes = 'x' WHERE kind = 'ledger.key_rotated'")
    assert len(named(fsck_ledger(filled), "FSCK_ENTRY")) == 2
    result = verify_ledger(filled)
    assert isinstance(result, Verification)
    assert result.verdict is Verdict.FAILED


def test_a_published_checkpoint_of_another_tree_is_named(filled: LedgerHome) -> None:
    folder = filled.home / "checkpoints" / "ledger.sample-bank" / "000000"
    note = min(folder.iterdir())
    text_ = note.read_text()
    root = text_.splitlines()[2]
    note.write_text(text_.replace(root, root[::-1].replace("=", "") + "=" if root.endswith("=") else root))
    assert "FSCK_PUBLISHED" in {finding.code for finding in fsck_ledger(filled).findings}


def test_other_folders_beside_the_published_log_are_left_alone(filled: LedgerHome) -> None:
    (filled.home / "checkpoints" / "ledger.other-bank").mkdir()
    assert fsck_ledger(filled).is_clean


def test_entries_that_wait_too_long_for_another_sequencer_are_named(filled: LedgerHome, entry_of: EntryOf) -> None:
    with filled.engine.begin() as connection:
        append(connection, entry_of(5_000))
    with filled.engine.connect() as hanging:
        assert take_leadership(hanging) is not None
        assert fsck_ledger(filled).is_clean
        change(filled, "UPDATE ledger_entry SET inserted_at = inserted_at - interval '11 s' WHERE seq IS NULL")
        assert len(named(fsck_ledger(filled), "FSCK_UNNUMBERED")) == 1
        give_up_leadership(hanging)
    report = fsck_ledger(filled)
    assert (report.is_clean, report.entries) == (True, SIZE + 4)


def test_state_rows_and_entries_without_each_other_are_named(filled: LedgerHome) -> None:
    now = filled.clock.now()
    with filled.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO feedback (id, interaction, principal, rating, at) VALUES ('f1', 'i1', 'p_x', 'up', :at)"),
            {"at": now},
        )
        orphan = encode_entry(
            id="01JD0000000000000000000002",
            kind=EntryKind.RELEASE_SEALED,
            at=now,
            actor="system:test",
            subject="sha256:" + "0" * 64,
        )
        append(connection, orphan)
    report = fsck_ledger(filled)
    assert named(report, "LEDGER_MISMATCH") == [orphan.subject, "f1"]


def test_more_than_a_hundred_findings_of_a_kind_are_counted(filled: LedgerHome) -> None:
    with filled.engine.begin() as connection:
        without_triggers(connection)
        connection.execute(text("UPDATE ledger_entry SET subject = subject || 'x' WHERE seq < 150"))
    report = fsck_ledger(filled)
    assert len(named(report, "FSCK_COLUMN")) == 100
    assert report.suppressed == 50


def test_a_damaged_checkpoint_row_fails_the_live_verification(filled: LedgerHome) -> None:
    newest = "(SELECT min(key_id) FROM ledger_checkpoint WHERE size < 603)"
    change(filled, f"UPDATE ledger_checkpoint SET note = 'x' WHERE size < 603 AND key_id = {newest}")
    with pytest.raises(PilotageError):
        raise_failure(verify_ledger(filled))


def raise_failure(result: Verification | Refusal) -> None:
    assert isinstance(result, Verification)
    assert result.failure is not None
    raise PilotageError(result.failure.code, result.failure.text)


def test_an_entry_is_proven_once_numbered_and_signed_and_says_why_not_before(
    filled: LedgerHome, entry_of: EntryOf
) -> None:
    entry = entry_of(7_000)
    with filled.engine.begin() as connection:
        append(connection, entry)
    waiting = prove_entry(filled, entry.id)
    assert isinstance(waiting, NotProven)
    assert "waits for its number" in waiting.why
    number_all(filled.engine)
    unsigned = prove_entry(filled, entry.id)
    assert isinstance(unsigned, NotProven)
    assert "waits for a checkpoint" in unsigned.why
    assert not isinstance(write_checkpoint(filled), Refusal)
    proof = prove_entry(filled, entry.id)
    assert isinstance(proof, InclusionProof)
    assert proof.is_valid_under(VerifierKey(name="ledger.sample-bank", public=filled.keyring.public("ledger-2")))
    assert not proof.is_valid_under(VerifierKey(name="ledger.sample-bank", public=filled.keyring.public("ledger")))
    with pytest.raises(NotFound):
        prove_entry(filled, "nothing")

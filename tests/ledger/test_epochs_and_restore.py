"""A restored database is noticed before anything is signed; a lost key breaks the chain for everybody to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from sqlalchemy import text

from pilotage.adapters.checkpoints import CheckpointFolder
from pilotage.control.instance import Instance
from pilotage.control.ledger_checkpoint import (
    RESTORE_DETECTED,
    CheckpointWritten,
    prepare_ledger_key,
    publish_pending,
    sequence_now,
    sign_tree,
    write_checkpoint,
)
from pilotage.control.ledger_epoch import KEY_LOST, declare_key_lost, open_new_epoch, rotate_ledger_key
from pilotage.control.ledger_export import Exported, export_ledger
from pilotage.control.ledger_fsck import fsck_ledger
from pilotage.control.ledger_instance import epoch_of, origin_of, publication_of
from pilotage.control.ledger_verify import verify_ledger
from pilotage.control.ledger_verify_export import verify_export
from pilotage.control.load_workspace import load_workspace
from pilotage.core.errors import Conflict, IntegrityError, Unavailable
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.incident.records import Severity
from pilotage.ledger.checkpoint import Checkpoint, VerifierKey, signed
from pilotage.ledger.entry import EncodedEntry
from pilotage.ledger.verify import Verdict, Verification
from pilotage.store.incidents import list_incidents
from pilotage.store.ledger_checkpoints import add_checkpoint
from pilotage.store.ledger_entries import append_many
from pilotage.testing.ledger import LedgerHome, NamedWorkspace

pytestmark = pytest.mark.store
EntryOf = Callable[..., EncodedEntry]
ROOT = Path(__file__).resolve().parents[2]


def add(ledger: LedgerHome, entry_of: EntryOf, *numbers: int) -> None:
    with ledger.engine.begin() as connection:
        append_many(connection, [entry_of(number) for number in numbers])


def write(ledger: LedgerHome) -> CheckpointWritten:
    written = write_checkpoint(ledger)
    assert isinstance(written, CheckpointWritten)
    return written


def backup(ledger: LedgerHome) -> Callable[[], None]:
    """Remember the ledger's tables; the returned function restores them, as a backup would."""
    tables = ("ledger_entry", "ledger_tile", "ledger_head", "ledger_checkpoint")
    with ledger.engine.begin() as connection:
        for table in tables:
            connection.execute(text(f"CREATE TABLE kept_{table} AS TABLE {table}"))

    def restore() -> None:
        with ledger.engine.begin() as connection:
            connection.execute(text("ALTER TABLE ledger_entry DISABLE TRIGGER ALL"))
            for table in tables:
                connection.execute(text(f"DELETE FROM {table}"))
                connection.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))
            connection.execute(text("ALTER TABLE ledger_entry ENABLE TRIGGER ALL"))

    return restore


def test_a_restored_database_is_reported_before_anything_is_numbered_or_signed(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    add(ledger, entry_of, 1, 2)
    first = write(ledger)
    restore = backup(ledger)
    add(ledger, entry_of, 3, 4)
    lost = write(ledger)
    restore()
    add(ledger, entry_of, 5, 6, 7, 8)
    for act in (sequence_now, write_checkpoint, sign_tree, prepare_ledger_key, verify_ledger):
        refusal = act(ledger)
        assert isinstance(refusal, Refusal)
        assert refusal.reasons[0].code == RESTORE_DETECTED
        assert "5 entries were published, the database holds 3" in refusal.reasons[0].text
    with ledger.engine.connect() as connection:
        assert connection.execute(text("SELECT max(seq) FROM ledger_entry")).scalar() == first.entries - 1
    report = fsck_ledger(ledger)
    assert {finding.code for finding in report.findings} == {RESTORE_DETECTED, "FSCK_PUBLISHED"}

    opened = open_new_epoch(ledger, actor=admin, reason="restored after a disk failure")
    assert isinstance(opened, CheckpointWritten)
    assert opened.note.checkpoint.origin == "ledger.sample-bank.epoch-2"
    assert opened.entries == 3 + 4 + 1
    assert fsck_ledger(ledger).findings == ()
    exported = export_ledger(ledger, actor=admin, target=ledger.home / "export")
    assert isinstance(exported, Exported)
    old_key = VerifierKey(name="ledger.sample-bank", public=exported.key.public)
    result = verify_export(exported.path, keys=[old_key])
    assert result.verdict is Verdict.VERIFIED
    assert "ledger.epoch_opened" in result.breaks[0].text
    assert publication_of(ledger).newest("ledger.sample-bank") == lost.note
    assert isinstance(open_new_epoch(ledger, actor=admin, reason="again"), Refusal)


def test_a_rewritten_tree_of_the_same_size_is_noticed(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1, 2)
    sequence_now(ledger)
    restore = backup(ledger)
    add(ledger, entry_of, 3)
    write(ledger)
    restore()
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE ledger_head SET size = 4"))
        connection.execute(text("UPDATE ledger_tile SET hashes = hashes || hashes"))
    refusal = sequence_now(ledger)
    assert isinstance(refusal, Refusal)
    assert "is not the database's" in refusal.reasons[0].text


def test_a_database_older_than_the_epoch_is_noticed(ledger: LedgerHome, entry_of: EntryOf, admin: Principal) -> None:
    add(ledger, entry_of, 1)
    write(ledger)
    restore = backup(ledger)
    add(ledger, entry_of, 2)
    write(ledger)
    restore()
    sequence_now(ledger)
    assert isinstance(open_new_epoch(ledger, actor=admin, reason="restored"), CheckpointWritten)
    restore()
    refusal = sequence_now(ledger)
    assert isinstance(refusal, Refusal)
    assert "epoch 2 was published" in refusal.reasons[0].text
    again = open_new_epoch(ledger, actor=admin, reason="restored again")
    assert isinstance(again, CheckpointWritten)
    assert again.note.checkpoint.origin == "ledger.sample-bank.epoch-3"
    assert fsck_ledger(ledger).findings == ()


def test_a_rotation_hands_trust_over_and_both_keys_sign_the_same_tree(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    add(ledger, entry_of, 1)
    before = write(ledger)
    after = rotate_ledger_key(ledger, actor=admin, reason="yearly")
    assert isinstance(after, CheckpointWritten)
    again = rotate_ledger_key(ledger, actor=admin, reason="yearly")
    assert isinstance(again, CheckpointWritten)
    assert ledger.keyring.names() == ("ledger", "ledger-2", "ledger-3")
    result = verify_ledger(ledger)
    assert isinstance(result, Verification)
    assert (result.verdict, len(result.keys)) == (Verdict.VERIFIED, 3)
    first = VerifierKey(name=before.note.checkpoint.origin, public=ledger.keyring.public("ledger"))
    exported = export_ledger(ledger, actor=admin, target=ledger.home / "export")
    assert isinstance(exported, Exported)
    assert verify_export(exported.path, keys=[first]).verdict is Verdict.VERIFIED
    assert fsck_ledger(ledger).is_clean


def instance_of(ledger: LedgerHome) -> Instance:
    """The same ledger under a declared workspace, whose people hear of incidents."""
    root = ROOT / "src" / "pilotage" / "templates" / "minimal"
    return Instance(
        workspace=replace(load_workspace(root), id="sample-bank"),
        root=root,
        home=ledger.home,
        engine=ledger.engine,
        clock=ledger.clock,
        keyring=ledger.keyring,
        embedded=True,
    )


def test_a_lost_key_refuses_until_a_person_says_so_and_the_break_stays_visible(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    add(ledger, entry_of, 1)
    assert isinstance(declare_key_lost(instance_of(ledger), actor=admin, reason="none yet"), Refusal)
    write(ledger)
    assert isinstance(declare_key_lost(instance_of(ledger), actor=admin, reason="it is there"), Refusal)
    (ledger.home / "keys" / "ledger.json").unlink()
    with pytest.raises(Unavailable, match="Two ways out"):
        write_checkpoint(ledger)
    with pytest.raises(Unavailable, match="Two ways out"):
        prepare_ledger_key(ledger)
    written = declare_key_lost(instance_of(ledger), actor=admin, reason="the disk is gone")
    assert isinstance(written, CheckpointWritten)
    with ledger.engine.connect() as connection:
        (incident,) = list_incidents(connection)
        pages = connection.exec_driver_sql("SELECT payload->>'kind' FROM outbox ORDER BY 1").scalars().all()
    assert (incident.cause, incident.severity, incident.workflow) == (KEY_LOST, Severity.SEV2, "ledger.sample-bank")
    assert pages == ["page", "report", "ticket"]
    result = verify_ledger(ledger)
    assert isinstance(result, Verification)
    assert (result.verdict, [reason.code for reason in result.breaks]) == (Verdict.VERIFIED, ["LEDGER_BREAK"])
    exported = export_ledger(ledger, actor=admin, target=ledger.home / "export")
    assert isinstance(exported, Exported)
    assert verify_export(exported.path, keys=[exported.key]).verdict is Verdict.FAILED


def test_another_key_under_the_same_name_is_never_used(ledger: LedgerHome, entry_of: EntryOf, admin: Principal) -> None:
    add(ledger, entry_of, 1)
    write(ledger)
    (ledger.home / "keys" / "ledger.json").unlink()
    ledger.keyring.create("ledger")
    with pytest.raises(IntegrityError, match="is not the one that signs"):
        write_checkpoint(ledger)
    assert isinstance(declare_key_lost(instance_of(ledger), actor=admin, reason="replaced"), CheckpointWritten)


def test_a_key_lost_with_the_database_restored_is_mended_in_two_acts(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    add(ledger, entry_of, 1)
    write(ledger)
    restore = backup(ledger)
    add(ledger, entry_of, 2)
    write(ledger)
    restore()
    (ledger.home / "keys" / "ledger.json").unlink()
    assert isinstance(
        declare_key_lost(instance_of(ledger), actor=admin, reason="lost"), Refusal
    )  # recorded; still stopped
    assert isinstance(open_new_epoch(ledger, actor=admin, reason="restored"), CheckpointWritten)
    assert fsck_ledger(ledger).findings == ()


@pytest.mark.parametrize("act", [rotate_ledger_key, declare_key_lost, open_new_epoch])
def test_only_an_administrator_changes_who_signs(
    ledger: LedgerHome, admin: Principal, act: Callable[..., object]
) -> None:
    member = Principal(id=admin.id, kind=PrincipalKind.PERSON, label="Ana", via="local")
    refusal = act(ledger, actor=member, reason="because")
    assert isinstance(refusal, Refusal)
    assert refusal.reasons[0].code == "NOT_PERMITTED"


def test_a_stopped_ledger_does_not_rotate(ledger: LedgerHome, entry_of: EntryOf, admin: Principal) -> None:
    add(ledger, entry_of, 1)
    write(ledger)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE ledger_head SET stopped = 'restored.'"))
    assert isinstance(rotate_ledger_key(ledger, actor=admin, reason="x"), Refusal)


def test_a_smaller_tree_is_never_signed(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1, 2)
    note = write(ledger).note
    tree = Checkpoint(origin=note.checkpoint.origin, size=1, root=bytes(32))
    key = VerifierKey(name=tree.origin, public=ledger.keyring.public("ledger"))
    smaller = signed(tree, key, ledger.keyring.sign("ledger", tree.text()))
    with pytest.raises(Conflict, match="3 entries were signed before"), ledger.engine.begin() as connection:
        add_checkpoint(connection, smaller, at=ledger.clock.now())


def test_checkpoints_are_published_once_and_caught_up_after_a_failure(ledger: LedgerHome, entry_of: EntryOf) -> None:
    (ledger.home / "checkpoints").write_text("in the way")
    add(ledger, entry_of, 1)
    with pytest.raises(Unavailable, match="could not be published"):
        write_checkpoint(ledger)
    (ledger.home / "checkpoints").unlink()
    assert publish_pending(ledger) == 1
    assert publish_pending(ledger) == 0
    written = write(ledger)
    assert len(written.published_to) == 1
    assert Path(written.published_to[0]).read_bytes() == written.note.note()
    assert (ledger.home / "checkpoints" / "ledger.sample-bank" / "checkpoint").read_bytes() == written.note.note()
    assert written.notices[0].code == "LEDGER_NOT_ANCHORED"


def test_a_linked_folder_counts_as_outside_and_a_forged_file_is_noticed(ledger: LedgerHome, entry_of: EntryOf) -> None:
    outside = ledger.home / "elsewhere"
    outside.mkdir()
    (ledger.home / "checkpoints").symlink_to(outside)
    add(ledger, entry_of, 1)
    written = write(ledger)
    assert written.notices == ()
    place = Path(written.published_to[0])
    folder = CheckpointFolder(folder=outside)
    assert folder.publish(written.note) == str(outside / place.relative_to(ledger.home / "checkpoints"))
    place.write_bytes(place.read_bytes() + b"x")
    with pytest.raises(IntegrityError, match="another content"):
        folder.publish(written.note)
    with pytest.raises(IntegrityError, match="cannot be read"):
        write_checkpoint(ledger)
    assert {finding.code for finding in fsck_ledger(ledger).findings} == {"LEDGER_PUBLISHED", "FSCK_PUBLISHED"}


def test_an_older_checkpoint_published_late_does_not_replace_the_newest(
    ledger: LedgerHome, entry_of: EntryOf, tmp_path: Path
) -> None:
    add(ledger, entry_of, 1)
    older = write(ledger).note
    add(ledger, entry_of, 2)
    newer = write(ledger).note
    folder = CheckpointFolder(folder=tmp_path / "second")
    assert folder.newest("ledger.sample-bank") is None
    assert folder.origins() == ()
    folder.publish(newer)
    folder.publish(older)
    assert (folder.folder / "ledger.sample-bank" / "checkpoint").read_bytes() == newer.note()
    assert list(folder.every("ledger.sample-bank")) == [older, newer]


def test_the_declared_name_is_the_origin_in_every_epoch(ledger: LedgerHome, entry_of: EntryOf) -> None:
    named = replace(ledger, workspace=NamedWorkspace(declared="ledger.bank.example"))
    add(named, entry_of, 1)
    note = write(named).note
    assert note.checkpoint.origin == "ledger.bank.example"
    assert publication_of(named).origins() == ("ledger.bank.example",)
    assert isinstance(verify_ledger(named), Verification)
    assert fsck_ledger(named).findings == ()


def test_a_log_keeps_the_name_it_was_begun_under(ledger: LedgerHome, entry_of: EntryOf) -> None:
    add(ledger, entry_of, 1)
    write(ledger)
    renamed = replace(ledger, workspace=NamedWorkspace(declared="ledger.bank.example"))
    add(renamed, entry_of, 2)
    assert write(renamed).note.checkpoint.origin == "ledger.sample-bank"
    assert fsck_ledger(renamed).findings == ()


def test_a_log_from_before_names_were_kept_is_given_its_name_by_the_migration(
    ledger: LedgerHome, entry_of: EntryOf
) -> None:
    add(ledger, entry_of, 1)
    write(ledger)
    script = (resources.files("pilotage.store.migrations") / "sql" / "0006_release_states.sql").read_text("utf-8")
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE ledger_head SET name = NULL"))
        connection.execute(text("UPDATE ledger_checkpoint SET origin = origin || '.epoch-4'"))
        connection.execute(text("UPDATE ledger_head SET" + script.partition("UPDATE ledger_head SET")[2]))
        assert connection.execute(text("SELECT name FROM ledger_head")).scalar_one() == "ledger.sample-bank"


def test_origins_name_their_workspace_and_epoch() -> None:
    assert [origin_of("ledger.bank", epoch) for epoch in (1, 2)] == ["ledger.bank", "ledger.bank.epoch-2"]
    assert [epoch_of("ledger.bank", origin) for origin in ("ledger.bank", "ledger.bank.epoch-12")] == [1, 12]
    assert [epoch_of("ledger.bank", origin) for origin in ("ledger.other", "ledger.bank.epoch-x")] == [None, None]

"""An export verifies without us; whatever is changed in it, it does not verify any more."""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from pilotage.control.ledger_epoch import rotate_ledger_key
from pilotage.control.ledger_export import Exported, Selection, export_ledger
from pilotage.control.ledger_verify_export import verify_export
from pilotage.core.canonical import canonical_bytes, parse_json
from pilotage.core.errors import NotFound, Unavailable, UsageError
from pilotage.core.reason import Refusal
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.ledger.checkpoint import VerifierKey
from pilotage.ledger.commitment import Disclosure, commitments_of
from pilotage.ledger.entry import EncodedEntry, EntryKind, encode_entry
from pilotage.ledger.verify import Verdict, Verification
from pilotage.store.ledger_entries import append, append_many, forget_disclosures
from pilotage.testing.ledger import LedgerHome

pytestmark = pytest.mark.store
EntryOf = Callable[..., EncodedEntry]
COMMENT = Disclosure(field="comment", salt=bytes(32), value="Maria Chen approved it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An export and its untouched copy."""

    folder: Path
    key: VerifierKey
    disclosed: str


def signed_off(ledger: LedgerHome) -> EncodedEntry:
    return encode_entry(
        id="01JD0000000000000000000001",
        kind=EntryKind.GATE_SIGNED_OFF,
        at=ledger.clock.now(),
        actor="p_7f3k2q9w",
        subject="the release",
        commit=commitments_of([COMMENT]),
    )


def fill(ledger: LedgerHome, entry_of: EntryOf, admin: Principal) -> EncodedEntry:
    entry = signed_off(ledger)
    with ledger.engine.begin() as connection:
        append_many(connection, [entry_of(number) for number in range(300)])
        append(connection, entry, [COMMENT])
    assert not isinstance(rotate_ledger_key(ledger, actor=admin, reason="yearly"), Refusal)
    return entry


def export(ledger: LedgerHome, admin: Principal, target: str, *, selection: Selection | None = None) -> Exported:
    done = export_ledger(ledger, actor=admin, target=ledger.home / target, selection=selection)
    assert isinstance(done, Exported)
    return done


def code_of(result: Verification) -> str:
    return "" if result.failure is None else result.failure.code


def repack(folder: Path, change: Callable[[Path], object]) -> Path:
    """Copy an export, change the copy, and write its manifest anew, as a forger would."""
    copy = folder.with_name("forged")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    change(copy)
    manifest = parse_json((copy / "manifest.json").read_bytes())
    assert isinstance(manifest, dict)
    found = [path for path in copy.rglob("*") if path.is_file() and path.name != "manifest.json"]
    manifest["files"] = {
        path.relative_to(copy).as_posix(): {
            "sha256": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
            "size": path.stat().st_size,
        }
        for path in found
    }
    (copy / "manifest.json").write_bytes(canonical_bytes(manifest))
    return copy


@pytest.mark.parametrize("name", ["export", "export.tar"])
def test_an_export_verifies_offline_under_a_key_got_elsewhere(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal, name: str
) -> None:
    entry = fill(ledger, entry_of, admin)
    done = export(ledger, admin, name, selection=Selection(disclose=[entry.id]))
    result = verify_export(done.path, keys=[done.key])
    assert result.verdict is Verdict.VERIFIED
    assert (result.entries, result.disclosed, result.failure) == (304, 1, None)
    assert done.as_json()["root"] == f"sha256:{result.root.hex()}"
    assert [path.name for path in ledger.home.glob(".export*")] == []
    assert code_of(verify_export(done.path)) == "LEDGER_KEY_NOT_GIVEN"
    assert verify_export(done.path, trust_export_key=True).notices[0].code == "LEDGER_KEY_FROM_EXPORT"
    stranger = VerifierKey(name=done.key.name, public=bytes(32))
    assert code_of(verify_export(done.path, keys=[stranger])) == "LEDGER_SIGNATURE"


def test_an_extract_holds_the_chosen_entries_and_their_proofs(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    entry = fill(ledger, entry_of, admin)
    chosen = Selection(entries=[entry.id], subjects=["thing-7"], disclose=[entry.id])
    done = export(ledger, admin, "extract", selection=chosen)
    result = verify_export(done.path, keys=[done.key])
    assert result.verdict is Verdict.VERIFIED
    assert (result.disclosed, result.checkpoints) == (1, 1)
    lines = (done.path / "entries.jsonl").read_bytes()
    assert lines.count(b"\n") == result.entries == 5  # the two, the key's creation and rotation, and this export
    forged = repack(done.path, lambda copy: swap_lines(copy / "entries.jsonl"))
    assert verify_export(forged, keys=[done.key]).verdict is not Verdict.VERIFIED


def test_an_extract_holds_what_it_discloses_of(ledger: LedgerHome, entry_of: EntryOf, admin: Principal) -> None:
    entry = fill(ledger, entry_of, admin)
    done = export(ledger, admin, "extract", selection=Selection(subjects=["thing-7"], disclose=[entry.id]))
    result = verify_export(done.path, keys=[done.key])
    assert (result.verdict, result.disclosed, result.entries) == (Verdict.VERIFIED, 1, 5)


@pytest.mark.parametrize(
    "chosen",
    [Selection(entries=["nothing"]), Selection(subjects=["nothing"]), Selection(entries=["e"], disclose=["nothing"])],
)
def test_what_the_log_does_not_hold_is_named_and_nothing_is_written(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal, chosen: Selection
) -> None:
    entry = fill(ledger, entry_of, admin)
    chosen = replace(chosen, entries=[entry.id if one == "e" else one for one in chosen.entries])
    with pytest.raises(NotFound, match="nothing") as refused:
        export_ledger(ledger, actor=admin, target=ledger.home / "extract", selection=chosen)
    assert refused.value.code == "LEDGER_ENTRY_UNKNOWN"
    assert not (ledger.home / "extract").exists()


def test_an_archive_that_cannot_be_finished_leaves_nothing_behind(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    fill(ledger, entry_of, admin)
    monkeypatch.setattr(tarfile.TarFile, "add", full)
    with pytest.raises(Unavailable):
        export_ledger(ledger, actor=admin, target=ledger.home / "export.tar")
    assert [path.name for path in ledger.home.iterdir() if "export" in path.name] == []


def swap_lines(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[0], lines[-1] = lines[-1], lines[0]
    path.write_bytes(b"".join(lines))


def drop_line(path: Path, number: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[number]
    path.write_bytes(b"".join(lines))


def double_line(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


FORGERIES: list[tuple[Callable[[Path], object], str, int]] = [
    (lambda copy: swap_lines(copy / "entries.jsonl"), "LEDGER_GAP", 1),
    (lambda copy: drop_line(copy / "entries.jsonl", 0), "LEDGER_GAP", 1),
    (lambda copy: drop_line(copy / "entries.jsonl", -1), "LEDGER_GAP", 1),
    (lambda copy: double_line(copy / "entries.jsonl"), "LEDGER_DUPLICATE", 2),
    (lambda copy: cut(copy / "entries.jsonl"), "LEDGER_EXPORT_UNREADABLE", 2),
    (lambda copy: swap_lines(copy / "checkpoints" / "history.jsonl"), "LEDGER_CHECKPOINT_ORDER", 1),
    (lambda copy: drop_line(copy / "checkpoints" / "history.jsonl", -1), "LEDGER_UNSIGNED", 1),
    (lambda copy: cut(copy / "checkpoints" / "history.jsonl"), "LEDGER_EXPORT_UNREADABLE", 2),
    (lambda copy: cut(copy / "checkpoints" / "newest.txt"), "LEDGER_EXPORT_UNREADABLE", 2),
    (lambda copy: (copy / "checkpoints" / "newest.txt").write_bytes(oldest_note(copy)), "LEDGER_MANIFEST", 1),
    (lambda copy: (copy / "keys.json").write_bytes(b'{"keys":[]}x'), "LEDGER_EXPORT_UNREADABLE", 2),
    (lambda copy: (copy / "keys.json").write_bytes(stranger_keys()), "LEDGER_KEY", 1),
    (lambda copy: (copy / "keys.json").unlink(), "LEDGER_FILE_MISSING", 1),
    (lambda copy: cut(copy / "disclosed.jsonl"), "LEDGER_EXPORT_UNREADABLE", 2),
    (lambda copy: double_line(copy / "disclosed.jsonl"), "", 0),
]


def oldest_note(copy: Path) -> bytes:
    line = parse_json((copy / "checkpoints" / "history.jsonl").read_bytes().splitlines()[0])
    assert isinstance(line, dict)
    return str(line["note"]).encode()


def stranger_keys() -> bytes:
    return canonical_bytes({"keys": [str(VerifierKey(name="ledger.other", public=bytes(32)))]})


def test_a_forged_export_with_a_fitting_manifest_does_not_verify(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    entry = fill(ledger, entry_of, admin)
    done = export(ledger, admin, "export", selection=Selection(disclose=[entry.id]))
    for change, code, exit_code in FORGERIES:
        result = verify_export(repack(done.path, change), keys=[done.key])
        assert (code_of(result), result.verdict.exit_code) == (code, exit_code)


def test_no_flipped_byte_anywhere_in_an_export_verifies(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    entry = fill(ledger, entry_of, admin)
    done = export(ledger, admin, "export", selection=Selection(disclose=[entry.id]))
    copy = ledger.home / "copy"
    shutil.copytree(done.path, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(files), st.integers(0, 10**6), st.integers(0, 7))
    def check(path: Path, place: int, bit: int) -> None:
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= 1 << bit
        try:
            path.write_bytes(content)
            result = verify_export(copy, keys=[done.key])
        finally:
            path.write_bytes((done.path / path.relative_to(copy)).read_bytes())
        assert result.verdict is not Verdict.VERIFIED
        assert result.failure is not None

    check()
    assert verify_export(copy, keys=[done.key]).verdict is Verdict.VERIFIED


def test_a_stray_file_a_link_and_a_missing_manifest_are_refused(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    fill(ledger, entry_of, admin)
    done = export(ledger, admin, "export")
    (done.path / "more.txt").write_text("x")
    assert code_of(verify_export(done.path, keys=[done.key])) == "LEDGER_FILE_STRAY"
    (done.path / "more.txt").unlink()
    (done.path / "keys.json").rename(ledger.home / "keys.json")
    (done.path / "keys.json").symlink_to(ledger.home / "keys.json")
    assert verify_export(done.path, keys=[done.key]).verdict is Verdict.UNREADABLE
    (done.path / "manifest.json").unlink()
    assert verify_export(done.path, keys=[done.key]).verdict is Verdict.UNREADABLE
    assert verify_export(ledger.home / "nothing", keys=[done.key]).verdict is Verdict.UNREADABLE


def test_a_changed_place_of_publication_fails_by_the_manifest(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    fill(ledger, entry_of, admin)
    done = export(ledger, admin, "export")
    (done.path / "anchors" / "published.jsonl").write_bytes(b"{}\n")
    result = verify_export(done.path, keys=[done.key])
    assert (result.verdict, code_of(result)) == (Verdict.FAILED, "LEDGER_FILE_CHANGED")


@pytest.mark.parametrize("kind", ["truncated", "double", "link", "garbage"])
def test_a_damaged_archive_is_unreadable(ledger: LedgerHome, entry_of: EntryOf, admin: Principal, kind: str) -> None:
    fill(ledger, entry_of, admin)
    done = export(ledger, admin, "export.tar")
    match kind:
        case "truncated":
            done.path.write_bytes(done.path.read_bytes()[:4_000])
        case "double":
            with tarfile.open(done.path, "a") as tar:
                tar.addfile(tarfile.TarInfo("keys.json"), io.BytesIO(b""))
        case "link":
            with tarfile.open(done.path, "a") as tar:
                link = tarfile.TarInfo("link")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(link)
        case _:
            done.path.write_bytes(b"no archive")
    assert verify_export(done.path, keys=[done.key]).verdict is Verdict.UNREADABLE


def test_disclosing_takes_the_auditor_and_every_member_may_export(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    entry = fill(ledger, entry_of, admin)
    member = Principal(id=admin.id, kind=PrincipalKind.PERSON, label="Ana", via="local")
    refused = export_ledger(ledger, actor=member, target=ledger.home / "x", selection=Selection(disclose=[entry.id]))
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "NOT_PERMITTED"
    assert isinstance(export_ledger(ledger, actor=member, target=ledger.home / "x"), Exported)
    with pytest.raises(UsageError, match="exists already"):
        export_ledger(ledger, actor=member, target=ledger.home / "x")
    with pytest.raises(Unavailable, match="failed"):
        export_ledger(ledger, actor=member, target=ledger.home / "keys" / "master" / "x")
    unnamed = export_ledger(ledger, actor=member, target=None)
    assert isinstance(unnamed, Exported)
    assert (unnamed.path.parent, unnamed.path.is_dir()) == (ledger.home / "exports", True)


def test_a_stopped_ledger_refuses_to_export(ledger: LedgerHome, entry_of: EntryOf, admin: Principal) -> None:
    fill(ledger, entry_of, admin)
    with ledger.engine.begin() as connection:
        connection.execute(text("UPDATE ledger_head SET stopped = 'restored.'"))
    assert isinstance(export_ledger(ledger, actor=admin, target=ledger.home / "x"), Refusal)


def test_after_erasure_every_root_and_proof_still_verifies_and_nothing_can_be_read(
    ledger: LedgerHome, entry_of: EntryOf, admin: Principal
) -> None:
    entry = fill(ledger, entry_of, admin)
    before = export(ledger, admin, "before")
    with ledger.engine.begin() as connection:
        assert forget_disclosures(connection, [entry.id]) == 1
    after = export(ledger, admin, "after", selection=Selection(disclose=[entry.id]))
    result = verify_export(after.path, keys=[before.key])
    assert (result.verdict, result.disclosed) == (Verdict.VERIFIED, 0)
    everything = b"".join(path.read_bytes() for path in after.path.rglob("*") if path.is_file())
    assert COMMENT.value.encode() not in everything
    with ledger.engine.connect() as connection:
        assert (
            connection.execute(text("SELECT count(*) FROM ledger_disclosure WHERE value LIKE '%Maria%'")).scalar() == 0
        )


def test_a_file_too_large_to_be_a_manifest_and_an_archive_without_one_are_unreadable(tmp_path: Path) -> None:
    folder = tmp_path / "large"
    folder.mkdir()
    with (folder / "manifest.json").open("wb") as file:
        file.truncate(17 * 1024 * 1024)
    result = verify_export(folder)
    assert result.verdict is Verdict.UNREADABLE
    assert result.failure is not None
    assert "larger than" in result.failure.text
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    assert verify_export(tmp_path / "empty.tar").verdict is Verdict.UNREADABLE

"""`ledger export`: the log, or chosen entries with proofs, as files that verify without this instance.

A folder, or the same files as one `.tar` when the target ends so. Streamed: memory does not grow with the log. Rule:
the export appears under its name only when it is whole. Values behind commitments are disclosed for chosen entries
only, to an auditor only. Fail mode: Refusal (no role, nothing signed, target exists); a half-written export is removed.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tarfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from pilotage.control.ledger_checkpoint import prepare_ledger_key, write_checkpoint
from pilotage.control.ledger_instance import LedgerInstance, current_key, log_name, origin_of
from pilotage.core.canonical import Json, canonical_bytes
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, Unavailable, UsageError
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger import tiles
from pilotage.ledger.checkpoint import SignedCheckpoint, VerifierKey, parse_verifier_key
from pilotage.ledger.entry import EntryKind, decode_entry, encode_entry
from pilotage.ledger.export_format import (
    DISCLOSED,
    ENTRIES,
    HISTORY,
    KEYS,
    MANIFEST,
    NEWEST,
    PUBLISHED,
    FileNote,
    Kind,
    Manifest,
    disclosed_line,
    entry_line,
    keys_bytes,
    note_line,
)
from pilotage.ledger.verify import LogEntry
from pilotage.store.ledger_checkpoints import StoredCheckpoint, every_checkpoint
from pilotage.store.ledger_entries import append, entries_of
from pilotage.store.ledger_reading import origins_of, read_chosen, read_disclosed, read_log, unknown_names
from pilotage.store.ledger_sequencing import read_head, tile_reader
from pilotage.store.pseudonyms import pseudonym_of

_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_KEY_FIELDS = ("key", "old", "new")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to export. Without `entries` and `subjects` the whole log; `disclose` are ids whose values are opened.

    An extract holds the entries it discloses of.
    """

    entries: Sequence[str] = ()
    subjects: Sequence[str] = ()
    disclose: Sequence[str] = ()

    @property
    def kind(self) -> Kind:
        """Return whether this is a whole log or an extract."""
        return Kind.EXTRACT if self.entries or self.subjects else Kind.FULL


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Where it stands, and what it holds. `key` is what a verifier must get from elsewhere than the export."""

    path: Path
    kind: Kind
    entries: int
    size: int
    root: Digest
    key: VerifierKey
    notices: tuple[Reason, ...]

    def as_json(self) -> dict[str, object]:
        """Return the result of `pilotage ledger export`."""
        return {
            "path": str(self.path),
            "kind": self.kind.value,
            "entries": self.entries,
            "size": self.size,
            "root": self.root,
            "key": str(self.key),
            "notices": [notice.as_json() for notice in self.notices],
        }


def export_ledger(
    instance: LedgerInstance, *, actor: Principal, target: Path | None, selection: Selection | None = None
) -> Exported | Refusal:
    """Sign the tree as it is now and write the export; the act itself is a ledger entry inside it.

    `target` None: a new folder below `exports` of the home, as the workspace's own is tracked. UsageError when the
    target exists, NotFound when the selection names what is not in the log. Every member may
    export; disclosing values takes the auditor's role.
    """
    chosen = selection if selection is not None else Selection()
    refused = may(actor.roles, Action.AUDIT if chosen.disclose else Action.READ)
    if refused is not None:
        return refused
    if target is None:
        target = _new_target(instance)
    if target.exists():
        raise UsageError("LEDGER_EXPORT_EXISTS", f"{target} exists already.", hint="Choose another name.")
    _require_known(instance, chosen)
    stopped = prepare_ledger_key(instance)
    if stopped is not None:
        return stopped
    _record(instance, actor, chosen)
    written = write_checkpoint(instance)
    if isinstance(written, Refusal):
        return written
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        count, key = _write_files(instance, partial, written.note, chosen)
        _finish(partial, target)
    except OSError as error:
        raise Unavailable("LEDGER_EXPORT", f"The export to {target} failed: {error}.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(
        path=target,
        kind=chosen.kind,
        entries=count,
        size=written.entries,
        root=written.root,
        key=key,
        notices=written.notices,
    )


def _require_known(instance: LedgerInstance, chosen: Selection) -> None:
    with instance.engine.connect() as connection:
        ids = [*chosen.entries, *chosen.disclose]
        unknown = unknown_names(connection, ids=ids, subjects=chosen.subjects)
    if unknown:
        names = ", ".join(name[:60] for name in unknown[:5])
        message = f"The ledger holds no entry of this id or subject: {names}. Nothing was exported."
        raise NotFound(
            "LEDGER_ENTRY_UNKNOWN", message, hint="Take ids from `pilotage explain` or the console's Ledger."
        )


def _record(instance: LedgerInstance, actor: Principal, chosen: Selection) -> None:
    now = instance.clock.now()
    kind = EntryKind.LEDGER_DISCLOSED if chosen.disclose else EntryKind.LEDGER_EXPORTED
    with instance.engine.begin() as connection:
        head = read_head(connection)
        entry = encode_entry(
            id=new_ulid(now),
            kind=kind,
            at=now,
            actor=pseudonym_of(connection, actor.id),
            subject=origin_of(log_name(instance, head), head.epoch),
            data={"kind": chosen.kind.value, "disclosed": sorted(chosen.disclose)[:1_000]},
        )
        append(connection, entry)


def _write_files(
    instance: LedgerInstance, folder: Path, note: SignedCheckpoint, chosen: Selection
) -> tuple[int, VerifierKey]:
    writer = _Writer(folder)
    size = note.checkpoint.size
    with instance.engine.connect() as connection, connection.begin():
        connection.execute(_SNAPSHOT)
        key = current_key(instance, connection, read_head(connection)).verifier
        with closing(_entries(connection, size, chosen)) as entries:
            count = writer.write(ENTRIES, (entry_line(entry) for entry in entries))
        opened = read_disclosed(connection, size, chosen.disclose)
        writer.write(DISCLOSED, (disclosed_line(item) for item in opened))
        signers = _write_checkpoints(connection, writer, note, chosen.kind)
        keys = tuple(key for key in keys_of_log(connection) if key.id.hex() in signers)
        writer.write(KEYS, [keys_bytes(keys)])
    tree = note.checkpoint
    manifest = Manifest(kind=chosen.kind, origin=tree.origin, size=size, root=tree.root, files=writer.files)
    writer.write(MANIFEST, [manifest.as_bytes()])
    return count, key


def _entries(connection: Connection, size: int, chosen: Selection) -> Generator[LogEntry, None, None]:
    if chosen.kind is Kind.FULL:
        yield from read_log(connection, size)
        return
    # The log's own entries come along: they carry the handovers between its keys.
    subjects = [*chosen.subjects, *origins_of(connection)]
    read = tile_reader(connection)
    for entry in read_chosen(connection, size, ids=[*chosen.entries, *chosen.disclose], subjects=subjects):
        yield entry._replace(proof=tiles.inclusion_proof(read, entry.seq, size))


def _write_checkpoints(connection: Connection, writer: _Writer, note: SignedCheckpoint, kind: Kind) -> frozenset[str]:
    writer.write(NEWEST, [note.note()])
    signers: set[str] = set()

    with closing(_checkpoints(connection, note, kind)) as rows:
        writer.write(HISTORY, (_history_line(row, signers) for row in rows))
    with closing(_checkpoints(connection, note, kind)) as rows:
        writer.write(PUBLISHED, (_published_line(row) for row in rows))
    return frozenset(signers)


def _history_line(row: StoredCheckpoint, signers: set[str]) -> bytes:
    signers.add(row.key_id)
    return note_line(row.parsed())


def _published_line(row: StoredCheckpoint) -> bytes:
    places: list[Json] = list(row.published_to)
    return canonical_bytes({"key_id": row.key_id, "published_to": places, "size": row.size}) + b"\n"


def _checkpoints(connection: Connection, note: SignedCheckpoint, kind: Kind) -> Generator[StoredCheckpoint, None, None]:
    with closing(every_checkpoint(connection)) as rows:
        for row in rows:
            if row.note.encode() == note.note() if kind is Kind.EXTRACT else row.size <= note.checkpoint.size:
                yield row


def keys_of_log(connection: Connection) -> tuple[VerifierKey, ...]:
    """Return every key the log's own entries name, oldest first."""
    found: dict[str, VerifierKey] = {}
    for origin in origins_of(connection):
        for entry in entries_of(connection, origin):
            data = decode_entry(entry.bytes).data
            for field in _KEY_FIELDS:
                if isinstance(spelled := data.get(field), str):
                    found[spelled] = parse_verifier_key(spelled)
    return tuple(found.values())


class _Writer:
    """Writes files below a folder, keeping the digest and size of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: dict[str, FileNote] = {}

    def write(self, path: str, pieces: Iterable[bytes]) -> int:
        """Write the pieces one after another; return how many there were."""
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        hashed = hashlib.sha256()
        size = count = 0
        with target.open("xb") as file:
            for piece in pieces:
                file.write(piece)
                hashed.update(piece)
                size += len(piece)
                count += 1
        self.files[path] = FileNote(sha256=Digest(f"sha256:{hashed.hexdigest()}"), size=size)
        return count


def _new_target(instance: LedgerInstance) -> Path:
    folder = instance.home / "exports"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"ledger-{instance.clock.now():%Y%m%dT%H%M%S%f}"


def _finish(partial: Path, target: Path) -> None:
    if target.suffix != ".tar":
        partial.rename(target)
        return
    packed = partial.with_name(f"{partial.name}.tar")
    try:
        with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as tar:  # USTAR ends at 8 GiB a file
            for path in sorted(path for path in partial.rglob("*") if path.is_file()):
                tar.add(path, arcname=path.relative_to(partial).as_posix(), filter=_anonymous)
        packed.rename(target)
    finally:
        packed.unlink(missing_ok=True)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode, member.mtime = 0o644, 0
    return member

"""Publication of checkpoints outside the database: one file per checkpoint in a folder, newest also as `checkpoint`.

Default `PILOTAGE_HOME/checkpoints`. Mount or link storage there that administrators of this machine cannot rewrite (an
object store with a retention lock): only then is the log anchored. Rule: a published file is never replaced by another
content. Fail mode: Unavailable or IntegrityError naming the file; serving does not depend on this folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilotage.adapters.files import put_file
from pilotage.core.errors import IntegrityError, Unavailable
from pilotage.core.reason import Reason
from pilotage.ledger.checkpoint import NoteError, SignedCheckpoint, parse_note

_SHARD = 1_000_000
_NEWEST = "checkpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFolder:
    """Published checkpoints: `<origin>/<size in millions>/<size>-<key id>.txt`."""

    folder: Path

    @property
    def not_anchored(self) -> Reason | None:
        """Return the notice for console and verifier, or None when the folder is mounted or linked from elsewhere."""
        if self.folder.is_symlink() or self.folder.is_mount():
            return None
        text = "Not anchored: an administrator of this machine could rewrite it."
        return Reason(code="LEDGER_NOT_ANCHORED", text=f"{text} Checkpoints stay in {self.folder}.")

    def publish(self, note: SignedCheckpoint) -> str:
        """Write the checkpoint durably and return its place; writing the same one again changes nothing."""
        tree = note.checkpoint
        name = f"{tree.size:012d}-{note.signatures[0].key_id.hex()}.txt"
        path = self.folder / tree.origin / f"{tree.size // _SHARD:06d}" / name
        content = note.note()
        try:
            if path.exists():
                _require_same(path, content)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                put_file(path, content)
            if self._newest_size(tree.origin) <= tree.size:
                put_file(self.folder / tree.origin / _NEWEST, content)
        except OSError as error:
            raise Unavailable(
                "LEDGER_PUBLISH",
                f"Checkpoint {tree.size} could not be published to {path}: {error}.",
                hint="It stays in the database and is published when the folder is writable again.",
            ) from None
        return str(path)

    def origins(self) -> tuple[str, ...]:
        """Return every log that was published here."""
        if not self.folder.is_dir():
            return ()
        return tuple(sorted(path.name for path in self.folder.iterdir() if path.is_dir()))

    def newest(self, origin: str) -> SignedCheckpoint | None:
        """Return the largest published checkpoint of a log."""
        for shard in sorted(self._shards(origin), reverse=True):
            for path in sorted(shard.glob("*.txt"), reverse=True):
                return _read(path)
        return None

    def every(self, origin: str) -> Iterator[SignedCheckpoint]:
        """Yield every published checkpoint of a log, smallest first."""
        for shard in sorted(self._shards(origin)):
            for path in sorted(shard.glob("*.txt")):
                yield _read(path)

    def _shards(self, origin: str) -> list[Path]:
        folder = self.folder / origin
        return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []

    def _newest_size(self, origin: str) -> int:
        found = self.newest(origin)
        return -1 if found is None else found.checkpoint.size


def _read(path: Path) -> SignedCheckpoint:
    try:
        return parse_note(path.read_bytes())
    except (NoteError, OSError) as error:
        raise IntegrityError(
            "LEDGER_PUBLISHED",
            f"The published checkpoint {path} cannot be read: {error}",
            hint="Restore the file from another copy of the folder; nothing is signed until then.",
        ) from None


def _require_same(path: Path, content: bytes) -> None:
    if path.read_bytes() != content:
        raise IntegrityError(
            "LEDGER_PUBLISHED",
            f"{path} was published with another content: two trees of one size were signed.",
            hint="Keep both and run `pilotage ledger fsck`.",
        )

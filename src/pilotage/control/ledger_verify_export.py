"""`ledger verify --export`: offline, from the files alone. Reads no workspace, no database and no network.

Every file is hashed against the manifest, every entry against its leaf, every checkpoint against its entries and its
signature. Rule: a file the manifest does not name fails the export, as a missing one does. Fail mode: UNREADABLE for
what cannot be read, FAILED with the first failing seq, size or file; VERIFIED only when everything was read to its end.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol, Self, TypeVar

from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.ledger.checkpoint import SignedCheckpoint, VerifierKey
from pilotage.ledger.export_format import (
    DISCLOSED,
    ENTRIES,
    HISTORY,
    KEYS,
    MANIFEST,
    MAX_LINE,
    NEWEST,
    PUBLISHED,
    FormatError,
    Kind,
    Manifest,
    parse_checkpoint,
    parse_disclosed_line,
    parse_entry_line,
    parse_keys,
    parse_manifest,
    parse_note_line,
)
from pilotage.ledger.verify import Trust, Verdict, Verification, verify_extract, verify_log

_T = TypeVar("_T")
_WHOLE_FILE = 16 * 1024 * 1024
_REQUIRED = (ENTRIES, DISCLOSED, HISTORY, KEYS, NEWEST, PUBLISHED)


def verify_export(path: Path, *, keys: Sequence[VerifierKey] = (), trust_export_key: bool = False) -> Verification:
    """Verify an export folder or `.tar`. `keys` were given by the caller, got from elsewhere than the export.

    The verdict's `exit_code` is 0, 1 or 2. Never raises for what stands in the export.
    """
    try:
        with _open(path) as files:
            return _verify(files, tuple(keys), accept_exported=trust_export_key)
    except (FormatError, OSError, tarfile.TarError, EOFError, UnicodeError) as error:
        text = f"{path} cannot be read as a ledger export: {error}"
        return _refused(Verdict.UNREADABLE, Reason(code="LEDGER_EXPORT_UNREADABLE", text=text, where=str(path)))


def _verify(files: _Files, given: tuple[VerifierKey, ...], *, accept_exported: bool) -> Verification:
    manifest = parse_manifest(files.whole(MANIFEST))
    stray = _first_difference(files, manifest)
    if stray is not None:
        return _refused(Verdict.FAILED, stray)
    trust = Trust(given=given, exported=parse_keys(files.whole(KEYS)), accept_exported=accept_exported)
    newest = parse_checkpoint(NEWEST, files.whole(NEWEST))
    entries = files.lines(ENTRIES, parse_entry_line)
    disclosed = files.lines(DISCLOSED, parse_disclosed_line)
    if manifest.kind is Kind.FULL:
        history = files.lines(HISTORY, parse_note_line)
        result = verify_log(entries, checkpoints=history, trust=trust, disclosed=disclosed)
    else:
        files.drain(HISTORY)
        result = verify_extract(entries, checkpoint=newest, trust=trust, disclosed=disclosed)
    if result.verdict is not Verdict.VERIFIED:
        return result
    files.drain(PUBLISHED)
    changed = _foreign_newest(newest, manifest, result) or _first_change(files, manifest)
    return result if changed is None else replace(result, verdict=Verdict.FAILED, failure=changed)


def _foreign_newest(newest: SignedCheckpoint, manifest: Manifest, result: Verification) -> Reason | None:
    tree = newest.checkpoint
    named = (manifest.origin, manifest.size, manifest.root)
    whole = manifest.kind is Kind.EXTRACT or tree.size == result.entries
    if named == (tree.origin, tree.size, result.root) and whole and any(map(newest.is_signed_by, result.keys)):
        return None
    text = f"Manifest ({manifest.size} entries), {NEWEST} ({tree.size}) and the log ({result.entries}) do not agree."
    return Reason(code="LEDGER_MANIFEST", text=text, where=f"size {manifest.size}")


def _first_difference(files: _Files, manifest: Manifest) -> Reason | None:
    named, found = {*manifest.files, MANIFEST, *_REQUIRED}, set(files.names())
    for name in sorted(named ^ found):
        missing = name in named
        text = f"{name} is {'missing from the export' if missing else 'not named by the manifest'}."
        return Reason(code="LEDGER_FILE_MISSING" if missing else "LEDGER_FILE_STRAY", text=text, where=name)
    return None


def _first_change(files: _Files, manifest: Manifest) -> Reason | None:
    for name, note in sorted(manifest.files.items()):
        if files.digests.get(name) != (note.sha256, note.size):
            text = f"{name} has not the digest and size the manifest gives it."
            return Reason(code="LEDGER_FILE_CHANGED", text=text, where=name)
    return None


def _refused(verdict: Verdict, reason: Reason) -> Verification:
    return Verification(verdict=verdict, entries=0, root=b"", checkpoints=0, failure=reason)


class _Source(Protocol):
    """Where the files of an export come from."""

    def names(self) -> list[str]:
        """Return the paths of all files."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """Open one file; FormatError when there is none."""
        ...

    def close(self) -> None:
        """Let go of the export."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    root: Path

    def names(self) -> list[str]:
        found = [path for path in self.root.rglob("*") if path.is_symlink() or not path.is_dir()]
        return [path.relative_to(self.root).as_posix() for path in found]

    def open(self, name: str) -> IO[bytes]:
        path = self.root / name
        if path.is_symlink() or not path.is_file():
            message = f"{name} is missing or no plain file."
            raise FormatError(message)
        return path.open("rb")

    def close(self) -> None:
        """Nothing is held open."""


class _Tar:
    """Members are read in place, never extracted."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - closed by close(), which the caller's `with` reaches
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            for member in self._tar:
                self._add(member)
        except BaseException:
            self._tar.close()
            raise

    def _add(self, member: tarfile.TarInfo) -> None:
        if not member.isreg() or member.name in self._members:
            message = f"{member.name} stands twice, or is no plain file."
            raise FormatError(message)
        self._members[member.name] = member

    def names(self) -> list[str]:
        return list(self._members)

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(name)
        file = None if member is None else self._tar.extractfile(member)
        if file is None:
            message = f"{name} is missing."
            raise FormatError(message)
        return file

    def close(self) -> None:
        self._tar.close()


class _Files:
    """The files of an export; remembers the digest and size of each one read to its end."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self.digests: dict[str, tuple[Digest, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def names(self) -> list[str]:
        """Return the paths of all files."""
        return self._source.names()

    def whole(self, name: str) -> bytes:
        """Return a small file."""
        with self._source.open(name) as file:
            content = file.read(_WHOLE_FILE + 1)
        if len(content) > _WHOLE_FILE:
            message = f"{name} is larger than {_WHOLE_FILE} bytes."
            raise FormatError(message)
        self.digests[name] = (Digest(f"sha256:{hashlib.sha256(content).hexdigest()}"), len(content))
        return content

    def lines(self, name: str, parse: Callable[[bytes, int], _T]) -> Iterator[_T]:
        """Yield the parsed lines of a file of any size."""
        hashed, size = hashlib.sha256(), 0
        with self._source.open(name) as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                hashed.update(line)
                size += len(line)
                yield parse(line, number)
        self.digests[name] = (Digest(f"sha256:{hashed.hexdigest()}"), size)

    def drain(self, name: str) -> None:
        """Read a file for its digest only."""
        for _ in self.lines(name, lambda line, _: line):
            pass


def _open(path: Path) -> _Files:
    if path.is_dir():
        return _Files(_Folder(root=path))
    if not path.exists():
        message = f"there is nothing at {path}."
        raise FormatError(message)
    return _Files(_Tar(path))

"""A folder of documents as a source. Ids are NFC relative POSIX paths; `.jsonl` files give one document per row.

Symbolic links are not followed, neither while listing nor while reading; dot files and `acl.yaml` are not documents.
Fail mode: a folder that cannot be listed stops the run; a file that cannot be read is rejected alone.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pilotage.adapters.connectors.jsonl import list_rows, row_acls
from pilotage.corpus.connector import Fetched, ItemUnreadable, ListingFailed
from pilotage.corpus.records import Rejected, SourceItem

MAX_FILE_BYTES = 64 << 20
MAX_DEPTH = 64
_RULES = "acl.yaml"
_UNREAD_RULES = frozenset({_RULES, "acl.yml"})


class FolderConnector:
    """Lists the files under `root`, or the one file `only` in it."""

    def __init__(self, root: Path, *, fields: Mapping[str, str], only: str | None = None) -> None:
        self._root = root
        self._fields = fields
        self._only = only
        self._paths: dict[str, str] = {}  # NFC id -> name on disk, where the two differ

    @property
    def name(self) -> str:
        """Return `folder`."""
        return "folder"

    def list(self) -> Iterator[SourceItem | Rejected]:
        """Yield every file in byte order of its path."""
        if not self._root.is_dir():
            message = f"The folder {self._root} does not exist."
            raise ListingFailed(message, hint="Create it, or name another with --from.")
        for path, entry in self._walk(self._root, "", 0):
            if self._only is None or path == self._only:
                yield from self._items(path, entry)

    def fetch(self, item: SourceItem) -> Fetched:
        """Read the file, without following a link that took its place since the listing."""
        if item.row is not None:
            return Fetched(row=item.row)
        try:
            handle = _open_inside(self._root, self._paths.get(item.id, item.id))
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            raise ItemUnreadable(message) from error
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ItemUnreadable("is no regular file")
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ItemUnreadable(too_large(len(data)))
        return Fetched(data=data, suffix=Path(item.id).suffix.lower())

    def acl(self, items: Sequence[SourceItem]) -> Mapping[str, object]:
        """Return the rows' own ACLs; files have none and take the corpus's acl rules."""
        return row_acls(items, self._fields)

    def check_access(self, names: frozenset[str], ids: Sequence[str]) -> Mapping[str, bool]:  # noqa: ARG002 - the port
        """Return no for all: a folder has no say of its own, so a recheck against it fails closed."""
        return dict.fromkeys(ids, False)

    def _walk(self, folder: Path, prefix: str, depth: int) -> Iterator[tuple[str, os.DirEntry[str]]]:
        if depth > MAX_DEPTH:
            message = f"The folder {prefix} lies more than {MAX_DEPTH} folders deep."
            raise ListingFailed(message)
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            message = f"The folder {folder} cannot be listed: {error.strerror}."
            raise ListingFailed(message, hint="Nothing was changed; make it readable and refresh again.") from error
        for entry in entries:
            if entry.name.startswith(".") or (not prefix and entry.name == _RULES):
                continue
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(folder / entry.name, f"{path}/", depth + 1)
            else:
                yield path, entry

    def _items(self, path: str, entry: os.DirEntry[str]) -> Iterator[SourceItem | Rejected]:
        try:
            path.encode()
        except UnicodeEncodeError:
            yield Rejected(id=path.encode("utf-8", "replace").decode(), reason="its file name is not UTF-8")
            return
        document = unicodedata.normalize("NFC", path)
        if entry.name in _UNREAD_RULES:
            yield Rejected(id=document, reason="holds rules that nobody reads: write them into acl.yaml of documents/")
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError as error:
            yield Rejected(id=document, reason=f"cannot be read: {error.strerror}")
            return
        if stat.S_ISLNK(status.st_mode):
            yield Rejected(id=document, reason="is a symbolic link, which is not followed")
        elif not stat.S_ISREG(status.st_mode):
            yield Rejected(id=document, reason="is no regular file")
        elif document.endswith((".jsonl", ".jsonl.gz")):
            yield from list_rows(self._root / path, self._fields, label=document)
        elif status.st_size > MAX_FILE_BYTES:
            yield Rejected(id=document, reason=too_large(status.st_size))
        else:
            if document != path:
                self._paths.setdefault(document, path)
            yield SourceItem(
                id=document,
                etag=f"{status.st_mtime_ns}-{status.st_size}",
                path=document,
                modified=datetime.fromtimestamp(status.st_mtime, UTC),
                size=status.st_size,
            )


def _open_inside(root: Path, path: str) -> int:
    """Open a file below the root folder by folder: no link on the way is followed, no pipe waited for."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        *folders, name = path.split("/")
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)


def too_large(size: int) -> str:
    """Return the reason an input over 64 MiB is rejected."""
    return f"is larger than {MAX_FILE_BYTES >> 20} MiB: {size:,} bytes"

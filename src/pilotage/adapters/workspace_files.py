"""Reads a workspace folder into the mapping that `workspace/parse.py` takes: POSIX path relative to the root to bytes.

Rule: symbolic links, odd names and oversize files are refused, never followed or cut; hidden folders and the documents
of corpora (but not their `acl.yaml`) are left alone. Fail mode: InvalidFiles with every such file at once.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from pilotage.core.errors import InvalidFiles, NotFound, Problem

ROOT_FILE = "pilotage.yaml"
MAX_FILE_BYTES = 67_108_864
MAX_FILES = 20_000
_SUFFIXES = frozenset({".yaml", ".yml", ".md", ".jsonl"})
_TEXT = "Use plain names in Unicode NFC, without backslashes or control characters."


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that holds `pilotage.yaml`; raise NotFound when there is none."""
    for folder in (start, *start.parents):
        if (folder / ROOT_FILE).is_file():
            return folder
    message = f"There is no {ROOT_FILE} in {start} or above it."
    raise NotFound("WORKSPACE_NOT_FOUND", message, hint="Run `pilotage init DIR`, or give --workspace DIR.")


def read_workspace_files(root: Path) -> dict[str, bytes]:
    """Return the declared files of the folder; raise InvalidFiles with everything that cannot be read."""
    if not root.is_dir():
        message = f"The workspace folder {root} does not exist."
        raise NotFound("WORKSPACE_NOT_FOUND", message, hint="Run `pilotage init DIR`, or give --workspace DIR.")
    files: dict[str, bytes] = {}
    problems: list[Problem] = []
    for path in _walk(root, root, problems):
        name = path.relative_to(root).as_posix()
        if len(files) >= MAX_FILES:
            problems.append(
                _problem(name, f"The workspace has more than {MAX_FILES:,} files", "Remove what is not used.")
            )
            break
        data = _read(path, name, problems)
        if data is not None:
            files[name] = data
    _check_case(files, problems)
    if problems:
        raise InvalidFiles(tuple(sorted(problems)))
    return files


def read_declared_file(root: Path, name: str) -> bytes | None:
    """Return one file directly in the folder as it is now, None when there is none; raise InvalidFiles."""
    if not os.path.lexists(root / name):
        return None
    problems: list[Problem] = []
    data = _read(root / name, name, problems)
    if data is None:
        raise InvalidFiles(tuple(problems))
    return data


def _problem(name: str, what: str, hint: str) -> Problem:
    return Problem(file=name, line=0, what=what, hint=hint)


def _walk(folder: Path, root: Path, problems: list[Problem]) -> Iterator[Path]:
    """Yield the files to read, in a fixed order, without following a link."""
    for entry in sorted(os.scandir(folder), key=lambda found: os.fsencode(found.name)):
        path = Path(entry.path)
        name = path.relative_to(root).as_posix()
        if entry.name.startswith("."):
            continue
        if not _is_plain_name(entry.name):
            problems.append(_problem(ascii(name)[1:-1], "The name cannot be used", _TEXT))
        elif entry.is_symlink():
            problems.append(_problem(name, "This is a symbolic link", "Copy the file itself into the workspace."))
        elif entry.is_dir(follow_symlinks=False):
            if _is_corpus_documents(name):
                acl = path / "acl.yaml"
                yield from (acl,) if acl.exists() or acl.is_symlink() else ()
            else:
                yield from _walk(path, root, problems)
        elif path.suffix in _SUFFIXES:
            yield path


def _is_plain_name(name: str) -> bool:
    return name.isprintable() and "\\" not in name and unicodedata.is_normalized("NFC", name)


def _is_corpus_documents(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 3 and parts[0] == "corpora"


def _read(path: Path, name: str, problems: list[Problem]) -> bytes | None:
    """Read one regular file without following a link, also when it is replaced meanwhile."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        problems.append(_problem(name, f"The file cannot be opened: {error.strerror}", "Check its permissions."))
        return None
    with os.fdopen(handle, "rb") as file:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            problems.append(_problem(name, "This is not a regular file", "Remove it."))
            return None
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        problems.append(_problem(name, f"The file has more than {MAX_FILE_BYTES:,} bytes", "Make it smaller."))
        return None
    return data


def _check_case(files: dict[str, bytes], problems: list[Problem]) -> None:
    """Refuse names that are one file on another machine (gates.md 1.2)."""
    seen: dict[str, str] = {}
    for name in files:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            problems.append(_problem(name, f"The name differs from {other!r} in case only", "Rename one of them."))

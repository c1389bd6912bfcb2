"""The golden files of a workflow as they are on disk now: read, found again, written in one step.

Rule: a file is replaced whole and its folder is synced before anybody says that a line stands in it. Fail mode: every
mistake of a file as `file:line`; a candidate whose line stands there already, undecided, is pointed out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pilotage.control.instance import Instance
from pilotage.core.canonical import CanonicalError, Json, parse_json
from pilotage.core.errors import Conflict, UsageError
from pilotage.core.located import Problems
from pilotage.evaluation.candidate import Candidate
from pilotage.workspace.golden import GoldenFile, Purpose
from pilotage.workspace.golden_file import parse_golden
from pilotage.workspace.workflow import Workflow

_MAX_DEPTH: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenFolder:
    """Each file with its bytes and those of its meta, and what they say. `shown` is its path in the workspace."""

    path: Path
    shown: str
    files: Mapping[str, tuple[bytes, bytes | None]]
    golden: Mapping[str, GoldenFile]

    def joined(self, name: str, rows: bytes) -> GoldenFile:
        """Return the named file as it is with these rows; raise InvalidFiles with all mistakes."""
        if rows == self.files[name][0]:
            return self.golden[name]
        problems = Problems()
        found = _parse(self.shown, name, (rows, self.files[name][1]), problems)
        problems.raise_if_any()
        return found

    def stewards(self, name: str | None = None) -> frozenset[str]:
        """Return who decides about the cases of a file, of any file without a name; empty when nobody is named."""
        found = (one.steward for one in self.golden.values() if name in {None, one.name})
        return frozenset(one for one in found if one is not None)


def open_folder(instance: Instance, workflow: Workflow) -> GoldenFolder:
    """Read a workflow's golden files, each once; raise InvalidFiles with all mistakes."""
    shown = f"workflows/{workflow.name}/golden"
    path = instance.root / shown
    files: dict[str, tuple[bytes, bytes | None]] = {}
    for file in sorted(path.glob("*.jsonl")):
        meta = file.with_suffix(".meta.yaml")
        files[file.stem] = (file.read_bytes(), meta.read_bytes() if meta.is_file() else None)
    problems = Problems()
    golden = {name: _parse(shown, name, held, problems) for name, held in files.items()}
    problems.raise_if_any()
    return GoldenFolder(path=path, shown=shown, files=files, golden=golden)


def _parse(shown: str, name: str, held: tuple[bytes, bytes | None], problems: Problems) -> GoldenFile:
    rows, meta = held
    return parse_golden(name, rows, meta, file=f"{shown}/{name}.jsonl", problems=problems)


def file_name(folder: GoldenFolder, wanted: str | None) -> str:
    """Return the file a case joins: the named one, or the only one that releases are measured by."""
    names = [one.name for one in folder.golden.values() if one.purpose is Purpose.RELEASE]
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None or wanted not in folder.files:
        known = ", ".join(sorted(folder.files)) or "none"
        message = "Several golden files could hold the case." if wanted is None else f"There is no {wanted[:80]!r}."
        raise UsageError("GOLDEN_UNKNOWN", message, hint=f"Name one with --golden: {known}.")
    return wanted


def require_no_line(folder: GoldenFolder, candidate: Candidate, *, but: tuple[str, bytes] | None = None) -> None:
    """Raise Conflict when an acceptance that was cut short left the candidate's line; `but`, of one file, may stand."""
    for name, (rows, _) in folder.files.items():
        for number, line in enumerate(rows.split(b"\n"), 1):
            if (name, line) != but and _is_of(line, candidate):
                message = (
                    f"{folder.shown}/{name}.jsonl:{number} holds a case of this candidate: an acceptance was cut short."
                )
                hint = "Accept it as it stands there, or remove the line and decide again."
                raise Conflict("CASE_STANDS", message, hint=hint)


def _is_of(line: bytes, candidate: Candidate) -> bool:
    try:
        row = parse_json(line, max_depth=_MAX_DEPTH) if line.strip() else None
    except CanonicalError:
        return False
    if not isinstance(row, Mapping) or row.get("id") != candidate.row["id"]:
        return False
    asker = candidate.row["as"]
    if row.get("question") != candidate.question or (asker is not None and row.get("as") != asker):
        return False
    return _origin(row) == _origin(candidate.row)


def _origin(row: Mapping[str, Json]) -> dict[str, Json]:
    origin = row.get("provenance")
    return {name: value for name, value in origin.items() if name != "reviewer"} if isinstance(origin, Mapping) else {}

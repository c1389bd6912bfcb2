"""`pilotage space render`: the files that run a space on Kubernetes, what stands in their way, and what would change.

Rule: the workspace alone decides; equal workspaces give equal bytes, and no secret is in them. In a folder only files
that an earlier call wrote for this space, where this form writes them, are replaced or removed. Fail mode: NotFound, or
UsageError that says what to write; a folder with another space's files there, or with somebody else's file of that
name, is left alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pilotage.adapters.files import put_file
from pilotage.adapters.targets.findings import findings
from pilotage.adapters.targets.placed import MARK, mark_of, place
from pilotage.adapters.targets.rendering import Form, is_place, render
from pilotage.core.canonical import Json
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.workspace.records import Workspace

_HEAD = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The files of a space by their names; `warnings` are what would keep them from running as declared."""

    space: SpaceName
    target: Form
    files: Mapping[str, str]
    warnings: tuple[Reason, ...]

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "space": self.space,
            "target": self.target.value,
            "files": dict(self.files),
            "warnings": [one.as_json() for one in self.warnings],
        }


def render_space(workspace: Workspace, *, space: str, target: Form) -> Rendered:
    """Return the files of a declared space."""
    found = workspace.spaces.get(SpaceName(space))
    if found is None:
        known = ", ".join(workspace.order)
        raise NotFound("SPACE_UNKNOWN", f"There is no space {space!r}.", hint=f"Declared: {known}.")
    placed = place(workspace, found)
    return Rendered(space=found.name, target=target, files=render(placed, target), warnings=findings(placed))


def read_rendered(folder: Path, *, space: SpaceName, target: Form) -> dict[str, str]:
    """Return what an earlier call for this space and target left in the folder, by name; UsageError for another's."""
    if not folder.is_dir():
        if folder.exists():
            raise UsageError("FOLDER_TAKEN", f"{folder} is not a folder.", hint="Name another one.")
        return {}
    found: dict[str, str] = {}
    others: list[str] = []
    for path in sorted(path for path in (*folder.glob("*"), *folder.glob("templates/*")) if path.is_file()):
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8", errors="replace") if is_place(name, target) else ""
        if mark_of(space) in text[:_HEAD]:
            found[name] = text
        elif MARK in text[:_HEAD]:
            others.append(name)
    if others:
        message = f"{folder} holds {', '.join(others)}, rendered for another space than {space}."
        raise UsageError("FOLDER_OF_ANOTHER", message, hint=f"Write --out {folder / space}, or move that away.")
    return found


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a unified diff of what would change, empty when nothing would."""
    lines: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        lines += difflib.unified_diff(
            (old or "").splitlines(keepends=True),
            (new or "").splitlines(keepends=True),
            "/dev/null" if old is None else f"before/{name}",
            "/dev/null" if new is None else f"after/{name}",
        )
    return "".join(lines)


def write_rendered(folder: Path, before: Mapping[str, str], after: Mapping[str, str]) -> None:
    """Write the files and remove those of `before` that are no more; UsageError for a file that is not ours."""
    taken = [name for name in after if name not in before and (folder / name).exists()]
    if taken:
        message = f"{folder} holds {', '.join(taken)}, which this command did not write."
        raise UsageError("FILE_TAKEN", message, hint="Name another folder, or move that away.")
    for name, text in after.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if before.get(name) != text:
            put_file(path, text.encode())
    for name in before.keys() - after.keys():
        (folder / name).unlink()

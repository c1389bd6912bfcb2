"""Loads a workspace folder: reads the files and parses them. Fail mode: InvalidFiles with every mistake at once."""

from __future__ import annotations

from pathlib import Path

from pilotage.adapters.workspace_files import find_root, read_workspace_files
from pilotage.workspace.parse import parse_workspace
from pilotage.workspace.records import Workspace


def load_workspace(root: Path) -> Workspace:
    """Return the workspace declared in the folder `root`."""
    return parse_workspace(read_workspace_files(root))


def find_workspace(start: Path) -> tuple[Path, Workspace]:
    """Return the nearest workspace at or above `start`: its root and what it declares."""
    root = find_root(start.resolve())
    return root, load_workspace(root)

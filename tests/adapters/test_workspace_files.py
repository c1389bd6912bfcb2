"""A workspace folder is read whole: links, odd names and oversize files are refused, corpora documents left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pilotage.adapters import workspace_files
from pilotage.adapters.workspace_files import find_root, read_workspace_files
from pilotage.control.load_workspace import find_workspace
from pilotage.core.errors import InvalidFiles, NotFound


def put(root: Path, name: str, data: bytes = b"x: 1\n") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_declared_files_are_read_by_their_posix_path(tmp_path: Path) -> None:
    for name in ("pilotage.yaml", "spaces/a.yaml", "workflows/w/golden/x.jsonl", "workflows/w/prompt.md"):
        put(tmp_path, name)
    put(tmp_path, "corpora/c/documents/acl.yaml", b"acl")
    put(tmp_path, "corpora/c/documents/deep/report.md")
    put(tmp_path, "corpora/c/rows/rows.jsonl")
    put(tmp_path, "corpora/c/corpus.yaml")
    put(tmp_path, ".git/config.yaml")
    put(tmp_path, "logo.png", b"\x89PNG")
    found = read_workspace_files(tmp_path)
    assert sorted(found) == [
        "corpora/c/corpus.yaml",
        "corpora/c/documents/acl.yaml",
        "pilotage.yaml",
        "spaces/a.yaml",
        "workflows/w/golden/x.jsonl",
        "workflows/w/prompt.md",
    ]
    assert found["corpora/c/documents/acl.yaml"] == b"acl"


def test_links_are_refused_never_followed(tmp_path: Path) -> None:
    secret = put(tmp_path / "outside", "secret.yaml", b"password")
    root = tmp_path / "inside"
    put(root, "pilotage.yaml")
    (root / "stolen.yaml").symlink_to(secret)
    (root / "spaces").symlink_to(secret.parent)
    acl = root / "corpora" / "c" / "documents" / "acl.yaml"
    acl.parent.mkdir(parents=True)
    acl.symlink_to(secret)
    with pytest.raises(InvalidFiles) as caught:
        read_workspace_files(root)
    assert [problem.file for problem in caught.value.problems] == [
        "corpora/c/documents/acl.yaml",
        "spaces",
        "stolen.yaml",
    ]
    assert "password" not in caught.value.message


def test_odd_names_pipes_and_oversize_files_are_refused_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace_files, "MAX_FILE_BYTES", 100)
    put(tmp_path, "pilotage.yaml")
    put(tmp_path, "big.yaml", b"x" * 101)
    put(tmp_path, "cafe\u0301.yaml")
    put(tmp_path, "a\\b.yaml")
    put(tmp_path, "new\nline.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    put(tmp_path, "Same.yaml")
    put(tmp_path, "same.yaml")
    with pytest.raises(InvalidFiles) as caught:
        read_workspace_files(tmp_path)
    assert [str(problem).partition(". ")[0] for problem in caught.value.problems] == [
        "a\\\\b.yaml: The name cannot be used",
        "big.yaml: The file has more than 100 bytes",
        "cafe\\u0301.yaml: The name cannot be used",
        "new\\nline.yaml: The name cannot be used",
        "pipe.yaml: This is not a regular file",
        "same.yaml: The name differs from 'Same.yaml' in case only",
    ]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_files, "MAX_FILES", 2)
    for name in "abc":
        put(tmp_path, f"{name}.yaml")
    with pytest.raises(InvalidFiles, match="more than 2 files"):
        read_workspace_files(tmp_path)


def test_the_nearest_workspace_above_is_found(tmp_path: Path) -> None:
    put(tmp_path, "pilotage.yaml", b"x: 1")
    below = tmp_path / "spaces" / "deep"
    below.mkdir(parents=True)
    assert find_root(below) == tmp_path
    with pytest.raises(InvalidFiles):
        find_workspace(below)


def test_a_folder_without_a_workspace_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="pilotage init"):
        find_root(tmp_path)
    with pytest.raises(NotFound, match="does not exist"):
        read_workspace_files(tmp_path / "nothing")

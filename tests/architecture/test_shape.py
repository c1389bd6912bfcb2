"""The caps of the style guide hold, because they are a test."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "pilotage").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "manager", "common", "base"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_source_file_has_one_topic_and_at_most_600_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600
    assert path.stem not in FORBIDDEN_NAMES


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_test_file_has_at_most_800_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 800


def _functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[1] if ast.get_docstring(function) and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def test_functions_stay_within_forty_lines() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name} {_body_lines(function)}"
        for path in SOURCES
        for function in _functions(ast.parse(path.read_text()))
        if _body_lines(function) > 40
    ]
    assert long == []


def test_our_own_code_is_imported_at_the_top_of_a_file_only() -> None:
    hidden = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for function in _functions(ast.parse(path.read_text()))
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pilotage")
    ]
    assert hidden == []


def test_packages_hold_nothing_but_their_docstring() -> None:
    allowed = {ROOT / "src" / "pilotage" / "__init__.py"}
    full = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.name == "__init__.py" and path not in allowed and len(ast.parse(path.read_text()).body) > 1
    ]
    assert full == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path.relative_to(ROOT)) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_only_the_clock_adapter_reads_the_time() -> None:
    pattern = re.compile(r"datetime\.(now|utcnow|today)\(|date\.today\(")
    readers = [str(path.relative_to(ROOT)) for path in SOURCES if pattern.search(path.read_text())]
    assert readers == ["src/pilotage/adapters/clock.py"]


def test_nothing_unpickles() -> None:
    pattern = re.compile(r"^\s*(import|from) (pickle|marshal|shelve|dill)\b|allow_pickle=True", re.MULTILINE)
    assert [str(path.relative_to(ROOT)) for path in SOURCES if pattern.search(path.read_text())] == []


def test_the_rooms_follow_the_flow() -> None:
    done = subprocess.run(
        [str(Path(".venv/bin/lint-imports")) if (ROOT / ".venv/bin/lint-imports").exists() else "lint-imports"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]

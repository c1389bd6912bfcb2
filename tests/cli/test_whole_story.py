"""The commands as a new user runs them: from `init` to an explained answer, a takedown with its proof, the ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pilotage.core.digest import digest_of

Run = Callable[..., tuple[int, Any, str]]
MARKER = "The zebra quota of the Dunmore branch is seventeen umbrellas and four brass kettles per quarter."


@pytest.fixture(scope="module")
def home(open_folder: Path) -> Path:
    return open_folder / "cli-home"


@pytest.fixture(scope="module")
def run(open_folder: Path, home: Path) -> Run:
    environ = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "PILOTAGE_AS"}}
    environ |= {"PILOTAGE_HOME": str(home), "COLUMNS": "200"}
    folder = open_folder / "my-bank"

    def call(*arguments: str, where: Path | None = None, as_json: bool = True) -> tuple[int, Any, str]:
        command = [sys.executable, "-m", "pilotage", *arguments, *(["--json"] if as_json else [])]
        done = subprocess.run(
            command, cwd=where or folder, env=environ, capture_output=True, text=True, timeout=240, check=False
        )
        out = json.loads(done.stdout) if as_json and done.stdout else done.stdout
        return done.returncode, out, done.stderr

    code, _, _ = call("init", str(folder), "--template", "minimal", where=open_folder)
    assert code == 0
    (folder / "corpora/handbook/documents/zebra.md").write_text(f"# Zebra quota\n\n{MARKER}\n" + "A plain line.\n" * 9)
    acl = folder / "corpora/handbook/documents/acl.yaml"
    acl.write_text(acl.read_text() + '"zebra.md": [group:lending]\n')
    return call


@pytest.mark.feature("D1.6", "D8.5", "R2.2")
def test_the_whole_story(run: Run, home: Path, open_folder: Path) -> None:
    assert run("validate")[0] == 0
    code, refreshed, _ = run("corpus", "refresh", "handbook", "--as", "ada")
    assert (code, refreshed["version"], refreshed["state"], refreshed["rejected"]) == (0, 1, "proposed", [])
    code, _, stderr = run("release", "seal", "assistant", "--as", "ada")
    assert code == 1
    assert "SEAL_CORPUS_NOT_ACCEPTED" in stderr
    assert "pilotage release seal assistant" in run("ask", "assistant", "Who?", "--as", "ada")[2]
    assert run("corpus", "accept", "handbook", "1", "--as", "ben")[1]["state"] == "accepted"
    code, sealed, _ = run("release", "seal", "assistant", "--as", "ada")
    assert (code, sealed["created"], sealed["serving"]) == (0, True, ["sandbox"])
    assert run("release", "seal", "assistant", "--as", "ada")[1]["created"] is False
    assert run("release", "verify", sealed["digest"])[1]["verified"] is True

    question = "What is the zebra quota of the Dunmore branch for 536-90-8726?"
    code, answer, _ = run("ask", "assistant", question, "--as", "ada")
    assert code == 0
    assert answer["answer"].startswith(MARKER)
    assert answer["citations"][0]["document"] == "zebra.md"
    assert answer["release"] == sealed["digest"]
    code, hidden, _ = run("ask", "assistant", question, "--as", "ben")
    assert (code, hidden["refused"], hidden["citations"]) == (0, True, [])
    assert run("corpus", "search", "handbook", "zebra quota", "--as", "ben")[1]["passages"] == []

    chain = run("explain", answer["interaction"], "--as", "ada")[1]
    assert chain["release"]["digest"] == sealed["digest"]
    assert (chain["passages"][0]["document"], _read_from(chain["passages"][0], open_folder)) == ("zebra.md", True)
    assert "536-90-8726" not in json.dumps(chain)
    assert (chain["proof"][0]["opens"], chain["proof"][0]["erased"]) == ({"question": True, "answer": True}, [])
    told = run("explain", answer["interaction"], "--as", "ada", as_json=False)[1]
    assert "question as recorded, answer as recorded" in told
    assert all(words in told for words in ("Asked by", "zebra.md", "handbook version 1", "words alone"))
    assert not any(raw in told for raw in ("{'", "None", "t_retrieve"))
    code, seen, _ = run("explain", answer["interaction"], "--as", "ben")  # data-governance lead, no reader of it
    assert (code, seen["interaction"], seen["allowed"]) == (0, answer["interaction"], {})
    assert "zebra.md" not in json.dumps(seen["passages"])
    assert run("feedback", answer["interaction"], "up", "--as", "ada")[0] == 0

    code, gone, _ = run("corpus", "takedown", "handbook", "zebra.md", "--reason", "A mistake.", "--as", "ben", "--wait")
    assert code == 0
    assert (gone["state"], gone["proof"]["hits"], gone["versions_affected"]) == ("purged", 0, [1])
    assert gone["proof"]["shingles"] > 0
    after = run("explain", answer["interaction"], "--as", "ada")[1]["proof"][0]
    assert (after["opens"], after["erased"]) == ({}, ["answer", "question"]), "erased is not changed"
    assert "answer erased, question erased" in run("explain", answer["interaction"], "--as", "ada", as_json=False)[1]
    assert _files_holding(home, MARKER[:40].encode()) == []
    assert _files_holding(home, b"536-90-8726") == []
    assert run("ask", "assistant", question, "--as", "ada")[1]["refused"] is True
    code, again, _ = run("corpus", "refresh", "handbook", "--as", "ada")
    assert ("zebra.md", "taken_down") in {
        (one["id"], one["reason"].split()[0].rstrip(":")) for one in again["rejected"]
    }
    assert run("ledger", "verify")[1]["verified"] is True
    code, health, _ = run("doctor")
    assert (code, health["findings"]) == (0, [])
    assert health["work"]["due"] == 0, "a purge that was waited for is no work left"


def _read_from(passage: dict[str, Any], folder: Path) -> bool:
    """Tell whether a passage says that it was read from the bytes of its file."""
    raw = (folder / "my-bank/corpora/handbook/documents" / passage["document"]).read_bytes()
    wanted = {"connector": "folder", "source_id": passage["document"], "raw_sha256": digest_of(raw)}
    return bool(wanted.items() <= passage["lineage"].items())


def _files_holding(folder: Path, needle: bytes) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("ask", "nothing", "x", "--as", "ada"), 2, "Declared here: assistant."),
        (("ask", "assistant", "x", "--as", "ada", "--space", "nowhere"), 2, "Declared in spaces/: sandbox."),
        (("ask", "assistant", "x"), 2, "--as PERSON"),
        (
            ("corpus", "refresh", "handbook", "--as", "ada", "--from", "nowhere"),
            2,
            "Write --from with a folder or file",
        ),
        (("corpus", "search", "handbook"), 2, "Missing argument 'QUESTION'."),
        (("ask", "assistant", "x", "--as", "adda"), 2, "ada"),
        (("corpus", "search", "handbook", "x", "--as", "ada", "--as-of", "tomorrow"), 2, "YYYY-MM-DD"),
        (("release", "show", "abc"), 2, "release list"),
        (("up", "--host", "0.0.0.0"), 2, "127.0.0.1"),
        (("ledger", "verify", "--export", "nowhere"), 2, "nowhere"),
    ],
)
def test_a_mistake_is_answered_with_what_to_write(run: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    found, out, stderr = run(*arguments)
    assert found == code, stderr
    assert words in stderr or words in json.dumps(out)


def test_every_mistake_in_the_workspace_is_named_at_once(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    assert run("init", str(folder), "--template", "minimal", where=tmp_path)[0] == 0
    corpus = folder / "corpora/handbook/corpus.yaml"
    corpus.write_text(corpus.read_text().replace("owner: ada", "ownr: ada").replace("region: local\n", ""))
    code, _, stderr = run("validate", where=folder)
    assert code == 2
    assert "corpora/handbook/corpus.yaml:2" in stderr
    assert "region" in stderr

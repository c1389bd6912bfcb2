"""A release pinned to `NAME@N` answers from that version: what a regulation said in a year, asked years later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pilotage.app import Joined
from pilotage.cli.runtime import Question
from pilotage.cli.workspace import write_template
from pilotage.control.instance import Instance
from pilotage.control.open_instance import Opening, open_instance
from pilotage.control.refresh_corpus import RefreshResult, refresh_corpus
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.seal_release import Sealed, seal_release
from pilotage.core.ids import CorpusName, PersonId
from pilotage.workspace.principals import local_principal

pytestmark = pytest.mark.store
CORPUS = CorpusName("handbook")


@pytest.fixture
def regulations(shared_data: Path) -> Path:
    folder = shared_data / "demo" / "cfpb-regulations-text"
    if not folder.is_dir():
        pytest.skip(f"the regulations are not here: {folder}")
    return folder


@pytest.fixture
def folder(open_folder: Path) -> Path:
    made = open_folder / "asked-at-version"
    write_template("minimal", made / "bank")
    with (made / "bank/corpora/handbook/corpus.yaml").open("a") as file:
        file.write("fields: {id: section, title: heading}\nacl: [group:everyone]\n")
    return made


@contextmanager
def opened(folder: Path, url: str) -> Iterator[Instance]:
    environ = {"DATABASE_URL": url, "PILOTAGE_HOME": str(folder / "home")}
    with open_instance(Opening(start=folder / "bank", environ=environ)) as instance:
        yield instance


def refreshed(instance: Instance, regulations: Path, part: str) -> dict[str, int]:
    """Take every edition of a part in, in order; return the version of each."""
    numbers: dict[str, int] = {}
    steward = local_principal(instance.workspace, PersonId("ben"))
    for entry in json.loads((regulations / "VERSIONS.json").read_text()):
        source = regulations / f"{entry['part']}_{entry['version']}.jsonl"
        if entry["part"] != part or not source.is_file():
            continue
        done = refresh_corpus(instance, actor=steward, corpus=CORPUS, source=source, accept=True, tools=RefreshTools())
        assert isinstance(done, RefreshResult)
        assert done.version is not None
        numbers[entry["version"]] = done.version
    return numbers


def asked(folder: Path, url: str, version: int, question: str) -> dict[str, Any]:
    """Pin the workflow to a version, seal, and ask as a person."""
    (folder / "bank/workflows/assistant/retrieval.yaml").write_text(f"corpus: {{uat: {CORPUS}@{version}}}\ntop_k: 5\n")
    with opened(folder, url) as instance:
        ada = local_principal(instance.workspace, PersonId("ada"))
        assert isinstance(seal_release(instance, actor=ada, workflow="assistant"), Sealed)
        return Joined().ask(instance, ada, Question(workflow="assistant", text=question))


def test_each_known_fact_is_answered_from_the_version_it_stood_in(
    folder: Path, database_url: str, regulations: Path
) -> None:
    facts = json.loads((regulations / "version_facts.json").read_text())
    assert {fact["part"] for fact in facts} == {"1003"}
    with opened(folder, database_url) as instance:
        numbers = refreshed(instance, regulations, "1003")
    for fact in facts:
        version = numbers[fact["version"]]
        answer = asked(folder, database_url, version, fact["question"])
        assert (answer["refused"], answer["corpus_version"]) == (False, version), answer
        assert fact["answer"] in answer["answer"], (fact, answer)
        said = " ".join([answer["answer"], *(citation["quote"] for citation in answer["citations"])])
        assert " ".join(fact["quote"].split()) in " ".join(said.split()), (fact, answer)
        assert fact["section"] in {citation["document"] for citation in answer["citations"]}

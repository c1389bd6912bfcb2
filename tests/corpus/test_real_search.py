"""A question about a past rule finds the text of its own version, and nothing of what a person may not see."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pilotage.control.search_corpus import Search, search_corpus
from pilotage.core.errors import NotFound, UsageError
from pilotage.corpus.settings import AclRule

FIELDS = {"id": "section", "title": "heading"}


@pytest.fixture(scope="session")
def regulations(shared_data: Path) -> Path:
    return shared_data / "demo" / "cfpb-regulations-text"


def _facts(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "version_facts.json").read_text())
    return found


def test_each_fact_is_found_at_its_version(bank: Any, make_settings: Any, make_person: Any, regulations: Path) -> None:
    facts = _facts(regulations)
    entries = json.loads((regulations / "VERSIONS.json").read_text())
    numbers: dict[tuple[str, str], int] = {}
    for part in sorted({fact["part"] for fact in facts}):
        name = bank.declare(make_settings(f"facts-{part}", fields=FIELDS))
        files = [e for e in entries if e["part"] == part and (regulations / f"{part}_{e['version']}.jsonl").is_file()]
        for number, entry in enumerate(files, start=1):
            bank.refresh(name, regulations / f"{part}_{entry['version']}.jsonl")
            numbers[(part, entry["version"])] = number
    missed = []
    for fact in facts:
        wanted = Search(question=fact["question"], version=numbers[(fact["part"], fact["version"])], top=10)
        passages = search_corpus(bank.instance, actor=make_person("ann"), corpus=f"facts-{fact['part']}", wanted=wanted)
        if not any(" ".join(fact["quote"].split()) in " ".join(one.text.split()) for one in passages):
            missed.append((fact["version"], fact["question"]))
    assert missed == []


def _write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"# {name}\n\n{text}\n")


def test_a_person_finds_only_what_they_may_read(bank: Any, make_settings: Any, make_person: Any) -> None:
    rules: list[tuple[str, tuple[str, ...]]] = [("open/*", ("group:everyone",)), ("hr/*", ("group:hr",))]
    name = bank.declare(make_settings("permitted", acl=(), acl_rules=_rules(rules)))
    folder = bank.folder(name)
    for place in ("open", "hr", "nobody"):
        (folder / place).mkdir()
        _write(folder / place, "leave.md", f"Parental leave lasts sixteen weeks in {place} documents of the bank.")
    bank.refresh(name)
    asked = Search(question="How many weeks of parental leave?")

    def documents(*groups: str) -> list[str]:
        found = search_corpus(bank.instance, actor=make_person("ann", *groups), corpus=name, wanted=asked)
        return sorted(passage.document for passage in found)

    assert documents() == ["open/leave.md"]
    assert documents("hr") == ["hr/leave.md", "open/leave.md"]


def _rules(pairs: list[tuple[str, tuple[str, ...]]]) -> Any:
    return tuple(AclRule(glob=glob, names=names) for glob, names in pairs)


def test_an_unknown_version_or_count_says_what_to_write(bank: Any, make_settings: Any, make_person: Any) -> None:
    name = bank.declare(make_settings("versions"))
    _write(bank.folder(name), "a.md", "A wire takes one day to arrive at the other bank.")
    bank.refresh(name)
    ann = make_person("ann")
    with pytest.raises(NotFound, match="Accepted versions: 1"):
        search_corpus(bank.instance, actor=ann, corpus=name, wanted=Search(question="wire", version=7))
    with pytest.raises(UsageError, match="1 to 50"):
        search_corpus(bank.instance, actor=ann, corpus=name, wanted=Search(question="wire", top=0))
    with pytest.raises(NotFound, match="no corpus"):
        search_corpus(bank.instance, actor=ann, corpus="nowhere", wanted=Search(question="wire"))
    past = Search(question="wire", as_of=date(2020, 1, 1))
    assert len(search_corpus(bank.instance, actor=ann, corpus=name, wanted=past)) == 1

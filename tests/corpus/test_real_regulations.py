"""Thirty-two real consumer-finance regulation files refresh as successive versions, with the known differences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pilotage.control.corpus_reports import diff_versions, list_versions
from pilotage.control.refresh_corpus import RefreshResult
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import History
from pilotage.store.corpora import version_of

FIELDS = {"id": "section", "title": "heading"}


@pytest.fixture(scope="session")
def regulations(shared_data: Path) -> Path:
    return shared_data / "demo" / "cfpb-regulations-text"


def versions(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of VERSIONS.json whose file exists, by part, in order."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads((folder / "VERSIONS.json").read_text()):
        if (folder / f"{entry['part']}_{entry['version']}.jsonl").is_file():
            parts.setdefault(entry["part"], []).append(entry)
    return parts


def conflicting(result: RefreshResult) -> int:
    return result.findings.get("conflicting_effective_dates", 0)


def conflict_ids(bank: Any, corpus: str, number: int) -> list[str]:
    (version,) = (v for v in list_versions(bank.instance, corpus=CorpusName(corpus)).versions if v.number == number)
    summary: Any = version.summary
    return sorted(summary["quality"]["findings"]["conflicting_effective_dates"]["ids"])


def test_every_file_is_a_version_and_its_diff_is_the_published_one(
    bank: Any, make_settings: Any, regulations: Path
) -> None:
    same_day: list[tuple[str, str]] = []
    files = 0
    for part, entries in versions(regulations).items():
        name = bank.declare(make_settings(f"part-{part}", fields=FIELDS))
        for number, entry in enumerate(entries, start=1):
            result = bank.refresh(name, regulations / f"{part}_{entry['version']}.jsonl")
            files += 1
            assert (result.version, result.state) == (number, "accepted")
            assert [(one.id, one.reason) for one in result.rejected] == [("line 1", "it has no id")]
            assert result.chunks > 0
            if "diff_from" in entry:
                diff = diff_versions(bank.instance, actor=bank.steward, corpus=CorpusName(name), a=number - 1, b=number)
                assert entry["diff_from"] == entries[number - 2]["version"]
                assert list(diff.diff.added) == sorted(entry["added"])
                assert list(diff.diff.removed) == sorted(entry["removed"])
                assert list(diff.diff.changed) == sorted(entry["changed"])
                assert (result.added, result.removed, result.changed) == (
                    len(entry["added"]), len(entry["removed"]), len(entry["changed"])
                )  # fmt: skip
            if "diff_from" in entry and conflicting(result):
                assert conflict_ids(bank, name, number) == sorted(entry["changed"])
                same_day.append((part, entry["effective_date"]))
    assert files == 32
    assert same_day == [
        ("1003", "2016-01-01"),
        ("1003", "2018-01-01"),
        ("1005", "2013-10-28"),
        ("1005", "2013-10-28"),
    ]


def quoted(bank: Any, corpus: str, where: str, **values: object) -> set[str]:
    """Return the documents of visible chunks that hold the quote."""
    with bank.instance.engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT DISTINCT r.document FROM revision r JOIN chunk c ON c.corpus = r.corpus AND c.rev = r.rev"
                " JOIN chunk_text t ON t.corpus = c.corpus AND t.content_hash = c.content_hash"
                f" WHERE r.corpus = :corpus AND {where} AND position(:quote in t.body) > 0"
            ),
            {"corpus": corpus, **values},
        )
        return set(rows.scalars())


def test_every_known_fact_stands_in_its_own_version(bank: Any, make_settings: Any, regulations: Path) -> None:
    facts = json.loads((regulations / "version_facts.json").read_text())
    entries = versions(regulations)["1003"]
    name = bank.declare(make_settings("facts-1003", fields=FIELDS))
    numbers: dict[str, int] = {}
    for entry in entries:
        numbers[entry["version"]] = bank.refresh(name, regulations / f"1003_{entry['version']}.jsonl").version
    for fact in facts:
        revs = revisions(bank, name, numbers[fact["version"]])
        assert fact["section"] in quoted(bank, name, "r.rev = ANY(:revs)", revs=revs, quote=fact["quote"])


def test_with_dated_history_every_fact_but_the_replaced_one_is_in_force_on_its_day(
    bank: Any, make_settings: Any, regulations: Path
) -> None:
    facts = json.loads((regulations / "version_facts.json").read_text())
    name = bank.declare(make_settings("dated-1003", fields=FIELDS, history=History.DATED))
    last = 0
    for entry in versions(regulations)["1003"]:
        last = bank.refresh(name, regulations / f"1003_{entry['version']}.jsonl").version
    revs = revisions(bank, name, last)
    day = (
        "r.rev = ANY(:revs) AND (r.effective_from IS NULL OR r.effective_from <= :day)"
        " AND (r.effective_to IS NULL OR r.effective_to > :day)"
    )
    found = {
        fact["version"]: fact["section"]
        in quoted(bank, name, day, revs=revs, day=fact["effective_date"], quote=fact["quote"])
        for fact in facts
    }
    assert {version for version, is_found in found.items() if not is_found} == {"2015-32285"}


def revisions(bank: Any, corpus: str, number: int) -> list[int]:
    with bank.instance.engine.connect() as connection:
        version = version_of(connection, CorpusName(corpus), number)
    assert version is not None
    return list(version.revisions)

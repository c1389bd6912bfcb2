"""A limit on the age of ACLs is kept where it is written, and a refresh that finds them unchanged confirms them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from pilotage.control.corpus_reports import diff_versions
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.search_corpus import Search, search_corpus
from pilotage.core.errors import Unavailable
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import (
    Classification,
    CorpusSettings,
    DataStage,
    SourceKind,
    acl_limit_s,
    inherit_limits,
)
from pilotage.testing.connectors import MemoryConnector, MemoryDocument

AGE, TICK = timedelta(hours=1), timedelta(microseconds=1)
ASKED = Search(question="how long do wires take")


def test_an_acl_must_have_been_confirmed_within_the_limit_and_whenever_without_one(make_settings: Any) -> None:
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    assert make_settings("a", acl_max_age_s=3600).confirmed_since(now) == now - AGE
    assert make_settings("a").confirmed_since(now) is None


@pytest.mark.parametrize(
    ("written", "classification", "elsewhere", "limit"),
    [
        (None, Classification.RESTRICTED, False, None),
        (None, Classification.INTERNAL, True, 86_400),
        (None, Classification.RESTRICTED, True, 900),
        (60, Classification.INTERNAL, False, 60),
        (172_800, Classification.RESTRICTED, True, 172_800),
    ],
)
def test_a_written_limit_is_always_kept_and_the_default_is_for_acls_of_another_system(
    written: int | None, classification: Classification, *, elsewhere: bool, limit: int | None
) -> None:
    assert acl_limit_s(written, classification, has_acls_elsewhere=elsewhere) == limit


def test_an_acl_stands_from_the_moment_that_a_limit_reaches_back_to(make_settings: Any) -> None:
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert make_settings("a", acl_max_age_s=60).confirmed_since(now) == now - timedelta(minutes=1)
    assert make_settings("a").confirmed_since(now) is None


def test_no_bundled_source_has_its_acls_elsewhere() -> None:
    assert not any(kind.has_acls_elsewhere for kind in SourceKind)


def test_a_limit_is_inherited_along_a_line_and_a_circle_ends(make_settings: Any) -> None:
    def of(name: str, source: str | None, limit: int | None) -> CorpusSettings:
        made: CorpusSettings = make_settings(name, derived_from=source, acl_max_age_s=limit)
        return made

    corpora = [of("a", None, 90), of("b", "a", None), of("c", "b", 60), of("d", "e", None), of("e", "d", 30)]
    found = inherit_limits({one.name: one for one in corpora})
    assert {name: one.acl_max_age_s for name, one in found.items()} == {"a": 90, "b": 90, "c": 60, "d": 30, "e": 30}
    missing = of("x", "nowhere", None)
    assert inherit_limits({missing.name: missing}) == {missing.name: missing}


def document(body: str, *readers: str) -> MemoryDocument:
    return MemoryDocument(data=body.encode(), suffix=".txt", acl=list(readers or ("group:everyone",)))


DOCUMENTS = {"wires.txt": document("Wires take one day."), "cards.txt": document("Cards take five days.")}


@pytest.fixture
def corpus(bank: Any, make_settings: Any, fresh_name: Any) -> CorpusName:
    name: CorpusName = bank.declare(make_settings(fresh_name(), acl_max_age_s=3600))
    bank.refresh(name, MemoryConnector(documents=DOCUMENTS))
    return name


def found(bank: Any, corpus: str, person: Any) -> list[str]:
    hits = search_corpus(bank.instance, actor=person, corpus=corpus, wanted=ASKED)
    return sorted(one.document for one in hits)


def test_stale_acls_are_refused_and_an_unchanged_refresh_brings_the_documents_back(
    bank: Any, corpus: CorpusName, make_person: Any
) -> None:
    ann = make_person("ann")
    bank.clock.advance(AGE)
    assert found(bank, corpus, ann) == ["cards.txt", "wires.txt"]
    bank.clock.advance(TICK)
    with pytest.raises(Unavailable, match="was not confirmed in time") as refused:
        found(bank, corpus, ann)
    assert refused.value.code == "acl_stale"
    assert bank.refresh(corpus, MemoryConnector(documents=DOCUMENTS)).state == "unchanged"
    assert found(bank, corpus, ann) == ["cards.txt", "wires.txt"]


def test_who_never_could_see_anything_finds_nothing_as_before(
    bank: Any, make_settings: Any, fresh_name: Any, make_person: Any
) -> None:
    corpus = bank.declare(make_settings(fresh_name(), acl_max_age_s=3600))
    bank.refresh(corpus, MemoryConnector(documents={"a.txt": document("Wires take one day.", "group:board")}))
    bank.clock.advance(AGE + TICK)
    assert found(bank, corpus, make_person("eve")) == []
    with pytest.raises(Unavailable):
        found(bank, corpus, make_person("bob", "board"))


def test_a_document_that_the_refresh_did_not_find_is_not_confirmed(
    bank: Any, corpus: CorpusName, make_person: Any
) -> None:
    """It stands in the version that is served until somebody accepts the next one."""
    bank.clock.advance(AGE / 2)
    bank.refresh(corpus, MemoryConnector(documents={"wires.txt": DOCUMENTS["wires.txt"]}), accept=False)
    bank.clock.advance(AGE / 2 + TICK)
    assert found(bank, corpus, make_person("ann")) == ["wires.txt"]


def test_without_a_written_limit_nothing_ages(bank: Any, make_settings: Any, fresh_name: Any, make_person: Any) -> None:
    corpus = bank.declare(make_settings(fresh_name(), classification=Classification.RESTRICTED))
    bank.refresh(corpus, MemoryConnector(documents={"a.txt": document("Wires take one day.", "group:staff")}))
    bank.clock.advance(timedelta(days=3_000))
    assert found(bank, corpus, make_person("ann", "staff")) == ["a.txt"]


def confirmed(bank: Any, corpus: str) -> dict[str, datetime]:
    with bank.instance.engine.connect() as connection:
        rows = connection.execute(text("SELECT id, acl_confirmed_at FROM document WHERE corpus = :c"), {"c": corpus})
        return {row.id: row.acl_confirmed_at for row in rows}


def test_a_derived_copy_is_as_old_as_its_source_said(
    bank: Any, corpus: CorpusName, make_settings: Any, fresh_name: Any, make_person: Any
) -> None:
    declared = make_settings(fresh_name(), acl=(), acl_max_age_s=3600, derived_from=corpus, data_stage=DataStage.UAT)
    copy = bank.declare(declared)
    began = bank.clock.now()
    tools = RefreshTools(redact=lambda body: body)
    bank.clock.advance(AGE / 2)
    bank.refresh(corpus, MemoryConnector(documents={"wires.txt": DOCUMENTS["wires.txt"]}), accept=False)
    bank.clock.advance(AGE / 4)
    bank.refresh(copy, tools=tools)
    assert confirmed(bank, copy) == {"wires.txt": began + AGE / 2, "cards.txt": began}
    bank.clock.advance(AGE / 4 + TICK)
    assert found(bank, copy, make_person("ann")) == ["wires.txt"]


def test_the_words_of_a_diff_are_not_shown_past_the_age(bank: Any, corpus: CorpusName) -> None:
    changed = {**DOCUMENTS, "wires.txt": document("Wires take two days.")}
    bank.refresh(corpus, MemoryConnector(documents=changed))
    words = diff_versions(bank.instance, actor=bank.steward, corpus=corpus, words=True).words
    assert set(words) == {"wires.txt"}
    bank.clock.advance(AGE + TICK)
    assert diff_versions(bank.instance, actor=bank.steward, corpus=corpus, words=True).words == {}

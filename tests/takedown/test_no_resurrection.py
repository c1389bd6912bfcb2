"""What was taken down does not come back: not under its id, not under its content, not by a derived corpus."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.corpus.conftest import Bank, make_bank, settings

from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.review_version import accept_version
from pilotage.control.search_corpus import Search, search_corpus
from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.core.ids import CorpusName
from pilotage.corpus.settings import DataStage, History
from pilotage.store.corpora import StoredVersion
from pilotage.testing.connectors import MemoryConnector, MemoryDocument

pytestmark = pytest.mark.store
SAID = "The turnstile of the Dunmore branch is opened by two officers at noon."


@pytest.fixture
def bank(engine: Engine, tmp_path: Any) -> Bank:
    return make_bank(engine, tmp_path)


def document(said: str = SAID, *, day: str = "2026-01-01") -> MemoryDocument:
    return MemoryDocument(data=f"---\neffective_date: {day}\n---\n{said}\n".encode(), acl=["group:everyone"])


def gone(bank: Bank, corpus: CorpusName, *, wait: bool) -> None:
    request = TakedownRequest(corpus=corpus, document="gate.md", reason="A mistake.", wait=wait)
    assert isinstance(take_down(bank.instance, actor=bank.steward, request=request), TakedownResult)


def found(bank: Bank, corpus: CorpusName) -> set[str]:
    wanted = Search(question="turnstile Dunmore officers noon")
    return {one.document for one in search_corpus(bank.instance, actor=bank.steward, corpus=corpus, wanted=wanted)}


def stored(bank: Bank, corpus: CorpusName) -> list[str]:
    query = "SELECT body FROM chunk_text WHERE corpus = :c AND position('turnstile' IN body) > 0"
    with bank.instance.engine.connect() as connection:
        return list(connection.execute(text(query), {"c": corpus}).scalars())


@pytest.mark.parametrize("wait", [True, False], ids=["purged", "hidden"])
@pytest.mark.parametrize("history", list(History))
def test_no_resurrection(bank: Bank, history: History, wait: bool) -> None:
    corpus = bank.declare(settings(f"gates-{history}-{int(wait)}", acl=(), history=history))
    copy = bank.declare(settings(f"{corpus}-copy", acl=(), derived_from=corpus, data_stage=DataStage.UAT))
    tools = RefreshTools(redact=lambda said: said)
    kept = {"other.md": document("The canteen opens at nine.")}
    bank.refresh(corpus, MemoryConnector(documents={**kept, "gate.md": document()}))
    bank.refresh(copy, tools=tools)
    assert found(bank, corpus) == found(bank, copy) == {"gate.md"}
    gone(bank, corpus, wait=wait)
    later = document(f"{SAID} And never on Sundays.", day="2026-02-01")
    for number, listed in enumerate(
        (
            {"gate.md": document()},
            {"gate.md": document(day="2026-02-01")},
            {"gate.md": later},
            {"renamed.md": document()},
            {"renamed.md": document(day="2026-03-01"), "gate.md": later},
        )
    ):
        result = bank.refresh(corpus, MemoryConnector(documents={**kept, **listed}))
        assert {one.id for one in result.rejected} == set(listed), number
        assert {one.reason for one in result.rejected} == {"taken_down"}
        assert result.added == result.changed == 0
        bank.refresh(copy, tools=tools)
        assert found(bank, corpus) == found(bank, copy) == set()
    if wait:
        assert stored(bank, corpus) == stored(bank, copy) == []


def test_a_version_proposed_before_the_takedown_brings_nothing_back_when_it_is_accepted(bank: Bank) -> None:
    corpus = bank.declare(settings("gates-proposed", acl=()))
    bank.refresh(corpus, MemoryConnector(documents={"other.md": document("The canteen opens at nine.")}))
    both = {"other.md": document("The canteen opens at nine."), "gate.md": document()}
    proposed = bank.refresh(corpus, MemoryConnector(documents=both), accept=False)
    assert proposed.state == "proposed"
    gone(bank, corpus, wait=True)
    assert proposed.version is not None
    accepted = accept_version(bank.instance, actor=bank.owner, corpus=corpus, version=proposed.version)
    assert isinstance(accepted, StoredVersion)
    assert found(bank, corpus) == set()
    assert stored(bank, corpus) == []

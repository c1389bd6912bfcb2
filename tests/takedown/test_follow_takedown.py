"""What a person does about a takedown later: a hold keeps bytes and shows none, only the steward lets it come back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.corpus.conftest import Bank, make_bank, person, settings

from pilotage.control.follow_takedown import (
    Follow,
    confirm_purge,
    end_hold,
    hold_takedown,
    lift_block,
    takedown_as_json,
)
from pilotage.control.purge_document import purge_document
from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.search_corpus import Search, search_corpus
from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Refusal
from pilotage.corpus.settings import DataStage
from pilotage.corpus.takedown import TakedownState
from pilotage.store.takedowns import StoredTakedown, requested_with
from pilotage.testing.connectors import MemoryConnector, MemoryDocument

pytestmark = pytest.mark.store
SAID = b"The portcullis of the Wexley branch is raised by two officers at dawn, and never on a holiday."
Act = Callable[..., StoredTakedown | Refusal]


_minutes = itertools.count(1)


@pytest.fixture
def bank(engine: Engine, tmp_path: Any) -> Bank:
    made = make_bank(engine, tmp_path)
    made.clock.advance(timedelta(minutes=next(_minutes)))  # one request is told from another by its moment
    return made


@pytest.fixture
def corpus(bank: Bank, request: pytest.FixtureRequest) -> CorpusName:
    name = bank.declare(settings(f"gates-{abs(hash(request.node.name)) % 10**8}", acl=()))
    listed(bank, name)
    return name


def listed(bank: Bank, corpus: CorpusName) -> list[str]:
    """Refresh; return what was rejected."""
    said = {"gate.txt": SAID, "other.txt": b"The canteen opens at nine in the morning, as it ever did."}
    documents = {k: MemoryDocument(data=v, suffix=".txt", acl=["group:everyone"]) for k, v in said.items()}
    return [one.reason for one in bank.refresh(corpus, MemoryConnector(documents=documents)).rejected]


def gone(bank: Bank, corpus: CorpusName, *, wait: bool = False, hold: bool = False) -> TakedownResult:
    request = TakedownRequest(corpus=corpus, document="gate.txt", reason="A mistake.", wait=wait, hold=hold)
    done = take_down(bank.instance, actor=bank.steward, request=request)
    assert isinstance(done, TakedownResult)
    return done


def follow(bank: Bank, act: Act, corpus: CorpusName, **changes: Any) -> StoredTakedown | Refusal:
    actor = changes.pop("actor", bank.steward)
    given = {"corpus": corpus, "document": "gate.txt", "reason": "Asked by the court.", **changes}
    return act(bank.instance, actor=actor, follow=Follow(**given))


def done(bank: Bank, act: Act, corpus: CorpusName) -> StoredTakedown:
    found = follow(bank, act, corpus)
    assert isinstance(found, StoredTakedown), found
    return found


def code(found: StoredTakedown | Refusal) -> str:
    assert isinstance(found, Refusal)
    return found.reasons[0].code


def texts(bank: Bank, corpus: CorpusName) -> int:
    query = "SELECT count(*) FROM chunk_text WHERE corpus = :c AND position('portcullis' IN body) > 0"
    with bank.instance.engine.connect() as connection:
        return int(connection.execute(text(query), {"c": corpus}).scalar_one())


def seen(bank: Bank, corpus: CorpusName) -> list[str]:
    wanted = Search(question="portcullis Wexley officers dawn")
    return [one.document for one in search_corpus(bank.instance, actor=bank.owner, corpus=corpus, wanted=wanted)]


def entries(bank: Bank, kind: str) -> list[str]:
    query = "SELECT convert_from(bytes, 'UTF8') FROM ledger_entry WHERE kind = :k ORDER BY id"
    with bank.instance.engine.connect() as connection:
        return list(connection.execute(text(query), {"k": kind}).scalars())


@pytest.mark.parametrize("at_once", [True, False])
def test_a_hold_hides_and_keeps_the_bytes_until_it_ends(bank: Bank, corpus: CorpusName, at_once: bool) -> None:
    takedown = gone(bank, corpus, hold=at_once).takedown
    if not at_once:
        assert done(bank, hold_takedown, corpus).state is TakedownState.HELD
        assert '"held":true' in entries(bank, "takedown.held")[-1]
    assert seen(bank, corpus) == []
    assert gone(bank, corpus, wait=True).state is TakedownState.HELD
    assert purge_document(bank.instance, takedown).state is TakedownState.HELD
    assert texts(bank, corpus) == 1
    assert listed(bank, corpus) == ["taken_down"]
    assert code(follow(bank, hold_takedown, corpus)) == "TAKEDOWN_STATE"
    assert code(follow(bank, lift_block, corpus)) == "TAKEDOWN_STATE"
    assert done(bank, end_hold, corpus).state is TakedownState.HIDDEN
    assert purge_document(bank.instance, takedown).state is TakedownState.PURGED_PRIMARY
    assert texts(bank, corpus) == 0
    assert code(follow(bank, end_hold, corpus)) == "TAKEDOWN_STATE"


def test_a_hold_that_comes_while_a_purge_begins_keeps_the_bytes(
    bank: Bank, corpus: CorpusName, monkeypatch: pytest.MonkeyPatch
) -> None:
    takedown = gone(bank, corpus).takedown
    asked = requested_with

    def late(*given: Any) -> Any:
        found = asked(*given)
        done(bank, hold_takedown, corpus)
        return found

    monkeypatch.setattr("pilotage.control.purge_document.requested_with", late)
    assert purge_document(bank.instance, takedown).state is TakedownState.HELD
    assert texts(bank, corpus) == 1


def test_what_is_erased_can_not_be_held(bank: Bank, corpus: CorpusName) -> None:
    gone(bank, corpus, wait=True)
    assert code(follow(bank, hold_takedown, corpus)) == "TAKEDOWN_STATE"


def test_copies_outside_are_gone_when_a_person_says_so(bank: Bank, corpus: CorpusName) -> None:
    bank.instance = replace(bank.instance, workspace=replace(bank.instance.workspace, backup_retention_days=35))
    proof = gone(bank, corpus, wait=True).proof
    assert proof is not None
    assert proof["copies_until"] == (bank.clock.now() + timedelta(days=35)).date().isoformat()
    confirmed = done(bank, confirm_purge, corpus)
    assert confirmed.state is TakedownState.PURGED
    shown = takedown_as_json(confirmed)
    assert isinstance(shown["proof"], dict)
    assert str(shown["proof"]["confirmed_by"]).startswith("p_")
    (entry,) = [one for one in entries(bank, "takedown.confirmed") if confirmed.id in one]
    assert "Asked by the court." not in entry
    assert code(follow(bank, confirm_purge, corpus)) == "TAKEDOWN_STATE"


def test_only_the_steward_lets_a_document_come_back_and_only_by_a_refresh(bank: Bank, corpus: CorpusName) -> None:
    first = gone(bank, corpus, wait=True)
    assert code(follow(bank, lift_block, corpus, actor=bank.owner)) == "NOT_STEWARD"
    assert listed(bank, corpus) == ["taken_down"]
    done(bank, lift_block, corpus)
    assert "gate.txt" not in entries(bank, "document.block_lifted")[-1]
    assert seen(bank, corpus) == []
    assert listed(bank, corpus) == []
    assert seen(bank, corpus) == ["gate.txt"]
    second = gone(bank, corpus, wait=True)
    assert second.takedown != first.takedown
    assert listed(bank, corpus) == ["taken_down"]
    assert seen(bank, corpus) == []
    assert texts(bank, corpus) == 0


@pytest.mark.parametrize("act", [hold_takedown, end_hold, confirm_purge, lift_block])
def test_it_takes_a_duty_a_reason_and_a_takedown(bank: Bank, corpus: CorpusName, act: Act) -> None:
    gone(bank, corpus)
    assert code(follow(bank, act, corpus, actor=person("eve"))) == "NOT_PERMITTED"
    with pytest.raises(UsageError):
        follow(bank, act, corpus, reason=" ")
    for name in ("other.txt", "nothing.txt"):
        with pytest.raises(NotFound):
            follow(bank, act, corpus, document=name)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_hold_and_its_end_go_for_the_derived_copies_too(bank: Bank, corpus: CorpusName, at_once: bool) -> None:
    copy = bank.declare(settings(f"{corpus}-uat", acl=(), derived_from=corpus, data_stage=DataStage.UAT))
    bank.refresh(copy, tools=RefreshTools(redact=lambda said: said))
    takedown = gone(bank, corpus, hold=at_once).takedown
    if not at_once:
        done(bank, hold_takedown, corpus)
    assert (texts(bank, corpus), texts(bank, copy)) == (1, 1)
    assert purge_document(bank.instance, takedown).state is TakedownState.HELD
    done(bank, end_hold, corpus)
    purge_document(bank.instance, takedown)
    assert (texts(bank, corpus), texts(bank, copy)) == (0, 0)

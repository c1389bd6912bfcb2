"""A takedown reaches the same content under other ids when asked, now or later, and every derived copy of it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.corpus.conftest import Bank, make_bank, settings

from pilotage.control.refresh_tools import RefreshTools
from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.core.errors import UsageError
from pilotage.core.ids import CorpusName
from pilotage.corpus.inspection import Inspected
from pilotage.corpus.settings import DataStage
from pilotage.corpus.takedown import TakedownState
from pilotage.testing.connectors import MemoryConnector, MemoryDocument

pytestmark = pytest.mark.store
SAID = b"The sluice of the Harrow branch is opened by two officers at noon, and never on a holiday."
TOOLS = RefreshTools(redact=lambda said: said)


@pytest.fixture
def bank(engine: Engine, tmp_path: Any) -> Bank:
    return make_bank(engine, tmp_path)


def with_copies(bank: Bank, name: str) -> tuple[CorpusName, CorpusName, CorpusName]:
    """Return a corpus with a document under two ids, one derived from it, and one derived from that."""
    corpus = bank.declare(settings(name, acl=()))
    copy = bank.declare(settings(f"{name}-uat", acl=(), derived_from=corpus, data_stage=DataStage.UAT))
    copy_of_copy = bank.declare(settings(f"{name}-uat2", acl=(), derived_from=copy, data_stage=DataStage.UAT))
    readers = ["group:everyone"]
    said = {"gate.txt": SAID, "twin.txt": SAID, "other.txt": b"The canteen opens at nine in the morning, as ever."}
    documents = {id_: MemoryDocument(data=data, suffix=".txt", acl=readers) for id_, data in said.items()}
    bank.refresh(corpus, MemoryConnector(documents=documents))
    bank.refresh(copy, tools=TOOLS)
    bank.refresh(copy_of_copy, tools=TOOLS)
    return corpus, copy, copy_of_copy


def gone(bank: Bank, corpus: CorpusName, *, include_duplicates: bool, wait: bool = False) -> TakedownResult:
    request = TakedownRequest(
        corpus=corpus, document="gate.txt", reason="A mistake.", wait=wait, include_duplicates=include_duplicates
    )
    done = take_down(bank.instance, actor=bank.steward, request=request)
    assert isinstance(done, TakedownResult)
    return done


def live(bank: Bank, corpus: CorpusName) -> list[str]:
    query = "SELECT id FROM document WHERE corpus = :c AND tombstone IS NULL ORDER BY id"
    with bank.instance.engine.connect() as connection:
        return list(connection.execute(text(query), {"c": corpus}).scalars())


def texts(bank: Bank, *corpora: CorpusName) -> list[str]:
    query = "SELECT corpus FROM chunk_text WHERE corpus = ANY(:c) AND position('sluice' IN body) > 0"
    with bank.instance.engine.connect() as connection:
        return list(connection.execute(text(query), {"c": list(corpora)}).scalars())


def test_derived_copies_of_duplicates_and_copies_of_copies_go_with_them(bank: Bank) -> None:
    corpora = with_copies(bank, "sluices")
    done = gone(bank, corpora[0], include_duplicates=True, wait=True)
    assert done.also_in == ("twin.txt",)
    assert [live(bank, corpus) for corpus in corpora] == [["other.txt"]] * 3
    assert texts(bank, *corpora) == []


def test_duplicates_can_be_asked_for_later(bank: Bank) -> None:
    corpora = with_copies(bank, "sluices-later")
    first = gone(bank, corpora[0], include_duplicates=False, wait=True)
    assert first.also_in == ("twin.txt",)
    assert [live(bank, corpus) for corpus in corpora] == [["other.txt", "twin.txt"]] * 3
    again = gone(bank, corpora[0], include_duplicates=True, wait=True)
    assert again.takedown == first.takedown
    assert [live(bank, corpus) for corpus in corpora] == [["other.txt"]] * 3
    assert texts(bank, *corpora) == []


def test_asking_again_for_nothing_more_changes_nothing(bank: Bank) -> None:
    corpora = with_copies(bank, "sluices-again")
    first = gone(bank, corpora[0], include_duplicates=False)
    again = gone(bank, corpora[0], include_duplicates=False)
    assert (again.takedown, again.state, again.derived) == (first.takedown, TakedownState.HIDDEN, ())


def test_what_is_taken_down_while_a_copy_is_derived_is_not_in_the_copy(bank: Bank) -> None:
    corpus = bank.declare(settings("sluices-race", acl=()))
    copy = bank.declare(settings("sluices-race-uat", acl=(), derived_from=corpus, data_stage=DataStage.UAT))
    document = MemoryDocument(data=SAID, suffix=".txt", acl=["group:everyone"])
    other = MemoryDocument(data=b"The canteen opens at nine.", suffix=".txt", acl=["group:everyone"])
    bank.refresh(corpus, MemoryConnector(documents={"gate.txt": document, "other.txt": other}))
    done: list[str] = []

    def redact(said: str) -> str:
        if not done:  # the first word of the run: it has been listed, and nothing of it is stored
            done.append("")
            gone(bank, corpus, include_duplicates=False)
        return said

    bank.refresh(copy, tools=RefreshTools(redact=redact))
    assert live(bank, copy) == ["other.txt"]
    assert texts(bank, copy) == []


@pytest.mark.parametrize("reason", ["", " \u200b ", "x" * 4_001])
def test_a_reason_is_given_and_has_an_end(bank: Bank, reason: str) -> None:
    corpus = with_copies(bank, f"sluices-reason-{len(reason)}")[0]
    request = TakedownRequest(corpus=corpus, document="gate.txt", reason=reason)
    with pytest.raises(UsageError):
        take_down(bank.instance, actor=bank.steward, request=request)
    assert live(bank, corpus) == ["gate.txt", "other.txt", "twin.txt"]


def test_what_readers_lose_of_an_original_they_lose_of_its_copies_at_once(bank: Bank) -> None:
    corpora = with_copies(bank, "sluices-acl")
    documents = {
        id_: MemoryDocument(data=data, suffix=".txt", acl=acl)
        for id_, data, acl in (
            ("gate.txt", SAID, ["group:board"]),
            ("twin.txt", SAID, ["group:everyone", "group:board"]),
            ("other.txt", b"The canteen opens at nine in the morning, as ever.", ["group:everyone"]),
        )
    }
    bank.refresh(corpora[0], MemoryConnector(documents=documents))
    query = "SELECT id, acl FROM document WHERE corpus = :c ORDER BY id"
    said = "SELECT count(*) FROM ledger_entry WHERE kind = 'document.acl_changed' AND subject = :s"
    for corpus in corpora[1:]:
        with bank.instance.engine.connect() as connection:
            found = {row.id: row.acl for row in connection.execute(text(query), {"c": corpus})}
            assert connection.execute(text(said), {"s": f"{corpus}/gate.txt"}).scalar_one() == 1
        assert found == {"gate.txt": [], "twin.txt": ["group:everyone"], "other.txt": ["group:everyone"]}


def test_readers_lost_while_a_copy_is_derived_do_not_read_the_copy(bank: Bank) -> None:
    corpus = bank.declare(settings("sluices-acl-race", acl=()))
    copy = bank.declare(settings("sluices-acl-race-uat", acl=(), derived_from=corpus, data_stage=DataStage.UAT))
    open_to = {"gate.txt": MemoryDocument(data=SAID, suffix=".txt", acl=["group:everyone", "group:board"])}
    bank.refresh(corpus, MemoryConnector(documents=open_to))
    done: list[str] = []

    def redact(said: str) -> str:
        if not done:
            done.append("")
            shut = {"gate.txt": MemoryDocument(data=SAID, suffix=".txt", acl=["group:board"])}
            bank.refresh(corpus, MemoryConnector(documents=shut))
        return said

    bank.refresh(copy, tools=RefreshTools(redact=redact))
    with bank.instance.engine.connect() as connection:
        acl = connection.execute(text("SELECT acl FROM document WHERE corpus = :c"), {"c": copy}).scalar_one()
    assert acl == ["group:board"]


@pytest.mark.parametrize("place", ["title", "heading", "id"])
def test_a_copy_is_looked_over_with_its_id_title_and_headings(bank: Bank, place: str) -> None:
    corpus = bank.declare(settings(f"sluices-pii-{place}", acl=()))
    copy = bank.declare(settings(f"{corpus}-uat", acl=(), derived_from=corpus, data_stage=DataStage.UAT))
    where = dict.fromkeys(("title", "heading", "id"), "plain") | {place: "4111-1111"}
    body = f"---\ntitle: {where['title']}\n---\n# {where['heading']}\n\n".encode() + SAID
    document = MemoryDocument(data=body, acl=["group:everyone"])
    bank.refresh(corpus, MemoryConnector(documents={f"{where['id']}.md": document}))
    tools = RefreshTools(
        redact=lambda said: said, inspect=lambda said: Inspected(pii={"card": 1} if "4111-1111" in said else {})
    )
    (rejected,) = bank.refresh(copy, tools=tools).rejected
    assert rejected.reason == "redaction left structured personal data: card"

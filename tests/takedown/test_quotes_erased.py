"""A takedown erases every quote of the document: not only of the pieces that its proof searches for."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from tests.corpus.conftest import Bank, make_bank, settings

from pilotage.control.take_down import TakedownRequest, TakedownResult, take_down
from pilotage.core.canonical import Json
from pilotage.core.ids import CorpusName
from pilotage.corpus.takedown import MOST_SHINGLES
from pilotage.testing.connectors import MemoryConnector, MemoryDocument

pytestmark = pytest.mark.store
SENTENCES = 150
SHARED = "Every employee of the bank completes the yearly training on privacy before the end of March."
PLAIN = "Where is the nearest branch?"
AT = "2026-03-02T09:00:00Z"
_SAID = text("INSERT INTO interaction_text (id, question, answer, salt, at) VALUES (:id, :question, :answer, 'x', :at)")
_CORRECTED = text(
    "INSERT INTO feedback (id, interaction, principal, rating, correction, at)"
    " VALUES (:id, :id, 'p', 'down', :correction, :at)"
)
_CANDIDATE = text(
    "INSERT INTO golden_candidate (id, workflow, state, origin, row, sources, asked_by, at, decided_by, decided_at,"
    " reason) VALUES (:id, 'assistant', :state, 'imported', :row, '{case}', '{p}', :at, :by, :decided, :reason)"
).bindparams(bindparam("row", type_=JSONB))
_PAIR = text(
    "INSERT INTO rollout_pair_text (rollout, label, interaction, question, stable, candidate, at)"
    " VALUES ('r', 'l', :id, 'q', 's', 'c', :at)"
)


def sentence(number: int) -> str:
    return f"The strongroom number {number * 7919} is opened by officer {number * 104729} at noon."


@pytest.fixture
def bank(own_engine: Engine, tmp_path: Any) -> Bank:
    """A document of many sentences, and another that shares one with it."""
    made = make_bank(own_engine, tmp_path)
    corpus = made.declare(settings("strongrooms"))
    said = "\n\n".join([*map(sentence, range(SENTENCES)), SHARED])
    documents = {
        name: MemoryDocument(data=body.encode(), suffix=".txt")
        for name, body in {"rooms.txt": said, "twin.txt": said, "training.txt": SHARED}.items()
    }
    made.refresh(corpus, MemoryConnector(documents=documents))
    return made


def taken_down(bank: Bank) -> TakedownResult:
    request = TakedownRequest(
        corpus=CorpusName("strongrooms"), document="rooms.txt", reason="A mistake.", wait=True, include_duplicates=True
    )
    done = take_down(bank.instance, actor=bank.steward, request=request)
    assert isinstance(done, TakedownResult)
    assert done.also_in == ("twin.txt",)
    return done


def column(bank: Bank, query: str) -> list[Any]:
    with bank.instance.engine.connect() as connection:
        return list(connection.execute(text(query)).scalars())


def test_every_sentence_that_was_quoted_is_erased_and_a_shared_one_stays(bank: Bank) -> None:
    with bank.instance.engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # pairs without their rollout
        for number in range(SENTENCES):
            quote = sentence(number)
            written = (quote.upper(), quote.replace(" ", "\n"), f"is that so? {quote}")[number % 3]
            asked = {"id": f"quoted-{number}", "question": written, "answer": PLAIN, "at": AT}
            connection.execute(_SAID, asked if number % 2 else asked | {"question": PLAIN, "answer": written})
        for name, said in (("shared", SHARED), ("plain", PLAIN)):
            connection.execute(_SAID, {"id": name, "question": said, "answer": said, "at": AT})
            connection.execute(_CORRECTED, {"id": name, "correction": said, "at": AT})
        connection.execute(_SAID, {"id": "corrected", "question": PLAIN, "answer": PLAIN, "at": AT})
        connection.execute(_CORRECTED, {"id": "corrected", "correction": sentence(77), "at": AT})
        for name in ("quoted-3", "plain"):
            connection.execute(_PAIR, {"id": name, "at": AT})
    done = taken_down(bank)
    kept = column(bank, "SELECT id FROM interaction_text WHERE question NOT LIKE '[removed: takedown %' ORDER BY id")
    assert kept == ["plain", "shared"]
    assert column(bank, "SELECT count(*) FROM interaction_text WHERE salt = ''") == [SENTENCES + 1]
    assert column(bank, "SELECT correction FROM feedback ORDER BY id") == [None, PLAIN, SHARED]
    assert column(bank, "SELECT interaction FROM rollout_pair_text") == ["plain"]
    assert done.proof is not None
    assert done.proof["shingles"] == MOST_SHINGLES  # a twin that goes as well is no place where the text stays


def test_a_quote_is_erased_wherever_it_stands_in_a_golden_candidate(bank: Bank) -> None:
    removed = "[removed]"
    plain: dict[str, Json] = {"id": "a", "question": PLAIN, "expect": {"facts": ["the market"]}, "as": "ada"}
    history: list[Json] = [{"role": "user", "content": f"I read: {sentence(101)}"}, {"role": "user", "content": PLAIN}]
    rows = {
        "elsewhere": ("open", plain | {"history": history, sentence(55): "x", "tags": [sentence(9).upper(), "b"]}, ""),
        "expected": ("blocked", plain | {"expect": {"facts": [sentence(33)]}}, ""),
        "kept": ("open", plain | {"tags": [SHARED]}, ""),
        "reasoned": ("rejected", plain, f"Wrong: {sentence(140)}"),
    }
    with bank.instance.engine.begin() as connection:
        for name, (state, row, reason) in rows.items():
            values = {"id": name, "state": state, "row": row, "at": AT, "reason": reason}
            by = {"by": "cara", "decided": AT} if reason else {"by": None, "decided": None}
            connection.execute(_CANDIDATE, values | by)
    taken_down(bank)
    with bank.instance.engine.connect() as connection:  # whichever of the twins was erased first is named
        query = (
            "SELECT id, state, blocked_by, regexp_replace(row::text, :named, :plain, 'g')::jsonb AS row,"
            " regexp_replace(reason, :named, :plain) AS reason FROM golden_candidate ORDER BY id"
        )
        values = {"named": r"\[removed: takedown \w+\]", "plain": removed}
        found = {
            one.id: (one.state, one.blocked_by, one.row, one.reason) for one in connection.execute(text(query), values)
        }
    erased: dict[str, Json] = {**plain, "question": removed, "expect": {}}
    cleaned: list[Json] = [{"role": "user", "content": removed}, {"role": "user", "content": PLAIN}]
    elsewhere = erased | {"history": cleaned, removed: "x", "tags": [removed, "b"]}
    assert found == {
        "elsewhere": ("blocked", "taken_down", elsewhere, ""),
        "expected": ("blocked", "taken_down", erased, ""),
        "kept": ("open", "", rows["kept"][1], ""),
        "reasoned": ("rejected", "", plain, removed),
    }

"""Vectors from the seal to the answer: computed, searched, recorded and explained; and what happens without them."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from tests.vectors.bank import QUESTION, VectorBank

from pilotage.cli.explain import render_explanation
from pilotage.core.errors import Unavailable
from pilotage.testing.embeddings import EmbeddingServer

pytestmark = pytest.mark.store


def shown(explained: dict[str, Any]) -> str:
    """What `pilotage explain` prints."""
    out = Console(file=StringIO(), width=120)
    render_explanation(out, explained)
    assert isinstance(out.file, StringIO)
    return " ".join(out.file.getvalue().split())


def test_a_question_finds_by_vector_what_it_shares_no_word_with(bank: VectorBank, server: EmbeddingServer) -> None:
    bank.publish()
    bank.seal()
    answer = bank.ask()
    explained = bank.explain(answer["interaction"])
    assert explained["passages"][0]["document"] == "fleet.md"
    assert explained["release"]["found_by"] == "words and vectors"
    used = explained["release"]["vectors"]
    assert (used["model"], used["cells"]) == ("bag-1", None)
    assert 0 < used["t_embed"] <= explained["release"]["t_retrieve"]
    assert server.texts[-1] == QUESTION
    assert "words and vectors of bag-1" in shown(explained)
    recorded = bank.rows("SELECT detail FROM interaction WHERE id = :id", id=answer["interaction"])[0].detail
    assert recorded["vectors"] == used


def test_a_release_without_a_model_finds_by_words_alone_and_says_so(bank: VectorBank, server: EmbeddingServer) -> None:
    bank.configure("corpus: {uat: handbook}", "top_k: 5")
    bank.publish()
    bank.seal()
    answer = bank.ask()
    explained = bank.explain(answer["interaction"])
    assert answer["refusal"] == "not_found"
    assert explained["passages"] == []
    assert explained["release"]["found_by"] == "words alone"
    assert "words alone" in shown(explained)
    assert "vectors" not in explained["release"]
    assert server.seen == []


def test_an_answer_is_refused_while_the_embedding_model_is_down(bank: VectorBank, server: EmbeddingServer) -> None:
    bank.publish()
    bank.seal()
    server.status = 500
    with pytest.raises(Unavailable) as caught:
        bank.ask("How many business days do we have to refund a duplicate card payment?")
    assert caught.value.code == "upstream_failed"
    [row] = bank.rows("SELECT outcome, code, refused FROM interaction ORDER BY at DESC LIMIT 1")
    assert tuple(row)[1] == "upstream_failed"
    server.status = 200
    assert bank.found()[0][0] == "fleet.md"


def test_an_answer_is_refused_when_the_question_gets_no_direction(bank: VectorBank, server: EmbeddingServer) -> None:
    bank.publish()
    bank.seal()
    honest = server.gives
    for odd in ([1.0] * 63, [0.0] * 64, [float("nan")] * 64):
        server.gives = lambda _text, odd=odd: odd  # type: ignore[misc]
        with pytest.raises(Unavailable) as caught:
            bank.ask()
        assert caught.value.code == "upstream_failed"
    server.gives = honest
    assert bank.found()[0][0] == "fleet.md"


def test_personal_data_in_a_question_does_not_reach_the_embedding_model(
    bank: VectorBank, server: EmbeddingServer
) -> None:
    bank.publish()
    bank.seal()
    before = len(server.seen)
    bank.ask("Is the automobile of jane.roe@example.com with SSN 536-90-8726 blue?")
    assert len(server.texts[before:]) >= 1
    said = " ".join(text for _, body in server.seen[before:] for text in body["input"])
    assert "automobile" in said
    assert not [piece for piece in ("jane", "example.com", "536", "8726", "<") if piece in said]


def test_a_question_of_nothing_but_personal_data_is_not_sent(bank: VectorBank, server: EmbeddingServer) -> None:
    bank.publish()
    bank.seal()
    before = len(server.seen)
    answer = bank.ask("jane.roe@example.com")
    assert answer["refusal"] == "not_found"
    assert len(server.seen) == before

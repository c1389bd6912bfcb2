"""Where words stand in a text, and whether a negator stands close before them in the same clause."""

from __future__ import annotations

import pytest

from pilotage.guard.normalise import normalise
from pilotage.guard.tokens import Tokens, tokens_of


def read(text: str) -> Tokens:
    return tokens_of(normalise(text))


def test_a_form_is_found_at_every_place_where_it_stands_as_whole_words() -> None:
    text = read("The fee is due. No fee is due on fees.")
    assert list(text.occurrences(read("fee is"))) == [1, 5]
    assert list(text.occurrences(read("ee"))) == []
    assert list(text.occurrences(read(""))) == []


@pytest.mark.parametrize(
    ("text", "is_negated"),
    [
        ("The fee is due", False),
        ("There is no fee due", True),
        ("It isn't the fee", True),
        ("There is no other charge than the fee", False),
        ("No, the fee is due", False),
    ],
    ids=["nothing", "close before", "short form", "too far away", "another clause"],
)
def test_a_negator_counts_within_reach_and_in_the_same_clause(text: str, is_negated: bool) -> None:
    found = read(text)
    assert found.is_negated(found.words.index("fee")) is is_negated


def test_a_place_behind_the_text_is_not_negated() -> None:
    text = read("There is no")
    assert text.index_at(len("there is no")) == len(text.words)
    assert not text.is_negated(text.index_at(len("there is no")))
    assert not text.is_negated_at(len("there is no"))


def test_a_value_is_negated_where_its_first_token_is() -> None:
    text = "there is no fee of 5 due, but 7 is"
    assert [read(text).is_negated_at(text.index(figure)) for figure in ("5", "7")] == [True, False]
    assert not read("the fee of 5 is due").is_negated_at(len("the fee of "))

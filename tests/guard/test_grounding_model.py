"""The grounding score: features of a statement over its evidence, and the shipped numbers that weigh them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from pilotage.core.digest import digest_of
from pilotage.core.errors import UsageError
from pilotage.guard.anchors import support_of
from pilotage.guard.grounding_features import FEATURES, features_of, grounding_tokens, read_evidence
from pilotage.guard.grounding_model import parse_coefficients, probability, shipped_coefficients, sigmoid

GOOD: dict[str, Any] = {
    "features": list(FEATURES),
    "b0": 0.5,
    "b": [-1.0] * len(FEATURES),
    "mean": [0.5] * len(FEATURES),
    "sd": [2.0] * len(FEATURES),
    "lo": 0.25,
    "hi": 0.75,
}
TEXTS = ("The daily limit for wires is $25,000.", "Wires sent after 16:30 leave the next day. Fees are $15.")


def bytes_of(**changed: object) -> bytes:
    return json.dumps(GOOD | changed).encode()


def features(statement: str, *texts: str) -> dict[str, float]:
    evidence = [read_evidence(text) for text in texts]
    return dict(
        zip(FEATURES, features_of(grounding_tokens(statement), evidence, support_of(statement, texts)), strict=True)
    )


def test_coefficients_are_read_with_the_digest_of_their_bytes() -> None:
    found = parse_coefficients(bytes_of())
    assert (found.b0, found.lo, found.hi) == (0.5, 0.25, 0.75)
    assert (found.b, found.mean, found.sd) == tuple(tuple(GOOD[name]) for name in ("b", "mean", "sd"))
    assert found.digest == digest_of(bytes_of())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"[]", "GROUNDING_FEATURES"),
        (b"{}", "GROUNDING_FEATURES"),
        (bytes_of(features=list(reversed(FEATURES))), "GROUNDING_FEATURES"),
        (bytes_of(b=[1.0]), "GROUNDING_NUMBERS"),
        (bytes_of(sd=[2.0] * (len(FEATURES) - 1) + [0.0]), "GROUNDING_NUMBERS"),
        (bytes_of(sd=[-2.0] * len(FEATURES)), "GROUNDING_NUMBERS"),
        (bytes_of(sd=[]), "GROUNDING_NUMBERS"),
    ],
    ids=["no record", "no features", "other features", "a short row", "an sd of 0", "an sd below 0", "no sd"],
)
def test_numbers_for_other_features_do_not_load(data: bytes, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_coefficients(data)
    assert caught.value.code == code


def test_the_probability_is_the_logistic_of_the_weighed_features() -> None:
    found = parse_coefficients(bytes_of())
    assert probability([0.5] * len(FEATURES), found) == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert probability([2.5] * len(FEATURES), found) == pytest.approx(1 / (1 + math.exp(len(FEATURES) - 0.5)))


def test_the_logistic_never_overflows() -> None:
    assert [sigmoid(x) for x in (-1e6, 0.0, 1e6)] == [0.0, 0.5, 1.0]
    assert sigmoid(-2.0) + sigmoid(2.0) == pytest.approx(1.0)


def test_the_shipped_numbers_call_a_quote_better_supported_than_an_invention() -> None:
    shipped = shipped_coefficients()
    quoted, invented = (
        probability(tuple(features(statement, TEXTS[0]).values()), shipped)
        for statement in ("The daily limit for wires is $25,000.", "Branches open on Sundays for Ada Lovelace at $9.")
    )
    assert quoted < shipped.lo <= shipped.hi
    assert invented > quoted


def test_what_occurs_twice_must_stand_twice_in_all_the_evidence_together() -> None:
    one, both = features("wires wires wires", TEXTS[0]), features("wires wires wires", *TEXTS)
    assert one["k_precision"] == pytest.approx(1 / 3)
    assert both["k_precision"] == pytest.approx(2 / 3)


def test_the_best_sentence_is_looked_for_in_every_text() -> None:
    found = features("Wires sent after 16:30 leave the next day.", *TEXTS)
    assert found["min_sentence_overlap"] == pytest.approx(1.0)
    assert features("Wires sent after 16:30 leave the next day.", TEXTS[0])["min_sentence_overlap"] < 1.0


def test_a_statement_without_words_of_its_own_asks_for_nothing() -> None:
    assert set(features("", TEXTS[0]).values()) == {1.0}
    assert features("it is the", TEXTS[0])["min_sentence_overlap"] == 1.0

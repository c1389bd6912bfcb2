"""Every fact form, its tolerance, rounding and negation (evaluation.md 2.3)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilotage.core.canonical import parse_json
from pilotage.core.located import Problems, from_plain
from pilotage.evaluation.answer_text import read_answer
from pilotage.evaluation.facts import compile_fact, mentions, states
from pilotage.workspace.fact_file import FACT
from pilotage.workspace.golden import Fact


def fact_of(written: object) -> Fact:
    problems = Problems()
    fact = FACT.read(from_plain(parse_json(json.dumps(written).encode()), file="x.jsonl", line=1), problems)
    problems.raise_if_any()
    return fact


def holds(answer: str, written: object, locale: str = "en") -> bool:
    return states(read_answer(answer, locale), compile_fact(fact_of(written), place=1, locale=locale))


def forbids(answer: str, written: object) -> bool:
    return mentions(read_answer(answer), compile_fact(fact_of(written), place=1))


GOLD = {"number": 1496.5}
MONEY = {"number": 43000000, "unit": "USD"}


@pytest.mark.parametrize(
    ("answer", "fact", "expected"),
    [
        ("It is 1,497.", GOLD, True),
        ("It is 1,496.5.", GOLD, True),
        ("It is 1,500.", GOLD, False),
        ("It is 1.5 thousand.", GOLD, False),
        ("It is 1.50 thousand.", GOLD, True),
        ("It is 1,497.", {"number": 1496.5, "rounding": 0}, False),
        ("It is 1,500.", {"number": 1496.5, "abs": 4}, True),
        ("It is 1,500.", {"number": 1496.5, "rel": 0.01}, True),
        ("It is -1,497.", {"number": -1496.5}, True),
        ("It is $43 million.", MONEY, True),
        ("It is 43,000,000.", MONEY, True),
        ("It is EUR 43 million.", MONEY, False),
        ("It is $44 million.", MONEY, False),
        ("It is 0.25 %.", {"number": 25, "unit": "bps"}, True),
        ("It is 25 bps.", {"number": 0.25, "unit": "%"}, True),
        ("It is 5 percent.", {"number": 5, "unit": "%"}, True),
        ("It is 5.", {"number": 5, "unit": "%"}, False),
        ("Within 30 days.", {"number": 30, "unit": "days"}, True),
        ("Within 30 hours.", {"number": 30, "unit": "days"}, False),
        ("Within thirty days.", {"number": 30}, True),
        ("It is $43 million.", "$43 million", True),
        ("It is 43,000,000 dollars.", "$43 million", True),
        ("It is $44 million.", "$43 million", False),
        ("For 2014.", "2014", True),
        ("On 21 July 2014.", "2014", True),
        ("Item 2,014.", "2014", True),
        ("For 2015.", "2014", False),
        ("It is 5 %.", "5%", True),
        ("On July 21, 2026.", "2026-07-21", True),
        ("In July 2026.", "2026-07-21", False),
        ("On July 21, 2026.", {"date": "2026-07-01", "granularity": "month"}, True),
        ("In Q3 2026.", {"date": "2026-07-01", "granularity": "month"}, False),
        ("In August 2026.", {"date": "2026-07-01", "granularity": "quarter"}, True),
        ("In Q3 2026.", {"date": "2026-07-01", "granularity": "quarter"}, True),
        ("In 2026.", {"date": "2026-07-01", "granularity": "quarter"}, False),
        ("In Q3 2026.", {"date": "2026-07-01", "granularity": "year"}, True),
        ("Due 07/08/2026.", {"date": "2026-08-07"}, False),
        ("A *call-back* is made.", {"any": ["call-back"]}, True),
        ("A callback is made.", {"any": ["call back", "callback"]}, True),
        ("Recall backs it.", {"any": ["call back"]}, False),
        ("The bank and the customer.", {"all": ["bank", "customer"]}, True),
        ("The bank.", {"all": ["bank", "customer"]}, False),
        ("One, two.", {"at_least": 2, "of": ["one", "two", "three"]}, True),
        ("One.", {"at_least": 2, "of": ["one", "two", "three"]}, False),
        ("See Form AB-12.", {"pattern": "form [a-z]{2}-[0-9]+"}, True),
        ("See form.", {"pattern": "form [a-z]{2}-[0-9]+"}, False),
        ("Anything.", {"pattern": "z*"}, False),
        ("Paid by the bank.", "paid by the bank", True),
        ("Paid by bank.", "paid by the bank", False),
    ],
)
def test_a_fact_matches_as_its_form_says(answer: str, fact: object, *, expected: bool) -> None:
    assert holds(answer, fact) is expected


def test_german_figures_match_under_their_locale_only() -> None:
    assert holds("Es sind 1.496,5 EUR.", {"number": 1496.5, "unit": "EUR"}, "de")
    assert not holds("Es sind 1.496,5 EUR.", {"number": 1496.5, "unit": "EUR"})


@pytest.mark.parametrize(
    "answer",
    [
        "The limit is not $43 million.",
        "It isn't $43 million.",
        "It can't be $43 million.",
        "It cannot be $43 million.",
        "Never $43 million.",
        "All except the $43 million.",
        "Without the $43 million.",
    ],
)
def test_negation_is_conservative_both_ways(answer: str) -> None:
    assert not holds(answer, "$43 million")
    assert forbids(answer, "$43 million")
    assert holds(answer, {"text": "$43 million", "allow_negated": True})
    assert not forbids(answer, {"text": "$43 million", "allow_negated": True})


@pytest.mark.parametrize(
    "answer",
    [
        "No, it is $43 million.",
        "Not $42 million but $43 million.",
        "It is not lower. $43 million applies.",
        "It is not $43 million; it is $43 million.",
        "Not in any of the cases above $43 million.",
    ],
)
def test_a_negator_reaches_three_tokens_inside_its_clause(answer: str) -> None:
    assert holds(answer, "$43 million")


def test_negation_holds_for_every_form() -> None:
    assert not holds("It is not refundable.", {"any": ["refundable"]})
    assert not holds("Not on 21 July 2026.", {"date": "2026-07-21"})
    assert not holds("Never form ab-1.", {"pattern": "form ab-[0-9]"})
    assert holds("May not be used.", {"any": ["may not be used"]})


def test_a_fact_is_named_by_its_id_or_its_place() -> None:
    assert compile_fact(fact_of({"text": "x", "id": "limit"}), place=3).label == "limit"
    assert compile_fact(fact_of("x"), place=3).label == "3"


def test_facts_of_regulation_versions_hold_on_their_version_and_on_no_other_amount(shared_data: Path) -> None:
    folder = shared_data / "demo" / "cfpb-regulations-text"
    facts = json.loads((folder / "version_facts.json").read_text())
    assert len(facts) >= 8
    for one in facts:
        sections = (
            json.loads(line) for line in (folder / f"{one['part']}_{one['version']}.jsonl").read_text().splitlines()
        )
        assert any(one["quote"] in row["text"] for row in sections if row["text"])
        assert holds(one["quote"], one["answer"]), one["version"]
        for other in facts:
            if other["answer"] != one["answer"]:
                assert not holds(one["quote"], other["answer"])

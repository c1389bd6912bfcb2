"""What the pair scorer thinks of an answer: by its passages, whatever the release's own policy checks."""

from __future__ import annotations

from typing import Any

import pytest

from pilotage.evaluation.pair_scorer import Choice, Grade, Shown, SupportScorer, grade

PASSAGE = "Billing errors are resolved within ten business days of the notice."


def shown(text: str | None, **changes: Any) -> Shown:
    return Shown(**({"question": "When are errors resolved?", "text": text, "sources": {1: PASSAGE}} | changes))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (shown("Billing errors are resolved within ten business days [1]."), Grade.SUPPORTED),
        (shown("Billing errors are resolved within ten business days."), Grade.UNSUPPORTED),
        (shown("Billing errors are resolved within ten business days [2]."), Grade.UNSUPPORTED),
        (shown("Billing errors are resolved within 45 business days [1]."), Grade.UNSUPPORTED),
        (shown("Purple elephants dance slowly through quiet midnight gardens [1]."), Grade.UNSUPPORTED),
        (shown("I did not find it.", refusal="not_found"), Grade.REFUSED),
        (shown("A check stopped it.", refusal="grounding"), Grade.BLOCKED),
        (shown(None), Grade.FAILED),
        (shown("Anything at all that is said without a passage.", sources=None), Grade.UNSUPPORTED),
    ],
)
def test_an_answer_is_graded_by_what_supports_it(answer: Shown, expected: Grade) -> None:
    assert grade(answer) is expected


def test_a_refusal_is_better_than_an_unsupported_answer_and_worse_than_a_supported_one() -> None:
    scorer = SupportScorer()
    refusal = shown("I did not find it.", refusal="not_found")
    made_up = shown("Purple elephants dance slowly through quiet midnight gardens [1].")
    good = shown("Billing errors are resolved within ten business days [1].")
    assert scorer.better(refusal, made_up) is Choice.A
    assert scorer.better(refusal, good) is Choice.B
    assert scorer.better(good, good) is Choice.TIE

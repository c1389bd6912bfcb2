"""What a comparison shows of a case that names no document, and when it says that both were asked in full."""

from __future__ import annotations

from typing import Any

import pytest

from pilotage.control.compared_case import CaseSide
from pilotage.control.compared_texts import SideTexts
from pilotage.control.view_compared_cases import _why_hidden
from pilotage.control.view_comparison import both_answered
from pilotage.workspace.golden import Expect, Fact, FactForm, GoldenCase

CASE = GoldenCase(
    id="fee",
    question="How much?",
    asker="lender",
    expect=Expect(facts=(Fact(form=FactForm.TEXT, value="40"),)),
    cluster="fee",
    line=1,
)
NOTHING, READ = SideTexts(answer="40."), SideTexts(answer="40.", behind=2)
HIDDEN, GONE = SideTexts(hidden="Hidden."), SideTexts(gone="Gone.")


def side(texts: SideTexts) -> CaseSide:
    return CaseSide(
        status="pass", refused=False, refusal_reason=None, error=None, facts=None, citations=None, texts=texts
    )


@pytest.mark.parametrize(
    ("before", "after", "is_shown"),
    [
        (NOTHING, NOTHING, False),
        (READ, NOTHING, True),
        (READ, READ, True),
        (READ, HIDDEN, False),
        (GONE, READ, False),
    ],
)
def test_facts_without_a_document_need_passages_that_are_all_readable(
    before: SideTexts, after: SideTexts, *, is_shown: bool
) -> None:
    assert (_why_hidden(CASE, 0, (side(before), side(after))) == "") is is_shown


def test_both_answered_only_where_they_were_compared_and_the_baseline_lacks_no_answer() -> None:
    compared: dict[str, Any] = {"comparison": {"differences": []}}
    full = {"candidate": {}, "baseline": {"not_applicable": ["a"]}}
    assert both_answered(compared | {"unscored_cases": full})
    assert not both_answered(compared | {"unscored_cases": {"candidate": {}, "baseline": {"unreached": ["a"]}}})
    assert not both_answered({"comparison": None, "unscored_cases": full})
    assert not both_answered(compared)

"""Many candidates at once have the twins that each has alone (evaluation.md 2.6)."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from pilotage.core.ids import WorkflowName
from pilotage.evaluation.candidate import Candidate, CandidateState, Origin
from pilotage.evaluation.leakage import NEAR_TWIN, trigrams
from pilotage.evaluation.twins import Twins
from pilotage.guard.normalise import normalise

WORDS = ["fee", "Fee", "locker", "lockers", "of the", "Ashford", "?", "\u017fee", "\U0001f511", ""]
QUESTIONS = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join) | st.text(max_size=3)
ASKED = st.lists(st.tuples(QUESTIONS, st.sampled_from(["clerk", "lender", None])), max_size=12)


def candidates(asked: list[tuple[str, str | None]], first: int = 0) -> list[Candidate]:
    return [
        Candidate(
            id=f"{number:04}",
            workflow=WorkflowName("assistant"),
            state=CandidateState.OPEN,
            origin=Origin.IMPORTED,
            row={"id": f"case-{number}", "question": question, "as": asker},
            sources=(),
            asked_by=(),
            at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for number, (question, asker) in enumerate(asked, first)
    ]


def likeness(one: str, other: str) -> float:
    """Return the trigram Jaccard similarity of two questions in normal form, 0..1."""
    mine, theirs = trigrams(normalise(one)), trigrams(normalise(other))
    return len(mine & theirs) / len(mine | theirs)


def twin_of(made: Candidate, standing: list[Candidate]) -> Candidate | None:
    """Return the most alike of the same persona by comparing with each: the index's promise, written down."""
    alike = [
        (likeness(made.question, one.question), one.id, one) for one in standing if one.row["as"] == made.row["as"]
    ]
    best = max(alike, key=lambda found: (found[0], found[1]), default=None)
    return best[2] if best is not None and best[0] >= NEAR_TWIN else None


@given(ASKED, ASKED)
def test_an_index_finds_the_twin_that_a_comparison_with_each_finds(
    waiting: list[tuple[str, str | None]], made: list[tuple[str, str | None]]
) -> None:
    before, later = candidates(waiting), candidates(made, first=len(waiting))
    twins, standing = Twins(before, later), list(before)
    for one in later:
        expected = twin_of(one, standing)
        assert twins.find(one) == expected
        if expected is None:
            twins.let_in(one)
            standing.append(one)


def test_a_question_of_another_persona_is_no_twin() -> None:
    [mine, theirs] = candidates([("What is the fee?", "clerk"), ("What is the fee?", "lender")])
    assert Twins([mine]).find(theirs) is None
    assert Twins([mine]).find(mine) is mine
    assert Twins([]).find(mine) is None

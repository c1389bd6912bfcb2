"""Who must be trained is who runs the service when a gate decides, not when the records came in (gates.md 2.7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import LATENCY, NOW, board_gate, empty, evidence, knowing

from pilotage.core.reason import Outcome
from pilotage.evidence.records import Evidence
from pilotage.gate.decide import decide
from pilotage.gate.report import CriterionResult
from pilotage.workspace.gate import Condition, Criterion, Operator

SHARE = Condition(claim="share", operator=Operator.EQ, limit=1)
TRAINING = Criterion(id="training", of=("training",), all=(SHARE,), trust=LATENCY.trust)
RECORDS = evidence(
    "training", {"required": 1.0, "completed": 1.0, "share": 1.0}, names={"trained": ("ann", "ben"), "missing": ()}
)


def result(operators: frozenset[str] | None, records: Evidence = RECORDS) -> CriterionResult:
    gate = board_gate()
    gate = replace(gate, pre=replace(gate.pre, criteria=(TRAINING,)))
    given = replace(knowing(empty(gate), operators=operators), evidence=(records,))
    (found,) = decide(given, NOW).criteria
    return found


@pytest.mark.parametrize(
    ("operators", "outcome"),
    [
        (frozenset({"ann"}), Outcome.OK),
        (frozenset({"ann", "ben"}), Outcome.OK),
        (frozenset({"ann", "cy"}), Outcome.NOT_OK),
        (frozenset(), Outcome.INCONCLUSIVE),
        (None, Outcome.OK),
    ],
    ids=["one", "both", "one who came since", "nobody", "as it was read"],
)
def test_training_counts_over_the_people_of_the_moment(operators: frozenset[str] | None, outcome: Outcome) -> None:
    assert result(operators).outcome is outcome


def test_the_share_that_is_shown_is_the_one_of_the_moment() -> None:
    (check,) = result(frozenset({"ann", "cy"})).checks
    assert (check.observed, check.limit) == ("0.5", "= 1")


@pytest.mark.feature("D11.45", "R4.7")
@pytest.mark.parametrize(("ends", "outcome"), [("2026-03-02", Outcome.OK), ("2026-03-01", Outcome.NOT_OK)])
def test_a_training_that_ended_meanwhile_counts_no_more(ends: str, outcome: Outcome) -> None:
    names = {"trained": ("ann", "ben"), "trained_until": ("ann 2027-01-01", f"ben {ends}")}
    assert result(frozenset({"ann", "ben"}), replace(RECORDS, names=names)).outcome is outcome

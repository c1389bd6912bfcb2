"""A new version of Pilotage asks for a new evaluation run within 24 hours, and for no new approval (gates.md 1.2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.gate.builders import (
    DAY,
    HOUR,
    LATENCY,
    MINUTE,
    NOW,
    SEATS,
    approved_board,
    board_gate,
    codes,
    empty,
    equal,
    evidence,
    knowing,
    voted,
    with_seats,
)

from pilotage.evidence.records import Evidence
from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Criterion

RUN = Criterion(id="accuracy", of=("evaluation",), all=(equal("unscored", 0),), trust=LATENCY.trust)


def run(engine: str | None, *, name: str = "run", at: timedelta = 2 * DAY) -> Evidence:
    refs = {"verdict": "go"} if engine is None else {"verdict": "go", "engine": engine}
    return evidence("evaluation", {"unscored": 0.0, "scored": 60.0}, name=name, refs=refs, at=NOW - at)


def approved(*runs: Evidence) -> GateInput:
    gate = board_gate()
    given = replace(empty(replace(gate, pre=replace(gate.pre, criteria=(RUN,)))), evidence=runs)
    given = with_seats(given, dict.fromkeys(SEATS, VoteDecision.APPROVE), at=NOW - HOUR)
    return voted(given, Role.EXECUTIVE_SPONSOR, at=NOW - HOUR + MINUTE)


@pytest.mark.parametrize("made_by", ["1.0", None], ids=["another version", "nobody knows which"])
def test_after_24_hours_a_run_of_another_version_counts_no_more(made_by: str | None) -> None:
    given = knowing(approved(run(made_by)), engine="1.1")
    within = decide(knowing(given, engine_since=NOW - DAY), NOW)
    assert within.status is GateStatus.APPROVED
    late = decide(knowing(given, engine_since=NOW - DAY - MINUTE), NOW)
    assert late.status is GateStatus.EXPIRED
    assert codes(late) >= {"ENGINE_CHANGED"}


def test_a_run_of_the_new_version_restores_the_approval_without_new_votes() -> None:
    given = knowing(approved(run("1.0")), engine="1.1", engine_since=NOW - 2 * DAY)
    assert decide(given, NOW).status is GateStatus.EXPIRED
    again = replace(given, evidence=(*given.evidence, run("1.1", name="again", at=MINUTE)))
    assert decide(again, NOW).status is GateStatus.APPROVED


def test_other_evidence_and_an_unknown_version_ask_for_nothing() -> None:
    assert decide(knowing(approved_board(), engine="1.1", engine_since=NOW - 9 * DAY), NOW).status.is_approved
    assert decide(knowing(approved(run("1.0")), engine="1.1"), NOW).status.is_approved
    assert decide(knowing(approved(run("1.0")), engine_since=NOW - 9 * DAY), NOW).status.is_approved

"""A ticket's state follows from where the release stands (gates.md 6.4)."""

from __future__ import annotations

import pytest

from pilotage.gate.servicenow import ChangeState, ChangeType, Journey, change_state, close_code
from pilotage.gate.vocabulary import GateStatus

BLOCKED, APPROVED, REVIEW = GateStatus.BLOCKED, GateStatus.APPROVED, GateStatus.IN_REVIEW


@pytest.mark.parametrize(
    ("first", "board", "state"),
    [
        (BLOCKED, BLOCKED, ChangeState.NEW),
        (GateStatus.COLLECTING, BLOCKED, ChangeState.ASSESS),
        (GateStatus.READY, BLOCKED, ChangeState.ASSESS),
        (REVIEW, BLOCKED, ChangeState.ASSESS),
        (APPROVED, BLOCKED, ChangeState.ASSESS),
        (APPROVED, GateStatus.READY, ChangeState.ASSESS),
        (APPROVED, REVIEW, ChangeState.AUTHORIZE),
        (APPROVED, APPROVED, ChangeState.SCHEDULED),
        (APPROVED, GateStatus.APPROVED_WITH_RISK_ACCEPTANCE, ChangeState.SCHEDULED),
        (APPROVED, GateStatus.REJECTED, ChangeState.CANCELED),
        (GateStatus.REJECTED, BLOCKED, ChangeState.CANCELED),
    ],
)
def test_before_a_rollout_the_gates_say_the_state(first: GateStatus, board: GateStatus, state: ChangeState) -> None:
    assert change_state({"qa": first, "cab": board}, board="cab") is state


@pytest.mark.parametrize(
    ("journey", "state", "code"),
    [
        (Journey.RUNNING, ChangeState.IMPLEMENT, None),
        (Journey.BAKING, ChangeState.REVIEW, None),
        (Journey.COMPLETED, ChangeState.CLOSED, "successful"),
        (Journey.ROLLED_BACK, ChangeState.CLOSED, "unsuccessful"),
    ],
)
def test_a_rollout_says_the_state_whatever_the_gates_are(
    journey: Journey, state: ChangeState, code: str | None
) -> None:
    assert change_state({"cab": GateStatus.EXPIRED}, board="cab", journey=journey) is state
    assert close_code(journey) == code


def test_a_withdrawn_change_is_canceled_and_an_unstarted_one_has_no_close_code() -> None:
    assert change_state({"cab": APPROVED}, board="cab", withdrawn=True) is ChangeState.CANCELED
    assert close_code(Journey.NOT_STARTED) is None


def test_standard_skips_assess_and_authorize_and_emergency_skips_assess() -> None:
    gates = {"qa": APPROVED, "cab": GateStatus.READY}
    assert change_state(gates, board="cab", kind=ChangeType.STANDARD) is ChangeState.SCHEDULED
    assert change_state(gates, board="cab", kind=ChangeType.EMERGENCY) is ChangeState.AUTHORIZE


def test_a_release_without_any_gate_is_new() -> None:
    assert change_state({}, board="cab") is ChangeState.NEW

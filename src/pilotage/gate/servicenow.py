"""The state a change has in ServiceNow (gates.md 6.4): one way, out only; a ticket never changes a gate.

Rule: the state follows from where the release stands. Standard changes skip Assess and Authorize, emergency ones skip
Assess. Fail mode: what fits nothing else is New.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from pilotage.gate.vocabulary import GateStatus


class ChangeState(StrEnum):
    """ServiceNow's states of a change request."""

    NEW = "New"
    ASSESS = "Assess"
    AUTHORIZE = "Authorize"
    SCHEDULED = "Scheduled"
    IMPLEMENT = "Implement"
    REVIEW = "Review"
    CLOSED = "Closed"
    CANCELED = "Canceled"


class ChangeType(StrEnum):
    """How a change comes about."""

    NORMAL = "normal"
    STANDARD = "standard"
    EMERGENCY = "emergency"


class Journey(StrEnum):
    """How far a release got past the board."""

    NOT_STARTED = "not_started"
    RUNNING = "running"
    BAKING = "baking"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"


_MOVING: Mapping[GateStatus, bool] = {
    GateStatus.COLLECTING: True,
    GateStatus.READY: True,
    GateStatus.IN_REVIEW: True,
    GateStatus.APPROVED: True,
    GateStatus.APPROVED_WITH_RISK_ACCEPTANCE: True,
    GateStatus.STALE: True,
    GateStatus.EXPIRED: True,
}


def change_state(
    gates: Mapping[str, GateStatus],
    *,
    board: str,
    journey: Journey = Journey.NOT_STARTED,
    kind: ChangeType = ChangeType.NORMAL,
    withdrawn: bool = False,
) -> ChangeState:
    """Return the state; `gates` are the statuses by gate, `board` names the one of the board."""
    match journey:
        case Journey.RUNNING:
            return ChangeState.IMPLEMENT
        case Journey.BAKING:
            return ChangeState.REVIEW
        case Journey.COMPLETED | Journey.ROLLED_BACK:
            return ChangeState.CLOSED
        case Journey.NOT_STARTED:
            return _before(gates, board=board, kind=kind, withdrawn=withdrawn)
    assert_never(journey)


def _before(gates: Mapping[str, GateStatus], *, board: str, kind: ChangeType, withdrawn: bool) -> ChangeState:
    if withdrawn or GateStatus.REJECTED in gates.values():
        return ChangeState.CANCELED
    if kind is ChangeType.STANDARD:
        return ChangeState.SCHEDULED
    of_board = gates.get(board)
    if of_board is not None and of_board.is_approved:
        return ChangeState.SCHEDULED
    if of_board is GateStatus.IN_REVIEW or kind is ChangeType.EMERGENCY:
        return ChangeState.AUTHORIZE
    return ChangeState.ASSESS if any(_MOVING.get(status, False) for status in gates.values()) else ChangeState.NEW


def close_code(journey: Journey) -> str | None:
    """Return how a closed change ended: `successful`, `unsuccessful`, or None while it is not closed."""
    match journey:
        case Journey.COMPLETED:
            return "successful"
        case Journey.ROLLED_BACK:
            return "unsuccessful"
        case Journey.NOT_STARTED | Journey.RUNNING | Journey.BAKING:
            return None
    assert_never(journey)

"""A session of a board: its agenda, one release after the other, and what was asked about each (console.md 2.1).

Rule: a session decides nothing. Votes and acceptances are those of the gate, given before, during or after it; what the
session adds is order, questions and, at its close, minutes that stay. Fail mode: a board that cannot reach a decision
is said before it meets, never after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.gate.report import SignoffResult
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Board


class SessionState(StrEnum):
    """Called for a time to come, open from then on, closed with its minutes."""

    CALLED = "called"
    OPEN = "open"
    CLOSED = "closed"


class Seated(StrEnum):
    """What a seat did. `absent` is also who has not spoken yet."""

    APPROVE = "approve"
    REJECT = "reject"
    ABSTAIN = "abstain"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgendaItem:
    """One release to decide about. `position` counts from 1."""

    release: Digest
    position: int
    added_by: PersonId
    added_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What somebody on the board wanted to know about a release, and the answer. `answered_at` None: none yet."""

    id: str
    release: Digest
    text: str
    asked_by: PersonId
    asked_at: datetime
    answer: str = ""
    answered_by: PersonId | None = None
    answered_at: datetime | None = None

    def as_json(self) -> dict[str, Json]:
        """Return the question as CLI, API and minutes show it."""
        return {
            "question": self.text,
            "asked_by": self.asked_by,
            "asked_at": to_text(self.asked_at),
            "answer": self.answer or "unanswered",
            "answered_by": self.answered_by,
            "answered_at": None if self.answered_at is None else to_text(self.answered_at),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as it stands. `minutes` is the digest of what was recorded at its close."""

    id: str
    gate: str
    starts_at: datetime
    called_by: PersonId
    called_at: datetime
    agenda: tuple[AgendaItem, ...] = ()
    questions: tuple[Question, ...] = ()
    closed_at: datetime | None = None
    closed_by: PersonId | None = None
    minutes: Digest | None = None

    def state(self, now: datetime) -> SessionState:
        """Return whether it is to come, open or closed."""
        if self.closed_at is not None:
            return SessionState.CLOSED
        return SessionState.CALLED if now < self.starts_at else SessionState.OPEN

    def about(self, release: str) -> tuple[Question, ...]:
        """Return the questions about one release, oldest first."""
        return tuple(one for one in self.questions if one.release == release)

    def as_json(self, now: datetime) -> dict[str, Json]:
        """Return the session as CLI and API show it."""
        return {
            "session": self.id,
            "gate": self.gate,
            "state": self.state(now).value,
            "starts_at": to_text(self.starts_at),
            "called_by": self.called_by,
            "agenda": [one.release for one in self.agenda],
            "questions": [{"id": one.id, "digest": one.release, **one.as_json()} for one in self.questions],
            "closed_at": None if self.closed_at is None else to_text(self.closed_at),
            "closed_by": self.closed_by,
            "minutes": self.minutes,
        }


def seated(one: SignoffResult) -> Seated:
    """Return what a seat did, as the page and the minutes say it."""
    if one.approved_by:
        return Seated.APPROVE
    if one.rejected_by:
        return Seated.REJECT
    return Seated.ABSTAIN if one.abstained_by else Seated.ABSENT


def board_problems(board: Board, signoffs: Sequence[SignoffResult]) -> tuple[Reason, ...]:
    """Return why this board cannot decide, whatever its members say: empty seats, too few left, nobody to sign."""
    seats = [one for one in signoffs if one.is_seat]
    empty = [one.role for one in seats if not one.eligible and seated(one) is Seated.ABSENT]
    found = [
        Reason(code="SEAT_EMPTY", text=f"Seat {role.value} has nobody. {_SEATS}", where=role.value) for role in empty
    ]
    able = sum(one.is_complete or (bool(one.eligible) and not one.rejected_by) for one in seats)
    if able < board.quorum:
        text = f"{able} of {len(seats)} seats can still approve, and the board needs {board.quorum}. {_SEATS}"
        found.append(Reason(code="QUORUM_IMPOSSIBLE", text=text, observed=str(able), limit=str(board.quorum)))
    found += [_needed(role) for role in board.must_vote if role in empty]
    found += [_unsigned(one.role) for one in signoffs if not one.is_seat and not one.eligible and not one.is_complete]
    return tuple(found)


_SEATS = "Name holders and alternates under `seats` of pilotage.yaml."


def _needed(role: Role) -> Reason:
    text = f"The board decides nothing without {role.value}, and that seat has nobody."
    return Reason(code="MUST_VOTE_EMPTY", text=text, where=role.value)


def _unsigned(role: Role) -> Reason:
    text = f"After the board {role.value} signs, and nobody who may is free of a conflict. Name one in pilotage.yaml."
    return Reason(code="SIGNER_MISSING", text=text, where=role.value)

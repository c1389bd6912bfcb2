"""A request for changes waits until the next release answers it or whoever asked closes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.gate.change_request import ChangeRequest, closing_problem
from pilotage.identity.roles import Role

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ADA, BEN = PersonId("ada"), PersonId("ben")
OPEN = ChangeRequest(
    id="C1",
    release=Digest("sha256:" + "a" * 64),
    workflow=WorkflowName("loans"),
    gate="code-review",
    role=Role.SENIOR_ENGINEER,
    person=ADA,
    text="Name the limit.",
    at=NOON,
)
CLOSED = replace(OPEN, closed_at=NOON, closed_reason="Settled.")
ANSWERED = replace(OPEN, answered_by=Digest("sha256:" + "b" * 64))


def test_a_request_is_open_until_it_is_closed_or_answered() -> None:
    assert [(one.state, one.is_open) for one in (OPEN, CLOSED, ANSWERED)] == [
        ("open", True),
        ("closed", False),
        ("answered", False),
    ]
    assert [one.as_json()["closed_at"] for one in (OPEN, CLOSED)] == [None, "2026-11-26T12:00:00.000Z"]


def test_only_whoever_asked_closes_a_request_and_only_while_it_is_open() -> None:
    assert closing_problem(OPEN, ADA) is None
    found = [closing_problem(OPEN, BEN), closing_problem(OPEN, None), closing_problem(ANSWERED, ADA)]
    assert [None if one is None else one.code for one in found] == ["NOT_PERMITTED", "NOT_PERMITTED", "CHANGE_CLOSED"]

"""What an incident needs to move on, and the times that are reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pilotage.incident.records import (
    ActionItem,
    HardKind,
    Incident,
    IncidentState,
    PostMortem,
    Severity,
    Times,
    lower,
    move,
    post_mortem_due,
    recovery,
    reopen,
)

ITEM = ActionItem(text="Alarm on it", owner="anna", due="2026-04-01", aim="detect")
WRITTEN = PostMortem(author="anna", cause="a bad prompt", actions=(ITEM,), informed="all told", approved_by="carl")
READY = Incident(id="i", severity=Severity.SEV1, state=IncidentState.RESOLVED, commander="ben", post_mortem=WRITTEN)


def codes(incident: Incident, to: IncidentState) -> list[str]:
    refusal = move(incident, to)
    return [] if refusal is None else [reason.code for reason in refusal.reasons]


@pytest.mark.feature("DP.14", "DP.15")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"post_mortem": None}, ["POST_MORTEM_MISSING"]),
        ({"post_mortem": replace(WRITTEN, cause="")}, ["CAUSE_MISSING"]),
        ({"post_mortem": replace(WRITTEN, actions=())}, ["ACTION_MISSING"]),
        ({"post_mortem": replace(WRITTEN, informed="")}, ["ASKERS_UNINFORMED"]),
        ({"post_mortem": replace(WRITTEN, approved_by=None)}, ["SECOND_PERSON_NEEDED"]),
        ({"post_mortem": replace(WRITTEN, approved_by="anna")}, ["SECOND_PERSON_NEEDED"]),
        ({"post_mortem": replace(WRITTEN, approved_by="ben")}, ["SECOND_PERSON_NEEDED"]),
        ({"former_commanders": ("carl",)}, ["SECOND_PERSON_NEEDED"]),
        ({"is_verified": False}, ["NOT_VERIFIED"]),
        ({"freezes": True}, ["FREEZE"]),
        ({"freezes": True, "freeze_lifted": True}, []),
        ({"severity": Severity.SEV3, "post_mortem": None}, []),
        ({"severity": Severity.SEV3, "is_rollback": True, "post_mortem": None}, ["POST_MORTEM_MISSING"]),
        ({"severity": Severity.SEV3, "is_rollback": True, "post_mortem": replace(WRITTEN, actions=())}, []),
    ],
)
def test_an_incident_closes_only_when_everything_is_there(changes: dict[str, Any], expected: list[str]) -> None:
    assert codes(replace(READY, **changes), IncidentState.CLOSED) == expected


def test_one_that_a_machine_mitigated_is_taken_on_once() -> None:
    mitigated = Incident(id="i", severity=Severity.SEV2, state=IncidentState.MITIGATED, is_taken=False)
    assert codes(mitigated, IncidentState.ACKNOWLEDGED) == []
    assert codes(replace(mitigated, is_taken=True), IncidentState.ACKNOWLEDGED) == ["ILLEGAL_TRANSITION"]
    assert codes(replace(mitigated, state=IncidentState.RESOLVED), IncidentState.ACKNOWLEDGED) == ["ILLEGAL_TRANSITION"]


@pytest.mark.parametrize(("day", "due"), [(2, 9), (6, 13), (7, 13), (8, 13)])
def test_a_post_mortem_is_due_after_five_working_days(day: int, due: int) -> None:
    """The 2nd of March 2026 is a Monday."""
    assert post_mortem_due(datetime(2026, 3, day, 10, tzinfo=UTC)) == datetime(2026, 3, due, 10, tzinfo=UTC)


def test_what_ended_is_opened_again_within_seven_days() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)

    def why(state: IncidentState, ended_at: datetime | None) -> list[str]:
        refusal = reopen(replace(READY, state=state), ended_at=ended_at, now=now)
        return [] if refusal is None else [reason.code for reason in refusal.reasons]

    for state in (IncidentState.RESOLVED, IncidentState.CLOSED):
        assert why(state, now - timedelta(days=7)) == []
        assert why(state, now - timedelta(days=7, seconds=1)) == ["TOO_LATE"]
    assert why(IncidentState.RESOLVED, None) == why(IncidentState.OPEN, now) == ["ILLEGAL_TRANSITION"]


def test_a_state_never_goes_back() -> None:
    for before in IncidentState:
        for after in IncidentState:
            is_back = list(IncidentState).index(after) <= list(IncidentState).index(before)
            assert ("ILLEGAL_TRANSITION" in codes(replace(READY, state=before), after)) == is_back


def test_only_a_reason_lowers_a_severity() -> None:
    assert lower(READY, Severity.SEV3, reason=" ") is not None
    assert lower(READY, Severity.SEV3, reason="nobody saw it") is None
    assert lower(replace(READY, severity=Severity.SEV3), Severity.SEV1, reason="") is None


def test_hard_events_are_the_worst_but_an_impaired_function() -> None:
    assert {kind: kind.severity for kind in HardKind if kind.severity is not Severity.SEV1} == {
        HardKind.BUSINESS_FUNCTION: Severity.SEV2
    }


@pytest.mark.feature("D14.39")
def test_the_time_to_recover_counts_what_is_resolved_and_shows_what_is_open() -> None:
    day = datetime(2026, 3, 2, tzinfo=UTC)

    def at(hours: int, minutes: int = 0) -> datetime:
        return day + timedelta(hours=hours, minutes=minutes)

    found = recovery(
        [
            Times(started_at=at(9, 50), detected_at=at(10), resolved_at=at(10, 42)),
            Times(started_at=at(11), detected_at=at(11), resolved_at=at(13)),
            Times(started_at=at(9), detected_at=at(9)),
        ]
    )
    assert (found.mttr_minutes, found.median_minutes, found.longest_minutes, found.open) == (81, 81, 120, 1)
    nothing = recovery([])
    assert (nothing.mttr_minutes, nothing.mttd_minutes, nothing.open) == (None, None, 0)

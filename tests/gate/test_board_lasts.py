"""A board's approval that was in time when a rollout started lasts as long as the rollout may (gates.md 4.9)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.gate.builders import DAY, HOUR, NOW, TTL, approved_board, knowing

from pilotage.gate.decide import decide
from pilotage.gate.records import GateInput
from pilotage.gate.vocabulary import GateStatus
from pilotage.workspace.plan import Plan, Shadow, Step, Wave

VOTED = NOW - TTL - DAY


def under_way(*, since: timedelta, until: timedelta) -> GateInput:
    """Return a board that voted 15 days ago, with a rollout that runs from and until so long after the votes."""
    return knowing(approved_board(VOTED), runs_since=VOTED + since, runs_until=VOTED + until)


@pytest.mark.parametrize(
    ("since", "until", "status"),
    [
        (DAY, TTL + 2 * DAY, GateStatus.APPROVED),
        (TTL, TTL + 2 * DAY, GateStatus.APPROVED),
        (TTL + HOUR, TTL + 2 * DAY, GateStatus.EXPIRED),
        (DAY, TTL, GateStatus.EXPIRED),
    ],
    ids=["begun soon", "begun at the last moment", "begun too late", "over its time"],
)
def test_votes_in_time_at_the_start_last_while_the_rollout_may(
    since: timedelta, until: timedelta, status: GateStatus
) -> None:
    assert decide(under_way(since=since, until=until), NOW).status is status


def test_votes_given_after_the_start_have_their_own_time() -> None:
    given = knowing(approved_board(VOTED), runs_since=VOTED - DAY, runs_until=NOW + DAY)
    assert decide(given, NOW).status is GateStatus.EXPIRED


def test_a_plan_states_its_shadow_and_every_bake() -> None:
    steps = (Step(name="canary", weight=0.05, bake_s=3600), Step(name="full", weight=1.0, bake_s=1800))
    waves = tuple(Wave(space=name, steps=steps) for name in ("east", "west"))  # type: ignore[arg-type]
    assert Plan(name="p", waves=waves).stated == 3 * HOUR
    assert Plan(name="p", waves=waves, shadow=Shadow(enabled=True, duration_s=7200)).stated == 5 * HOUR

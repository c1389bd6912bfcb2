"""What the machine does next, from facts alone; unknown never lets traffic up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.analysis.verdict import Effect, Judgement, Subject, Verdict
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.identity.roles import Role
from pilotage.rollout.machine import Action, Facts, Place, next_action, standing_against
from pilotage.rollout.states import WITH_TRAFFIC, State
from pilotage.rollout.transitions import Actor, Event, transition
from pilotage.workspace.plan import Approach, Plan, Shadow, Step, Wave

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLAN = Plan(
    name="p",
    waves=(
        Wave(
            space=SpaceName("a"),
            steps=(
                Step(name="one", weight=0.05, bake_s=3600, max_s=7200, decide=(Role.OPERATIONS_LEAD,)),
                Step(name="two", weight=1.0, bake_s=3600),
            ),
        ),
        Wave(space=SpaceName("b"), steps=(Step(name="all", weight=1.0, bake_s=3600),)),
    ),
    pause_limit_s=72 * 3600,
    watch_s=86_400,
)
WHY = (Reason(code="x", text="x"),)


def verdict(outcome: Judgement, effect: Effect = Effect.NONE, *codes: str) -> Verdict:
    subject = Subject(plan="p", release="r", space="a", step="one", ledger_from=0, ledger_to=1)
    reasons = tuple(Reason(code=code, text=code) for code in codes or ("x",))
    return Verdict(subject=subject, outcome=outcome, effect=effect, reasons=reasons, tests={})


GO, DOUBT = verdict(Judgement.GO), verdict(Judgement.INCONCLUSIVE)
HOLD, TRIP = verdict(Judgement.NO_GO, Effect.HOLD), verdict(Judgement.NO_GO, Effect.ROLLBACK)


def facts(state: State, **changes: Any) -> Facts:
    base = Facts(state=state, plan=PLAN, place=Place(), state_at=NOW - HOUR, step_at=NOW - HOUR, gate=())
    return replace(base, **changes)


def event(found: Action | None) -> Event | None:
    return None if found is None else found.event


@pytest.mark.feature("D13.8", "D13.25", "DP.5", "DP.10")
@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (facts(State.PLANNED), None),
        (facts(State.PLANNED, is_loaded=True), Event.START),
        (facts(State.PLANNED, is_loaded=True, frozen=WHY), Event.REFUSE),
        (facts(State.PLANNED, is_loaded=True, preflight=WHY), Event.REFUSE),
        (facts(State.PLANNED, plan=replace(PLAN, shadow=Shadow(enabled=True))), None),
        (facts(State.PLANNED, plan=replace(PLAN, shadow=Shadow(enabled=True)), is_loaded=True), Event.START_SHADOW),
        (facts(State.PLANNED, plan=replace(PLAN, approach=Approach.BLUE_GREEN), is_loaded=True), Event.START_SHADOW),
        (facts(State.SHADOWING, is_loaded=True, frozen=WHY), None),
        (facts(State.SHADOWING, is_loaded=True, incidents=WHY), None),
        (facts(State.SHADOWING, shadow_done=False, is_loaded=True), None),
        (facts(State.SHADOWING, is_loaded=True), Event.START),
        (facts(State.OBSERVING), None),
        (facts(State.OBSERVING, verdict=GO), Event.CONCLUDE),
        (facts(State.OBSERVING, verdict=GO, step_at=NOW - HOUR / 2), None),
        (facts(State.OBSERVING, verdict=GO, step_at=None), None),
        (facts(State.OBSERVING, verdict=DOUBT), None),
        (facts(State.OBSERVING, verdict=DOUBT, step_at=NOW - 2 * HOUR), Event.CONCLUDE),
        (facts(State.OBSERVING, verdict=DOUBT, step_at=NOW - 2 * HOUR, extended_s=3600), None),
        (facts(State.OBSERVING, verdict=DOUBT, step_at=NOW - 2 * HOUR, place=Place(step=1)), Event.CONCLUDE),
        (facts(State.OBSERVING, verdict=GO, gate=WHY), Event.HOLD),
        (facts(State.OBSERVING, verdict=GO, incidents=WHY), Event.HOLD),
        (facts(State.OBSERVING, verdict=HOLD), Event.HOLD),
        (facts(State.OBSERVING, verdict=verdict(Judgement.INCONCLUSIVE, Effect.NONE, "sample_ratio")), Event.HOLD),
        (facts(State.OBSERVING, verdict=TRIP), Event.ROLL_BACK),
        (facts(State.DECIDING, verdict=GO, decision=Judgement.GO), None),
        (
            facts(State.DECIDING, verdict=GO, decision=Judgement.GO, signed=frozenset({Role.OPERATIONS_LEAD})),
            Event.DECIDE,
        ),
        (
            facts(State.DECIDING, verdict=DOUBT, decision=Judgement.GO, signed=frozenset({Role.OPERATIONS_LEAD})),
            None,
        ),
        (
            facts(
                State.DECIDING, verdict=GO, decision=Judgement.INCONCLUSIVE, signed=frozenset({Role.OPERATIONS_LEAD})
            ),
            None,
        ),
        (facts(State.DECIDING, verdict=GO, decision=Judgement.GO, place=Place(step=1)), Event.DECIDE),
        (facts(State.DECIDING, verdict=GO, decision=Judgement.GO, state_at=NOW - 72 * HOUR), Event.HOLD),
        (facts(State.DECIDING, verdict=HOLD), Event.HOLD),
        (facts(State.ADVANCING, verdict=GO, decision=Judgement.GO), Event.STEP),
        (facts(State.ADVANCING), None),
        (facts(State.ADVANCING, verdict=DOUBT, decision=Judgement.GO), None),
        (facts(State.ADVANCING, verdict=HOLD, decision=Judgement.GO), None),
        (facts(State.ADVANCING, verdict=DOUBT, decision=Judgement.INCONCLUSIVE), Event.STEP),
        (facts(State.ADVANCING, verdict=HOLD, decision=Judgement.NO_GO), Event.STEP),
        (facts(State.ADVANCING, verdict=HOLD, decision=Judgement.INCONCLUSIVE), None),
        (facts(State.ADVANCING, verdict=GO, gate=WHY), None),
        (facts(State.ADVANCING, verdict=GO, gate=None), None),
        (facts(State.ADVANCING, verdict=GO, frozen=WHY), None),
        (facts(State.ADVANCING, verdict=GO, incidents=WHY), None),
        (facts(State.ADVANCING, place=Place(wave=1)), Event.FILL),
        (facts(State.ADVANCING, place=Place(wave=1), post_confirmed=False), None),
        (facts(State.PAUSED), None),
        (facts(State.PAUSED, state_at=NOW - 72 * HOUR), Event.TIME_OUT),
        (facts(State.HELD, state_at=NOW - 72 * HOUR), Event.TIME_OUT),
        (facts(State.WATCHING), None),
        (facts(State.WATCHING, state_at=NOW - 24 * HOUR), Event.COMPLETE),
        (facts(State.ROLLING_BACK, flipped_at=NOW), None),
        (facts(State.ROLLING_BACK, flipped_at=NOW, is_zero=True), Event.TRAFFIC_ZERO),
        (facts(State.ROLLING_BACK, flipped_at=NOW - timedelta(seconds=300)), Event.FAIL),
        (facts(State.VALIDATING, state_at=NOW, unverified=WHY), None),
        (facts(State.VALIDATING, state_at=NOW, unverified=None), None),
        (facts(State.VALIDATING, state_at=NOW, unverified=()), Event.VERIFY),
        (facts(State.VALIDATING, unverified=WHY), Event.FAIL),
        (facts(State.VALIDATING, unverified=None), Event.FAIL),
        (facts(State.ROLLBACK_FAILED), None),
        (facts(State.COMPLETED), None),
    ],
)
def test_the_next_action_follows_the_table(known: Facts, expected: Event | None) -> None:
    assert event(next_action(known, NOW)) is expected


@pytest.mark.parametrize("state", sorted(WITH_TRAFFIC))
def test_a_trip_wins_over_everything_wherever_there_is_traffic(state: State) -> None:
    known = facts(state, verdict=TRIP, decision=Judgement.GO, state_at=NOW - 1000 * HOUR, signed=frozenset(Role))
    assert event(next_action(known, NOW)) is Event.ROLL_BACK
    elsewhere = facts(state, verdict=GO, trips=WHY)
    assert next_action(elsewhere, NOW) == Action(event=Event.ROLL_BACK, reasons=WHY)


reasons = st.sampled_from([(), WHY])
everything = st.builds(
    facts,
    state=st.sampled_from(State),
    place=st.sampled_from([Place(), Place(step=1), Place(wave=1)]),
    state_at=st.sampled_from([NOW, NOW - HOUR, NOW - 100 * HOUR]),
    step_at=st.sampled_from([None, NOW, NOW - HOUR, NOW - 100 * HOUR]),
    is_loaded=st.booleans(),
    verdict=st.sampled_from([None, GO, DOUBT, HOLD, TRIP]),
    decision=st.sampled_from([None, *Judgement]),
    gate=st.sampled_from([None, (), WHY]),
    frozen=reasons,
    incidents=reasons,
    trips=reasons,
    signed=st.sampled_from([frozenset(), frozenset({Role.OPERATIONS_LEAD})]),
    flipped_at=st.sampled_from([None, NOW, NOW - HOUR]),
    is_zero=st.booleans(),
    unverified=st.sampled_from([None, (), WHY]),
)


@given(everything)
def test_whatever_the_facts_the_machine_does_only_what_the_table_allows_it(known: Facts) -> None:
    found = next_action(known, NOW)
    if found is not None:
        row = transition(known.state, found.event, Actor.MACHINE)
        assert hasattr(row, "number"), row


@given(everything)
def test_without_a_go_a_gate_and_a_free_calendar_traffic_never_goes_up(known: Facts) -> None:
    found = event(next_action(known, NOW))
    if found is Event.STEP:
        assert known.gate == ()
        assert not known.frozen
        assert not known.incidents
    if found is Event.DECIDE:
        assert known.verdict is GO
        assert known.decision is Judgement.GO


def test_an_advancing_rollout_says_what_it_waits_for() -> None:
    assert standing_against(facts(State.ADVANCING, gate=None))[0].code == "GATE_NOT_MET"
    assert standing_against(facts(State.ADVANCING, verdict=GO, gate=WHY, frozen=WHY)) == (*WHY, *WHY)
    stale = standing_against(facts(State.ADVANCING, verdict=DOUBT, decision=Judgement.GO))
    assert [(one.code, one.observed, one.limit) for one in stale] == [("STALE_VERDICT", "inconclusive", "go")]

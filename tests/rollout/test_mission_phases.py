"""The three phases of the mission are the bank's plan: how much traffic, whose, for how long, and who lets it go on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from tests.control.rollout_world import bank

from pilotage.analysis.verdict import Effect, Judgement, Subject, Verdict
from pilotage.identity.roles import Role
from pilotage.rollout.fraction import StepTraffic, step_traffic
from pilotage.rollout.machine import Facts, Place, next_action
from pilotage.rollout.states import State
from pilotage.rollout.transitions import Event
from pilotage.testing.rollouts import EAST, EU, WEST, WORKFLOW
from pilotage.workspace.plan import Approach, Plan

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
PHASES: Final = (
    ("canary", 0.05, ("pilot-users",), 24, (Role.OPERATIONS_LEAD,)),
    ("expanded", 0.25, (), 48, (Role.OPERATIONS_LEAD, Role.BUSINESS_OWNER)),
    ("full", 1.0, (), 12, ()),
)


def standard() -> Plan:
    """Return the plan that a rollout takes when nobody names another."""
    declared = bank().workflows[WORKFLOW].rollout
    assert declared is not None
    return declared.plans[declared.default_plan]


def looking(phase: int, baked: timedelta, **changes: object) -> Event | None:
    """Return what the machine does with a GO in a phase that has baked for this long."""
    subject = Subject(plan="p", release="r", space=EAST, step="s", ledger_from=0, ledger_to=1)
    go = Verdict(subject=subject, outcome=Judgement.GO, effect=Effect.NONE, reasons=(), tests={})
    known = Facts(
        state=State.OBSERVING,
        plan=standard(),
        place=Place(step=phase),
        state_at=NOW - baked,
        step_at=NOW - baked,
        gate=(),
        verdict=go,
    )
    found = next_action(replace(known, **changes), NOW)  # type: ignore[arg-type]
    return None if found is None else found.event


@pytest.mark.feature("D13.5", "D13.6", "D13.8", "D13.21", "D13.22", "D13.25", "D13.38", "D13.39")
@pytest.mark.parametrize("number", range(3), ids=[phase[0] for phase in PHASES])
def test_a_phase_has_its_weight_its_askers_its_time_and_its_deciders(number: int) -> None:
    step = standard().waves[0].steps[number]
    name, weight, cohort, hours, deciders = PHASES[number]
    assert (step.name, step.weight, step.cohort, step.decide) == (name, weight, cohort, deciders)
    met = step_traffic(step.weight, None)
    assert isinstance(met, StepTraffic)
    assert met.fraction_ppm == round(weight * 1_000_000)
    assert looking(number, hours * HOUR - SECOND) is None
    assert looking(number, hours * HOUR) is Event.CONCLUDE


@pytest.mark.feature("D13.13", "D13.30", "D13.32", "D13.37")
@pytest.mark.parametrize("number", [0, 1])
def test_a_phase_goes_on_only_when_each_of_its_deciders_signed_the_go(number: int) -> None:
    deciders = frozenset(PHASES[number][4])
    deciding = {"state": State.DECIDING, "decision": Judgement.GO}
    assert looking(number, HOUR, **deciding, signed=deciders) is Event.DECIDE
    for absent in deciders:
        assert looking(number, HOUR, **deciding, signed=deciders - {absent}) is None


@pytest.mark.feature("D13.40", "D13.42", "D13.43", "D13.44", "D13.45", "D13.46")
def test_east_goes_first_then_west_then_the_isolated_eu_and_it_is_watched_for_two_weeks() -> None:
    plan = standard()
    assert plan.approach is Approach.CANARY
    assert [(wave.space, wave.isolated) for wave in plan.waves] == [(EAST, False), (WEST, False), (EU, True)]
    assert [wave.steps[-1].weight for wave in plan.waves] == [1.0, 1.0, 1.0]
    assert plan.watch_s == 14 * 86_400
    last = Place(wave=2, step=1)
    watching = {"state": State.WATCHING, "place": last, "verdict": None}
    assert looking(0, timedelta(days=14) - SECOND, **watching) is None
    assert looking(0, timedelta(days=14), **watching) is Event.COMPLETE


@pytest.mark.feature("DT.1", "DT.2", "D13.17", "D13.18")
def test_the_limits_of_every_step_in_the_east_are_the_missions() -> None:
    for step in standard().waves[0].steps:
        limits = step.limits
        assert (limits.error_go, limits.error_trip) == (0.001, 0.01)
        assert (limits.latency_go_ms, limits.latency_trip_ms, limits.latency_quantile) == (2000.0, 5000.0, 0.95)

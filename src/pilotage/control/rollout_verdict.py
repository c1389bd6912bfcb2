"""The verdict over one space of a rollout: plan and counts in, signed value out (rollouts.md 6.5).

Rule: the judge sees counts, limits and context only, so a verdict can be computed again from its own record. Fail mode:
whatever goes wrong here makes the verdict INCONCLUSIVE; guards that did compute still fire.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pilotage.analysis.judge import judge
from pilotage.analysis.limits import Alphas, Context, Limits
from pilotage.analysis.verdict import Code, Subject, Verdict
from pilotage.control.rollout_ports import Observed
from pilotage.core.reason import Reason
from pilotage.rollout.assignment import PPM
from pilotage.rollout.machine import Place
from pilotage.store.rollouts import StoredRollout, StoredStep
from pilotage.workspace import plan as declared

_DAY_S = 86_400.0
STEP_BACK = timedelta(seconds=5)
"""How far the clocks of two workers may differ before time is not believed."""


def judge_place(
    stored: StoredRollout,
    place: Place,
    observed: Observed,
    *,
    gate: tuple[Reason, ...] | None,
    steps: tuple[StoredStep, ...],
    now: datetime,
) -> Verdict:
    """Return the verdict of the step a space stands in."""
    step = place.of(stored.plan)
    began = [one for one in steps if one.wave == place.wave and one.step == place.step]
    since = began[0].started_at if began else None
    fraction = began[0].fraction_ppm if began else PPM
    context = Context(
        subject=Subject(
            plan=stored.plan_digest,
            release=stored.release,
            space=stored.plan.waves[place.wave].space,
            step=step.name,
            ledger_from=observed.ledger_from,
            ledger_to=observed.ledger_to,
            excused=observed.excused,
        ),
        bake_over=since is not None and now - since >= timedelta(seconds=step.bake_s),
        gate_holds=gate == (),
        has_control=fraction < PPM,
        full_weight=step.weight >= 1.0,
        attempt=stored.attempt,
        latched=stored.latched if place == stored.place else (),
        blockers=(*observed.blockers, *_clock(stored, since, now)),
        planned_requests=planned_requests(stored, place.wave),
        requests_per_year=365.0 * per_day_of(stored, place.wave),
    )
    return judge(observed.counters, analysis_limits(step.limits), analysis_alphas(stored.plan.alpha), context)


def analysis_limits(limits: declared.Limits) -> Limits:
    """Return a step's limits as the tests take them; latencies are counts over a limit by now."""
    return Limits(
        error_go=limits.error_go,
        error_trip=limits.error_trip,
        slow=round(1.0 - limits.latency_quantile, 9),
        ungrounded_go=limits.ungrounded_go,
        ungrounded_trip=limits.ungrounded_trip,
        policy_go=limits.policy_go,
        policy_trip=limits.policy_trip,
        feedback_down=limits.feedback_down,
        shed=limits.shed,
        ratio=limits.ratio,
    )


def analysis_alphas(alpha: declared.Alpha) -> Alphas:
    """Return a plan's error budgets as the tests take them."""
    return Alphas(go=alpha.go, trip_total=alpha.trip_total, hold_total=alpha.hold_total, srm=alpha.srm)


def _clock(stored: StoredRollout, since: datetime | None, now: datetime) -> tuple[Reason, ...]:
    """Return that the clock stands before what happened already: no time that passed can be told."""
    last = max(stored.state_at, since or stored.state_at)
    if now >= last - STEP_BACK:
        return ()
    said, moved = f"{now:%Y-%m-%d %H:%M:%S}", f"{last:%Y-%m-%d %H:%M:%S}"
    text = f"The clock says {said} and the rollout moved at {moved} UTC. Set it right."
    return (Reason(code=Code.CLOCK_ERROR.value, text=text, observed=said, limit=moved),)


def per_day_of(stored: StoredRollout, wave: int) -> float:
    """Return the requests per day that preflight counted with in a space; 0 when nobody knew."""
    space = stored.plan.waves[wave].space
    forecast = stored.preflight.get("forecast")
    steps = forecast.get("steps", ()) if isinstance(forecast, Mapping) else ()
    known = next((one["per_day"] for one in steps if one["space"] == space), stored.preflight.get("per_day"))
    return 0.0 if known is None else float(known)


def planned_requests(stored: StoredRollout, wave: int) -> int:
    """Return the candidate's requests in a space at the plan's longest durations."""
    longest = sum(
        step.weight * (step.max_s if step.max_s is not None else 2 * step.bake_s) / _DAY_S
        for step in stored.plan.waves[wave].steps
    )
    return int(per_day_of(stored, wave) * longest)

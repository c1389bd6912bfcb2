"""The tests of a verdict as tables, and how one test is run (rollouts.md 6.5).

Rule: four trips, four e-CUSUMs, ten hold guards, one check, and the GO criteria; each spends its own share of the error
budget. Guards need two failures (relative: three) from at least two principals, or from the only one seen, before they
fire. Fail mode: a test that cannot be computed is BROKEN, which never passes; the others still speak.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from pilotage.analysis.counters import Counters, Metric, MetricCount
from pilotage.analysis.cusum import log_alarm
from pilotage.analysis.eprocess import log_gt, log_lt, threshold
from pilotage.analysis.limits import Alphas, Context, Limits, go_alpha
from pilotage.analysis.relative import comparable, log_relative, log_sample_ratio
from pilotage.analysis.verdict import Purpose, Standing, Tested

SAMPLE_RATIO = "check.sample_ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What every test may read."""

    counters: Counters
    limits: Limits
    alphas: Alphas
    context: Context


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A named test: `run` fills in the numbers and the standing of the empty result `of`."""

    __test__ = False

    of: Tested
    run: Callable[[Tested, Inputs], Tested]


def absolute(name: str, purpose: Purpose, metric: Metric, limit: str) -> Test:
    """Return a test of one metric's share against the limit of that field name."""

    def run(blank: Tested, inputs: Inputs) -> Tested:
        share = float(getattr(inputs.limits, limit))
        counted = inputs.counters.metric(metric)
        shown = replace(blank, limit=f"{'<' if purpose is Purpose.GO else '>'} {percent(share)}")
        if purpose is Purpose.GO:
            return _prove(shown, counted, share, go_alpha(inputs.alphas.go, inputs.context.attempt))
        alpha = inputs.alphas.trip if purpose is Purpose.TRIP else inputs.alphas.hold
        return _guard(shown, counted, share, alpha, inputs.counters.principals)

    return Test(of=Tested(name=f"{purpose.value}.{name}", purpose=purpose, standing=Standing.OPEN), run=run)


def late(name: str, metric: Metric, limit: str) -> Test:
    """Return the e-CUSUM beside a trip test."""

    def run(blank: Tested, inputs: Inputs) -> Tested:
        counted = inputs.counters.metric(metric)
        alarm = log_alarm(
            planned_requests=inputs.context.planned_requests,
            past_plan=counted.is_past_plan,
            requests_per_year=inputs.context.requests_per_year,
            alpha=inputs.alphas.trip_cusum,
        )
        shown = replace(
            blank,
            n=counted.guard.n,
            x=counted.guard.x,
            threshold=alarm,
            limit=f"> {percent(float(getattr(inputs.limits, limit)))}, starting late",
        )
        if counted.cusum is None:
            return replace(shown, standing=Standing.ABSENT)
        if counted.cusum == -math.inf:
            return replace(shown, standing=Standing.QUIET)
        fires = counted.cusum >= alarm and _enough(counted, 2, inputs.counters.principals)
        return replace(shown, log_e=counted.cusum, standing=Standing.FIRED if fires else Standing.QUIET)

    return Test(of=Tested(name=f"trip.{name}_late", purpose=Purpose.TRIP, standing=Standing.QUIET), run=run)


def relative(name: str, metric: Metric) -> Test:
    """Return the guard of one metric against stable, over distinct principals."""

    def run(blank: Tested, inputs: Inputs) -> Tested:
        rows = comparable(inputs.counters.relative.get(metric, ()))
        candidate = sum(row.candidate for row in rows)
        shown = replace(
            blank,
            n=candidate + sum(row.stable for row in rows),
            x=candidate,
            limit=f"> {inputs.limits.ratio:g} x stable",
            threshold=threshold(inputs.alphas.hold),
        )
        if not rows and not inputs.context.has_control:
            return replace(shown, standing=Standing.ABSENT)
        value = log_relative(rows, inputs.limits.ratio)
        # One failure per principal is counted, so three failures are three principals.
        fires = candidate >= 3 and value >= threshold(inputs.alphas.hold)
        return replace(shown, log_e=value, standing=Standing.FIRED if fires else Standing.QUIET)

    return Test(of=Tested(name=f"hold.relative_{name}", purpose=Purpose.HOLD, standing=Standing.QUIET), run=run)


def _sample_ratio(blank: Tested, inputs: Inputs) -> Tested:
    rows = inputs.counters.routed
    value, limit = log_sample_ratio(rows), threshold(inputs.alphas.srm)
    return replace(
        blank,
        n=sum(row.principals for row in rows),
        x=sum(row.candidate for row in rows),
        limit=", ".join(f"= {percent(row.fraction_ppm / 1e6)}" for row in rows),
        log_e=value,
        threshold=limit,
        standing=Standing.FIRED if value >= limit else Standing.QUIET,
    )


def _prove(shown: Tested, counted: MetricCount, share: float, alpha: float) -> Tested:
    value = log_lt(counted.go.n, counted.go.x, share)
    return replace(
        shown,
        n=counted.go.n,
        x=counted.go.x,
        log_e=value,
        threshold=threshold(alpha),
        standing=Standing.PROVED if value >= threshold(alpha) else Standing.OPEN,
    )


def _guard(shown: Tested, counted: MetricCount, share: float, alpha: float, principals: int) -> Tested:
    value = log_gt(counted.guard.n, counted.guard.x, share)
    fires = value >= threshold(alpha) and _enough(counted, 2, principals)
    return replace(
        shown,
        n=counted.guard.n,
        x=counted.guard.x,
        log_e=value,
        threshold=threshold(alpha),
        standing=Standing.FIRED if fires else Standing.QUIET,
    )


def _enough(counted: MetricCount, least: int, principals: int) -> bool:
    """Tell whether enough failures of enough principals stand behind a guard."""
    return counted.guard.x >= least and counted.failing >= max(1, min(2, principals))


def percent(share: float) -> str:
    """Return a share as text with four significant digits: `0.1 %`."""
    return f"{100.0 * share:.4g} %"


GO_CRITERIA = (
    absolute("error", Purpose.GO, Metric.ERROR, "error_go"),
    absolute("p95", Purpose.GO, Metric.SLOW, "slow"),
    absolute("ungrounded", Purpose.GO, Metric.UNGROUNDED, "ungrounded_go"),
    absolute("policy", Purpose.GO, Metric.POLICY, "policy_go"),
)
FEEDBACK_CRITERION = absolute("feedback", Purpose.GO, Metric.FEEDBACK, "feedback_down")
LATE = (
    late("error", Metric.ERROR, "error_trip"),
    late("p95", Metric.STALLED, "slow"),
    late("ungrounded", Metric.UNGROUNDED, "ungrounded_trip"),
    late("policy", Metric.POLICY, "policy_trip"),
)
TRIPS = (
    absolute("error", Purpose.TRIP, Metric.ERROR, "error_trip"),
    absolute("p95", Purpose.TRIP, Metric.STALLED, "slow"),
    absolute("ungrounded", Purpose.TRIP, Metric.UNGROUNDED, "ungrounded_trip"),
    absolute("policy", Purpose.TRIP, Metric.POLICY, "policy_trip"),
    *LATE,
)
HOLDS = (
    absolute("error", Purpose.HOLD, Metric.ERROR, "error_go"),
    absolute("p95", Purpose.HOLD, Metric.SLOW, "slow"),
    absolute("ungrounded", Purpose.HOLD, Metric.UNGROUNDED, "ungrounded_go"),
    absolute("policy", Purpose.HOLD, Metric.POLICY, "policy_go"),
    absolute("feedback", Purpose.HOLD, Metric.FEEDBACK, "feedback_down"),
    absolute("shed", Purpose.HOLD, Metric.SHED, "shed"),
    relative("error", Metric.ERROR),
    relative("slow", Metric.SLOW),
    relative("refused", Metric.REFUSED),
    relative("client_gone", Metric.CLIENT_GONE),
)
CHECKS = (Test(of=Tested(name=SAMPLE_RATIO, purpose=Purpose.CHECK, standing=Standing.QUIET), run=_sample_ratio),)

"""Counters and contexts that tests of verdicts start from: a clean, large, finished step."""

from __future__ import annotations

from dataclasses import replace

from pilotage.analysis.counters import Count, Counters, FailureArms, Metric, MetricCount, Routed
from pilotage.analysis.limits import Alphas, Context, Limits
from pilotage.analysis.verdict import Subject

SUBJECT = Subject(plan="plan", release="release", space="production", step="canary", ledger_from=1, ledger_to=9)
READY = Context(subject=SUBJECT, bake_over=True, gate_holds=True, planned_requests=11_000)
LIMITS = Limits()
ALPHAS = Alphas()
CLEAN_N = 10_000


def counted(n: int, x: int = 0, *, failing: int | None = None, cusum: float | None = None) -> MetricCount:
    """One metric without caps; every failure from a principal of its own unless told otherwise."""
    return MetricCount(
        go=Count(n=n, x=x), guard=Count(n=n, x=x), failing=x if failing is None else failing, cusum=cusum
    )


def clean(n: int = CLEAN_N) -> Counters:
    """A step without one failure, routed as planned."""
    return Counters(
        metrics={metric: counted(n) for metric in Metric},
        principals=500,
        relative={
            metric: (FailureArms(fraction_ppm=50_000),)
            for metric in (Metric.ERROR, Metric.SLOW, Metric.REFUSED, Metric.CLIENT_GONE)
        },
        routed=(Routed(fraction_ppm=50_000, principals=10_000, candidate=500),),
        admitted=n,
        recorded=n,
        answers=n,
    )


def having(metric: Metric, count: MetricCount, counters: Counters | None = None) -> Counters:
    """The counters with one metric changed."""
    base = counters or clean()
    return replace(base, metrics={**base.metrics, metric: count})

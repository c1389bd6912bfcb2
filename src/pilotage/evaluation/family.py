"""Holm's correction over all comparison criteria of a gate, as one family (evaluation.md 7.2).

Rule: what is compared with the baseline and what the ratchet compares with the oldest release is corrected together,
once a metric and comparison. Fail mode: a metric without a pair has p 1 and counts in the family.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from pilotage.core.multiple import holm
from pilotage.evaluation.comparison import Comparison, worse_metrics


def in_one_family(compared: Sequence[tuple[Comparison, Collection[str]]], *, alpha: float) -> tuple[Comparison, ...]:
    """Return the comparisons with p adjusted over the named metrics of all of them, and what is worse by that."""
    members = [
        (place, metric)
        for place, (comparison, metrics) in enumerate(compared)
        for metric in sorted(set(metrics) & comparison.differences.keys())
    ]
    adjusted = holm([compared[place][0].differences[metric].p for place, metric in members])
    p_holm = dict(zip(members, adjusted, strict=True))
    return tuple(
        _with(comparison, {metric: p for (at, metric), p in p_holm.items() if at == place}, alpha)
        for place, (comparison, _) in enumerate(compared)
    )


def _with(comparison: Comparison, p_holm: dict[str, float], alpha: float) -> Comparison:
    found = {name: replace(one, p_holm=p_holm.get(name, one.p)) for name, one in comparison.differences.items()}
    known = [one for one in comparison.regressions if one.code != "METRIC_WORSE"]
    lost = [one for one in known if one.code == "MUST_PASS_LOST"]
    rest = [one for one in known if one.code != "MUST_PASS_LOST"]
    worse = worse_metrics(found, sorted(p_holm), alpha)
    return replace(comparison, differences=found, regressions=(*lost, *worse, *rest))

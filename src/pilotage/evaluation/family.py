"""Holm's correction over all comparison criteria of a gate, as one family (evaluation.md 7.2).

Rule: what is compared with the baseline and what the ratchet compares with the oldest release is corrected together,
once a metric and comparison; what is lost inside the margin a metric may lose is not worse. Fail mode: a metric without
a pair has p 1 and counts in the family; one that is asked for without a margin may lose nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pilotage.core.multiple import holm
from pilotage.evaluation.comparison import Comparison, worse_metrics

Margins = Mapping[str, float | None]


def in_one_family(compared: Sequence[tuple[Comparison, Margins]], *, alpha: float) -> tuple[Comparison, ...]:
    """Return the comparisons with p adjusted over the named metrics of all of them, and what is worse by that."""
    members = [
        (place, metric)
        for place, (comparison, metrics) in enumerate(compared)
        for metric in sorted(metrics.keys() & comparison.differences.keys())
    ]
    adjusted = holm([compared[place][0].differences[metric].p for place, metric in members])
    p_holm = dict(zip(members, adjusted, strict=True))
    return tuple(
        _with(comparison, {metric: p for (at, metric), p in p_holm.items() if at == place}, alpha, margins)
        for place, (comparison, margins) in enumerate(compared)
    )


def _with(comparison: Comparison, p_holm: dict[str, float], alpha: float, margins: Margins) -> Comparison:
    found = {name: replace(one, p_holm=p_holm.get(name, one.p)) for name, one in comparison.differences.items()}
    known = [one for one in comparison.regressions if one.code != "METRIC_WORSE"]
    lost = [one for one in known if one.code == "MUST_PASS_LOST"]
    rest = [one for one in known if one.code != "MUST_PASS_LOST"]
    worse = worse_metrics(found, sorted(p_holm), alpha, margins)
    return replace(comparison, differences=found, regressions=(*lost, *worse, *rest))

"""How large a leak rate may still be after so many pairs without one (evaluation.md 4).

Rule: an exact one-sided 95 % Clopper-Pearson bound, over pairs and over distinct (allowed set, document) clusters,
because pairs of one cluster repeat each other. Fail mode: no pair bounds nothing (1.0); one leak is reported as is.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.core.canonical import Json
from pilotage.evaluation.intervals import clopper_pearson

TAIL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakRate:
    """Leaks among pairs and among clusters, with their upper bounds."""

    leaks: int
    pairs: int
    upper: float
    leaking_clusters: int
    clusters: int
    cluster_upper: float

    def as_json(self) -> dict[str, Json]:
        """Return every field, for reports and claims."""
        return {
            "leaks": self.leaks,
            "pairs": self.pairs,
            "rate": self.leaks / self.pairs if self.pairs else None,
            "upper": self.upper,
            "leaking_clusters": self.leaking_clusters,
            "clusters": self.clusters,
            "cluster_upper": self.cluster_upper,
        }


def upper_bound(leaks: int, pairs: int) -> float:
    """Return the one-sided 95 % upper bound; 1 - 0.05^(1/n) at zero leaks, 1.0 without pairs."""
    return clopper_pearson(leaks, pairs, tail=TAIL).upper


def leak_rate(*, leaks: int, pairs: int, leaking_clusters: int, clusters: int) -> LeakRate:
    """Return the leak rate with both bounds; impossible counts raise ValueError."""
    return LeakRate(
        leaks=leaks,
        pairs=pairs,
        upper=upper_bound(leaks, pairs),
        leaking_clusters=leaking_clusters,
        clusters=clusters,
        cluster_upper=upper_bound(leaking_clusters, clusters),
    )

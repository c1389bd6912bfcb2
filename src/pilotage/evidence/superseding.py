"""Which evidence is current, and what a replacement does to approvals (gates.md 2.1).

Rule: the newest accepted item per kind, subject, space and suite is current; what came later with an earlier time takes
the place of nothing and counts beside it, and only Pilotage's own item takes the place of one. Own stochastic runs
never supersede: all runs within the window are pooled, and a later run lowers a result but never raises it. Fail mode:
what is neither clearly better nor equal is adverse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from pilotage.evidence.fresh import age_of, window_of
from pilotage.evidence.records import Evidence, EvidenceState

OWN_RUNS = frozenset({"evaluation", "permissions", "redteam", "fairness"})
INSTANCE: Final = "instance"
"""Producer of what Pilotage found itself."""
VERDICT: Final = "verdict"
"""Reference of an own run: go, no_go or inconclusive."""
BASELINE: Final = "baseline"
"""Reference of an own run: the release it was compared with."""
ENGINE: Final = "engine"
"""Reference of an own run: the version of Pilotage that made it."""
WHY_UNPROVEN: Final = "unproven"
"""Names of an own run: sentences that say why a claim is absent, and what to do."""
_SIZES = frozenset(
    {"scored", "bias_scored", "groups", "min_group_n", "executed", "requests", "lines_valid", "components"}
)
_LOWER_IS_BETTER = frozenset(
    {
        *("failed", "errors", "skipped", "skipped_share", "flaky", "duplicates", "missing_critical"),
        *("critical", "high", "medium", "low", "unknown", "suppressed", "unaudited", "exploitable"),
        *("unverified", "duplicated", "hotspots_to_review", "new_issues"),
        *("denied", "unknown_licence", "changes_requested", "unmapped", "must_pass_failed", "regressions"),
        *("ratchet_regressions", "worst_bias", "bias_unscored"),
        *("leaks", "pii_leaks", "critical_failures", "forbidden_fact", "superseded_source", "pii_leak"),
        *("policy_violation", "grounding", "hallucination_answer", "hallucination_statement", "over_refusal", "cost"),
        *("tokens_in", "tokens_out", "worst_gap", "flips", "error_rate", "p50", "p95", "p99", "max_gap_s"),
        *("drift_ratio", "rto_s", "rpo_s", "lost_requests", "seconds_to_zero_traffic", "serious", "moderate"),
        *("minor", "incomplete", "missing_sections", "placeholders", "unlabelled", "without_owner"),
        *("without_lineage", "pii_unhandled", "blocked", "open_critical"),
    }
)
_BENIGN_SIZE_SHARE = 0.9


def is_lower_better(claim: str, kind: str = "") -> bool:
    """Tell whether a larger value of this claim is worse; bounds and percentiles go by the claim they bound.

    A verified secret is worse, a verified drill better: `kind` tells them apart.
    """
    name = claim
    if (kind, claim) == ("scan.secrets", "verified"):
        return True
    for ending in ("_lcb", "_ucb"):
        name = name.removesuffix(ending)
    return name in _LOWER_IS_BETTER or name.endswith("_ms")


def current_items(items: Iterable[Evidence], now: datetime) -> tuple[Evidence, ...]:
    """Return what counts now, sorted by kind, suite and time; own runs all, as long as they are fresh.

    A withdrawn item still supersedes what was before it, so taking back a failure does not bring an old pass to life.
    """
    series: dict[tuple[str, str, str, str | None, str, bool], list[Evidence]] = {}
    runs: list[Evidence] = []
    for item in items:
        if item.state not in {EvidenceState.ACCEPTED, EvidenceState.WITHDRAWN}:
            continue
        if item.kind in OWN_RUNS:
            runs += [item] if item.state is EvidenceState.ACCEPTED else []
            continue
        is_own = item.producer == INSTANCE
        series.setdefault(
            (item.kind, item.subject_kind.value, item.subject, item.space, item.suite, is_own), []
        ).append(item)
    kept = _fresh_runs(runs, now)
    held_now = [item for found in series.values() for item in _newest(found) if item.state is EvidenceState.ACCEPTED]
    return tuple(sorted((*held_now, *kept), key=lambda one: (one.kind, one.suite, one.received_at, one.id)))


def _newest(series: Sequence[Evidence]) -> list[Evidence]:
    """Return what no later item of the series replaces: one that came after it and was not made before it."""
    kept: list[Evidence] = []
    made: datetime | None = None
    for item in sorted(series, key=lambda one: (one.received_at, one.id), reverse=True):
        at = min(item.produced_at, item.received_at)
        if made is None or at > made:
            kept.append(item)
            made = at
    return kept


def _is_newer(item: Evidence, held: Evidence) -> bool:
    return (item.received_at, item.id) > (held.received_at, held.id)


def _fresh_runs(runs: Sequence[Evidence], now: datetime) -> list[Evidence]:
    """Keep fresh runs; when none of a kind is fresh, the newest stays, so that its expiry can be told."""
    kept = [run for run in runs if age_of(run, now) <= window_of(run.kind)]
    stale = {run.kind for run in runs} - {run.kind for run in kept}
    newest = {run.kind: run for run in sorted(runs, key=lambda run: (run.received_at, run.id))}
    return kept + [newest[kind] for kind in sorted(stale)]


def pooled(runs: Sequence[Evidence]) -> Mapping[str, float]:
    """Return the claims of several own runs as one: the worst of each, sizes and scored cases of the largest.

    A claim that one run lacks is absent, so its check is inconclusive. Times are those of the runs that asked: one that
    met only kept answers has none (evaluation.md 3.6), and says nothing of them.
    """
    if not runs:
        return {}
    names = {name for name in _shared(runs) if not _is_time(name)}
    names |= {name for name in _shared([run for run in runs if not _asked_nothing(run)]) if _is_time(name)}
    return {name: _pool(name, [run.claims[name] for run in runs if name in run.claims]) for name in sorted(names)}


def _shared(runs: Sequence[Evidence]) -> set[str]:
    return set(runs[0].claims).intersection(*(run.claims for run in runs[1:])) if runs else set()


def _is_time(claim: str) -> bool:
    return claim.endswith("_ms")


def _asked_nothing(run: Evidence) -> bool:
    """Tell whether every answer was kept: one that failed has no time either, and is unscored."""
    return run.claims.get("unscored") == 0 and not any(_is_time(name) for name in run.claims)


def _pool(name: str, values: Sequence[float]) -> float:
    if name in _SIZES:
        return max(values)
    if name == "unscored":
        return min(values)
    return max(values) if is_lower_better(name) else min(values)


def is_benign(old: Evidence, new: Evidence) -> bool:
    """Tell whether a replacement leaves approvals standing: newer, no less trusted, no worse, nearly as large.

    Criteria are recomputed by the caller in any case; this looks at the claims alone.
    """
    same = (old.kind, old.subject, old.suite) == (new.kind, new.subject, new.suite)
    if not same or new.trust.rank < old.trust.rank or not _is_newer(new, old):
        return False
    for name, before in old.claims.items():
        after = new.claims.get(name)
        if after is None and new.kind in OWN_RUNS and _is_time(name) and _asked_nothing(new):
            continue
        if after is None:
            return False
        if name in _SIZES and after < _BENIGN_SIZE_SHARE * before:
            return False
    known = {finding.key for finding in old.findings}
    return not any(finding.key not in known for finding in new.findings)

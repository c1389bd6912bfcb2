"""Which metrics one request counts in, and whether it failed them (rollouts.md 5.1).

Rule: every outcome has a row; a metric absent from the row's answer is not in that metric's denominator. Only user
traffic is counted; other kinds have their own counters. Fail mode: an unknown outcome, or a latency that is negative or
not a number, counts as `lost`: an error that exceeds every latency limit, shown and never dropped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pilotage.analysis.counters import Metric

LOST = "lost"
_ERRORS = frozenset(
    {"error.server", "error.upstream", "error.guard", "error.record", "timeout", "stream_aborted", LOST, "shed"}
)
_MEASURED = frozenset({"ok", "refused", "policy_blocked", "client_gone", "slow_client"})
NO_OBSERVATION = frozenset({"rejected"})
"""A caller's mistake before routing says nothing about a release."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyLimits:
    """When a request counts as slow (GO) and as stalled (trip), in milliseconds."""

    go_ms: float = 2000.0
    trip_ms: float = 5000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One user request as recorded. `ungrounded` None: not scored; `rating_down` None: not rated by its asker."""

    outcome: str
    latency_ms: float | None
    ungrounded: bool | None = None
    rating_down: bool | None = None


def counted_outcome(request: Request) -> str:
    """Return the outcome that counts: `lost` for an unknown one or for a latency nobody can have measured."""
    if request.outcome in _ERRORS:
        return request.outcome
    latency = request.latency_ms
    if request.outcome not in _MEASURED or latency is None or not math.isfinite(latency) or latency < 0.0:
        return LOST
    return request.outcome


def marks(request: Request, limits: LatencyLimits) -> Mapping[Metric, bool]:
    """Return the metrics a request counts in; True is a failure. Empty for a request that is no observation."""
    if request.outcome in NO_OBSERVATION:
        return MappingProxyType({})
    outcome = counted_outcome(request)
    is_error, latency = outcome in _ERRORS, request.latency_ms or 0.0
    found = {
        Metric.SLOW: is_error or latency > limits.go_ms,
        Metric.STALLED: is_error or latency > limits.trip_ms,
        Metric.SHED: outcome == "shed",
        Metric.REFUSED: outcome == "refused",
        Metric.CLIENT_GONE: outcome in {"client_gone", "slow_client"},
    }
    if outcome not in {"client_gone", "slow_client"}:
        found[Metric.ERROR] = is_error
    if outcome in {"ok", "refused", "policy_blocked"}:
        found[Metric.POLICY] = outcome == "policy_blocked"
    if outcome == "ok" and request.ungrounded is not None:
        found[Metric.UNGROUNDED] = request.ungrounded
    if request.rating_down is not None:
        found[Metric.FEEDBACK] = request.rating_down
    return MappingProxyType(found)

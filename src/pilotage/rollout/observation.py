"""What one recorded request says of the release that answered it (rollouts.md 5.1): which metrics it counts for.

Rule: exactly one outcome per request; errors exceed every latency limit; a caller's mistake before routing is no
observation. Fail mode: an outcome nobody knows, an arm nobody knows, a negative or NaN latency counts as `lost`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pilotage.analysis.counters import Metric
from pilotage.rollout.assignment import Arm

_ERRORS = frozenset(
    {"error.server", "error.upstream", "error.guard", "error.record", "timeout", "stream_aborted", "lost", "shed"}
)
_ANSWERS = frozenset({"ok", "refused", "policy_blocked"})
_GONE = frozenset({"client_gone", "slow_client"})
_NO_OBSERVATION = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One request in ledger order. `day`: whole days since its step began, `hour`: the hour of that day, 0 to 23.

    `step` names attempt and step. `is_known` False: arm, release or step was none of the rollout's.

    `ungrounded` None: the answer has no grounding score. `rating`: `up`, `down` or None. `is_cached`: it was given
    again, so how long it took says nothing of the release. `is_excused`: it came in a window that counts for no arm.
    """

    seq: int
    step: str
    day: int
    hour: int = 0
    arm: Arm
    principal: str
    outcome: str
    latency_ms: float
    ungrounded: bool | None = None
    is_answer: bool = False
    is_cached: bool = False
    is_known: bool = True
    is_excused: bool = False

    @property
    def is_quarantined(self) -> bool:
        """Whether its record cannot be true: it counts as `lost`."""
        return not self.is_known or sound_outcome(self.outcome, self.latency_ms) != self.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyLimits:
    """Milliseconds."""

    go_ms: float
    trip_ms: float


def is_observation(outcome: str) -> bool:
    """Tell whether a recorded request says anything of a release."""
    return outcome != _NO_OBSERVATION


def sound_outcome(outcome: str, latency_ms: float) -> str:
    """Return the outcome to count: `lost` for what cannot be true."""
    known = outcome in _ERRORS or outcome in _ANSWERS or outcome in _GONE
    return outcome if known and math.isfinite(latency_ms) and latency_ms >= 0 else "lost"


def marks(seen: Observation, limits: LatencyLimits) -> Mapping[Metric, bool]:
    """Return, for each metric the request counts for, whether it failed."""
    outcome = "lost" if seen.is_quarantined else seen.outcome
    is_error, is_gone, is_answer = outcome in _ERRORS, outcome in _GONE, outcome in _ANSWERS
    found = {Metric.SHED: outcome == "shed", Metric.CLIENT_GONE: is_gone}
    if is_error or not seen.is_cached:
        found[Metric.SLOW] = is_error or seen.latency_ms > limits.go_ms
        found[Metric.STALLED] = is_error or seen.latency_ms > limits.trip_ms
    if not is_gone:
        found[Metric.ERROR] = is_error
    if is_answer:
        found[Metric.POLICY] = outcome == "policy_blocked"
        found[Metric.REFUSED] = outcome == "refused"
    if seen.ungrounded is not None and seen.is_known:
        found[Metric.UNGROUNDED] = seen.ungrounded
    return found

"""E-CUSUM: catches a regression that starts late, after much clean traffic (rollouts.md 6.4).

Method: Shin, Ramdas, Rinaldo 2023. Per alternative of `gt`, S_k = max(S_k, 0) + log-ratio; the statistic is
logsumexp_k S_k - log 24. The chance of a false alarm within N requests is at most N / A. The state is exact: the same
outcomes in the same order, in any batches, give the same bits, and `as_json` keeps them (hexadecimal floats). Fail
mode: a state that does not decode raises ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pilotage.analysis.eprocess import MARGIN, grid_gt, log_ratios, log_sum_exp
from pilotage.core.canonical import Json

LEAST_RUN, MOST_RUN = 1e4, 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Cusum:
    """The state after `seen` outcomes. `peak`: the highest statistic of this phase; -inf before the first failure.

    `is_past_plan`: more outcomes were seen than the plan reckoned with, so the alarm limit is the yearly one.
    """

    limit: float
    sums: tuple[float, ...]
    seen: int = 0
    peak: float = -math.inf
    is_past_plan: bool = False

    @property
    def statistic(self) -> float:
        """Return the log statistic now; 0 before the first outcome."""
        return log_sum_exp(self.sums) - math.log(len(self.sums))

    def as_json(self) -> dict[str, Json]:
        """Return the exact state; floats are hexadecimal text."""
        return {
            "limit": self.limit.hex(),
            "sums": [value.hex() for value in self.sums],
            "seen": self.seen,
            "peak": self.peak.hex(),
            "past_plan": self.is_past_plan,
        }


def start(limit: float) -> Cusum:
    """Return the state before the first outcome, for failures above `limit`."""
    return Cusum(limit=limit, sums=(0.0,) * len(grid_gt(limit)))


def resume(kept: Mapping[str, Json] | None, limit: float) -> Cusum:
    """Return the state that was kept, a new one without any or where it watched another limit."""
    state = start(limit) if kept is None else from_json(kept)
    return state if state.limit == limit else start(limit)


def advance(state: Cusum, outcomes: Iterable[bool]) -> Cusum:
    """Return the state after more outcomes in ledger order; True is a failure."""
    terms = log_ratios(state.limit, grid_gt(state.limit))
    sums, seen, peak = list(state.sums), state.seen, state.peak
    for failed in outcomes:
        seen += 1
        gains = [failure if failed else success for failure, success in terms]
        sums = [max(value, 0.0) + gain for value, gain in zip(sums, gains, strict=True)]
        if failed:  # a success never raises the statistic, so the peak can only move here
            peak = max(peak, log_sum_exp(sums) - math.log(len(sums)))
    return replace(state, sums=tuple(sums), seen=seen, peak=peak)


def follow(state: Cusum, outcomes: Sequence[bool], *, planned_requests: int) -> Cusum:
    """Return the state after more outcomes; beyond the planned requests a phase with another alarm limit begins.

    A peak is compared with the limit of its own phase only: one that was harmless in the plan must not alarm once the
    limit is lower. Without a traffic figure (0) there is one phase.
    """
    left = max(planned_requests - state.seen, 0)
    if state.is_past_plan or planned_requests <= 0 or len(outcomes) <= left:
        return advance(state, outcomes)
    return advance(next_phase(advance(state, outcomes[:left])), outcomes[left:])


def next_phase(state: Cusum) -> Cusum:
    """Return the state with a peak of its own, beyond the plan."""
    return replace(state, peak=state.statistic if state.seen else -math.inf, is_past_plan=True)


def log_alarm(*, planned_requests: int, past_plan: bool, requests_per_year: float, alpha: float) -> float:
    """Return log A: planned requests over alpha in a rollout, one false alarm a year beyond them.

    Without a traffic figure A is the largest one, 10^9: it alarms late, never falsely.
    """
    if past_plan or planned_requests <= 0:
        rate = requests_per_year if past_plan and requests_per_year > 0 else MOST_RUN
        return math.log(min(max(rate, LEAST_RUN), MOST_RUN)) + MARGIN
    return math.log(planned_requests / alpha) + MARGIN


def from_json(value: Mapping[str, Json]) -> Cusum:
    """Return the exact state that `as_json` wrote; raise ValueError when it is none."""
    match value:
        case {"limit": str(limit), "sums": [*sums], "seen": int(seen), "peak": str(peak)}:
            found = Cusum(
                limit=float.fromhex(limit),
                sums=tuple(float.fromhex(str(item)) for item in sums),
                seen=seen,
                peak=float.fromhex(peak),
                is_past_plan=value.get("past_plan", False) is True,
            )
        case _:
            raise ValueError("This is no e-CUSUM state: limit, sums, seen and peak are needed.")
    if len(found.sums) != len(grid_gt(found.limit)) or not all(map(math.isfinite, found.sums)) or found.seen < 0:
        raise ValueError("This e-CUSUM state is damaged: replay the ledger to compute it anew.")
    return found

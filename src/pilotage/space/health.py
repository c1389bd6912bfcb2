"""Whether a space is healthy, from what its serving processes report (rollouts.md 10).

A process checks each space in turn and counts its own successive failures and successes: two failures make it
unhealthy there, three successes healthy again. The space is unhealthy when no process that reports is fit. Fail mode:
silence is failure; a space nobody reports on is unknown, which is never healthy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from pilotage.core.reason import Reason

FAILURES = 2
SUCCESSES = 3
TIMEOUT_S = 5.0
FORGET_AFTER = timedelta(minutes=15)
"""After so long without a word a process serves nobody: its table is stale and its longest stream has ended."""


class HealthState(StrEnum):
    """`unknown`: nobody reports."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one process said last of a space. `age_s` is on the database's clock; counts are successive."""

    process: str
    age_s: float
    failures: int
    successes: int
    reasons: tuple[Reason, ...] = ()

    def is_silent(self, interval_s: float) -> bool:
        """Whether two checks in a row are missing."""
        return self.age_s > FAILURES * interval_s + TIMEOUT_S

    def is_failing(self, interval_s: float) -> bool:
        """Whether the process counts as unhealthy here."""
        return self.failures >= FAILURES or self.is_silent(interval_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The state, and what stands against it."""

    state: HealthState
    reasons: tuple[Reason, ...] = ()


def judge_health(before: HealthState, reports: Sequence[Report], *, interval_s: float) -> Health:
    """Return the state after these reports; a change needs two failed checks, or three that passed."""
    if not reports:
        text = "No serving process reports on this space. Start one with `pilotage up`."
        return Health(state=HealthState.UNKNOWN, reasons=(Reason(code="SPACE_UNSEEN", text=text),))
    against = tuple(reason for report in reports for reason in _against(report, interval_s))
    fit = [report for report in reports if not report.is_failing(interval_s)]
    if not fit:
        return Health(state=HealthState.UNHEALTHY, reasons=against)
    if before is HealthState.HEALTHY:
        return Health(state=before, reasons=against)
    needed = SUCCESSES if before is HealthState.UNHEALTHY else 1
    is_back = any(report.successes >= needed for report in fit)
    return Health(state=HealthState.HEALTHY if is_back else before, reasons=against)


def _against(report: Report, interval_s: float) -> tuple[Reason, ...]:
    if report.is_silent(interval_s):
        text = f"Process {report.process} has not reported for {report.age_s:.0f} s."
        limit = f"{FAILURES * interval_s + TIMEOUT_S:.0f} s"
        silent = Reason(
            code="PROCESS_SILENT", text=text, where=report.process, observed=f"{report.age_s:.0f} s", limit=limit
        )
        return (silent,)
    return report.reasons if report.failures else ()

"""Whether a space is healthy, from what its serving processes report (rollouts.md 10).

A process checks each space in turn and counts its own successive failures and successes: two failures make it
unhealthy there, three successes healthy again. The space is unhealthy when no process that reports is fit. Fail mode:
silence is failure; a space nobody reports on is unknown, which is never healthy. After a gap in which nobody judged
either, silence says nothing for as long as two checks take: who was silent then could not be heard.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from pilotage.core.clock import from_text, to_text
from pilotage.core.reason import Reason

FAILURES = 2
SUCCESSES = 3
TIMEOUT_S = 5.0
RESUMED = "WATCH_RESUMED"
FORGET_AFTER = timedelta(minutes=15)
"""After so long without a word a process serves nobody: its table is stale and its longest stream has ended."""


def silence(interval_s: float) -> timedelta:
    """Return for how long a process may say nothing: two checks, and the time one may take."""
    return timedelta(seconds=FAILURES * interval_s + TIMEOUT_S)


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
        return self.age_s > silence(interval_s).total_seconds()

    def is_failing(self, interval_s: float) -> bool:
        """Whether the process counts as unhealthy here."""
        return self.failures >= FAILURES or self.is_silent(interval_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The state, and what stands against it."""

    state: HealthState
    reasons: tuple[Reason, ...] = ()


def judge_health(
    before: HealthState, reports: Sequence[Report], *, interval_s: float, blind: Reason | None = None
) -> Health:
    """Return the state after these reports; a change needs two failed checks, or three that passed.

    `blind`: nobody had looked, so that silence keeps the state, for that reason. It stands in what is returned.
    """
    found = _judged(before, reports, interval_s=interval_s, is_blind=blind is not None)
    return found if blind is None else replace(found, reasons=(blind, *found.reasons))


def _judged(before: HealthState, reports: Sequence[Report], *, interval_s: float, is_blind: bool) -> Health:
    if not reports:
        text = "No serving process reports on this space. Start one with `pilotage up`."
        return Health(state=HealthState.UNKNOWN, reasons=(Reason(code="SPACE_UNSEEN", text=text),))
    against = tuple(reason for report in reports for reason in _against(report, interval_s))
    fit = [report for report in reports if not report.is_failing(interval_s)]
    if not fit:
        is_unheard = is_blind and any(report.is_silent(interval_s) for report in reports)
        return Health(state=before if is_unheard else HealthState.UNHEALTHY, reasons=against)
    if before is HealthState.HEALTHY:
        return Health(state=before, reasons=against)
    needed = SUCCESSES if before is HealthState.UNHEALTHY else 1
    is_back = any(report.successes >= needed for report in fit)
    return Health(state=HealthState.HEALTHY if is_back else before, reasons=against)


def _against(report: Report, interval_s: float) -> tuple[Reason, ...]:
    if report.is_silent(interval_s):
        text = f"Process {report.process} has not reported for {report.age_s:.0f} s."
        limit = f"{silence(interval_s).total_seconds():.0f} s"
        silent = Reason(
            code="PROCESS_SILENT", text=text, where=report.process, observed=f"{report.age_s:.0f} s", limit=limit
        )
        return (silent,)
    return report.reasons if report.failures else ()


def blind_until(reasons: Sequence[Reason], now: datetime) -> Reason | None:
    """Return the reason of a judgement for which silence says nothing yet, or None."""
    found = next((reason for reason in reasons if reason.code == RESUMED), None)
    return found if found is not None and found.limit is not None and now < from_text(found.limit) else None


def resumed(age_s: float, now: datetime, *, interval_s: float) -> Reason:
    """Return why silence says nothing for a while: nobody had judged for that long."""
    text = f"Nobody had judged for {age_s:.0f} s, so silence says nothing yet."
    until = to_text(now + silence(interval_s))
    return Reason(code=RESUMED, text=text, observed=f"{age_s:.0f} s", limit=until)


def failing_rows(
    reports: Sequence[Report], workflows: Collection[str], *, interval_s: float, is_blind: bool
) -> frozenset[str]:
    """Return the workflows of a space that no process is fit for.

    What a process says of one workflow, by `where`, is about that one; anything else, and silence, is about all. When
    nobody had looked a silent process may be fit for all.
    """
    found = frozenset(workflows)
    for report in reports:
        if not report.is_failing(interval_s) or (is_blind and report.is_silent(interval_s)):
            return frozenset()
        places = {reason.where for reason in report.reasons}
        if not report.is_silent(interval_s) and places and places <= set(workflows):
            found &= places
    return found

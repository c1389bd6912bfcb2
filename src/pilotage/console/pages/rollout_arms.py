"""Both arms of a rollout side by side: the rows of the live region, and the charts of their course (console.md 3.3).

Rule: the status of a row is the verdict's over its tests. Fail mode: what nobody observed is the word, never a 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from markupsafe import Markup

from pilotage.analysis.by_metric import Compared
from pilotage.analysis.verdict import Standing
from pilotage.console.charts.lines import line_chart
from pilotage.console.charts.series import Labels, Limit, Point, Series
from pilotage.console.words import Status
from pilotage.control.rollout_arms import Arms, ArmView
from pilotage.rollout.assignment import Arm
from pilotage.rollout.course import FEWEST, Slot
from pilotage.workspace.plan import Limits

_WORDS: Final = {
    Standing.PROVED: Status.GO,
    Standing.QUIET: Status.MET,
    Standing.OPEN: Status.INCONCLUSIVE,
    Standing.FIRED: Status.NO_GO,
    Standing.ABSENT: Status.UNKNOWN,
    Standing.BROKEN: Status.UNKNOWN,
}
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """One metric of both arms as text."""

    name: str
    stable: str
    candidate: str
    limit: str
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One metric of both arms over time. `name` is its address."""

    name: str
    title: str
    unit: str
    value: Callable[[Slot], float | None]
    text: Callable[[float], str]
    limits: Sequence[Limit]


def arm_rows(arms: Arms, standings: Mapping[Compared, Standing]) -> list[ArmRow]:
    """Return what is compared: errors, latency, grounding and ratings."""
    limits = arms.limits
    columns: tuple[tuple[Compared, str, Callable[[ArmView], str], str], ...] = (
        (Compared.ERRORS, "errors", _errors, f"< {percent(limits.error_go)}"),
        (Compared.LATENCY, f"{quantile_name(limits)} ms", _latency_of(limits), f"< {limits.latency_go_ms:,.0f}"),
        (Compared.GROUNDED, "grounded", _grounded, f"> {percent(1 - limits.ungrounded_go)}"),
        (Compared.RATED, "rated helpful", _rated, f">= {percent(1 - limits.feedback_down)}"),
    )
    return [
        ArmRow(
            name=name,
            stable=said(arms.stable),
            candidate=said(arms.candidate),
            limit=limit,
            status=_WORDS[standings[metric]],
        )
        for metric, name, said, limit in columns
    ]


def _errors(arm: ArmView) -> str:
    sums = arm.sums
    if sums.error_share is None:
        return UNKNOWN
    return f"{percent(sums.error_share)} of {sums.judged:,}" if sums.failed else f"0 of {sums.judged:,}"


def _latency_of(limits: Limits) -> Callable[[ArmView], str]:
    def said(arm: ArmView) -> str:
        value = arm.sums.latency_ms(limits.latency_quantile)
        if value is None:
            return UNKNOWN
        if arm.sums.requests < FEWEST:
            return f"{UNKNOWN}: {arm.sums.requests} requests, {FEWEST} needed"
        return f"{value:,.0f}" if math.isfinite(value) else "none: too many failed"

    return said


def _grounded(arm: ArmView) -> str:
    return _of(arm.sums.grounded_share, arm.sums.scored)


def _rated(arm: ArmView) -> str:
    return _of(arm.helpful_share, arm.rated)


def _of(share: float | None, n: int) -> str:
    return UNKNOWN if share is None else f"{percent(share)} of {n:,}"


def percent(share: float) -> str:
    """Return a share as people read it, with a space that does not break."""
    return f"{100 * share:.3g}\u00a0%"


def quantile_name(limits: Limits) -> str:
    """Return `p95`."""
    return f"p{100 * limits.latency_quantile:g}"


def courses_of(arms: Arms) -> tuple[Course, ...]:
    """Return what is drawn of both arms; nothing while there are less than two slots."""
    if len(arms.course) < 2:
        return ()
    limits, quantile = arms.limits, quantile_name(arms.limits)
    return (
        Course(
            name="arms.errors",
            title="Error rate by arm",
            unit="percent",
            value=_error_percent,
            text=share_text,
            limits=(
                Limit(value=100 * limits.error_go, word=f"go below {percent(limits.error_go)}"),
                Limit(value=100 * limits.error_trip, word=f"back above {percent(limits.error_trip)}"),
            ),
        ),
        Course(
            name="arms.latency",
            title=f"{quantile} latency by arm, ms",
            unit="ms",
            value=lambda slot: _latency_ms(slot, limits.latency_quantile),
            text=_ms_text,
            limits=(
                Limit(value=limits.latency_go_ms, word=f"go below {limits.latency_go_ms / 1000:g} s"),
                Limit(value=limits.latency_trip_ms, word=f"back above {limits.latency_trip_ms / 1000:g} s"),
            ),
        ),
    )


def _error_percent(slot: Slot) -> float | None:
    return None if slot.error_share is None else 100 * slot.error_share


def _latency_ms(slot: Slot, quantile: float) -> float | None:
    value = slot.latency_ms(quantile) if slot.requests >= FEWEST else None
    return value if value is not None and math.isfinite(value) else None


def points_of(course: Course, arms: Arms) -> list[tuple[float, tuple[float | None, float | None]]]:
    """Return hours since the first slot, with stable's and the candidate's value, None where it is unknown."""
    first = arms.course[0][0]
    return [
        (_hours(at, first), (_value(course, slots, Arm.STABLE), _value(course, slots, Arm.CANDIDATE)))
        for at, slots in arms.course
    ]


def share_text(percent: float) -> str:
    """Return "0.83 %"."""
    return f"{percent:.3g} %"


def _ms_text(value: float) -> str:
    return f"{value:,.0f}"


def hours_text(hours: float) -> str:
    """Return a length of time as people say it: "46 h", "25 min"."""
    return f"{60 * hours:.3g}\u00a0min" if 0 < hours < 1 else f"{hours:.3g}\u00a0h"


def _hours(at: datetime, first: datetime) -> float:
    return (at - first).total_seconds() / 3600


def _value(course: Course, slots: Mapping[Arm, Slot], arm: Arm) -> float | None:
    return course.value(slots[arm]) if arm in slots else None


def draw_course(course: Course, arms: Arms, csv: str) -> Markup:
    """Return the chart of one metric."""
    points = points_of(course, arms)
    length = hours_text(points[1][0] - points[0][0])
    stable, candidate = (
        next((_said(course, ys[place]) for _, ys in reversed(points) if ys[place] is not None), UNKNOWN)
        for place in (0, 1)
    )
    finding = f"Each {length}; last known: candidate {candidate}, stable {stable}."
    labels = Labels(title=course.title, finding=finding, x="hours since the first request", y=course.unit, csv=csv)
    series = [
        Series(name=arm.value, points=tuple(Point(x=x, y=ys[place]) for x, ys in points))
        for place, arm in enumerate((Arm.STABLE, Arm.CANDIDATE))
    ]
    return line_chart(labels, series, course.limits, x_text=hours_text, y_text=course.text)


def _said(course: Course, value: float | None) -> str:
    return UNKNOWN if value is None else course.text(value)

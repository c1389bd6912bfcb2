"""The charts of a rollout and their numbers as CSV: both arms over time, and tests over the verdicts.

Rule: a chart's table and its CSV hold the plotted numbers. Fail mode: NotFound for a chart that is not drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from markupsafe import Markup

from pilotage.console.charts.lines import line_chart
from pilotage.console.charts.series import Labels, Limit, Point, Series
from pilotage.console.pages.rollout_arms import courses_of, draw_course, hours_text, points_of, share_text
from pilotage.console.pages.rollout_tests import URGENCY, row_of
from pilotage.console.reply import Download
from pilotage.console.visit import Visit
from pilotage.control.view_rollout import RolloutView, view_rollout
from pilotage.core.errors import NotFound
from pilotage.store.rollout_history import REMEMBERED, PastVerdict

_CHARTS: Final = 3
_BY_ARM: Final = frozenset({"error", "p95"})


@lru_cache(maxsize=REMEMBERED)
def _tests_of(body: bytes) -> Mapping[str, Mapping[str, Any]]:
    """Return the tests that a verdict's bytes hold; nobody writes into them."""
    found: Mapping[str, Mapping[str, Any]] = json.loads(body).get("tests", {})
    return found


def _last_tests(history: Sequence[PastVerdict]) -> Mapping[str, Mapping[str, Any]]:
    """Return each test as the last verdict that it stood in says it, in the order in which they first stood."""
    found: dict[str, Mapping[str, Any]] = {}
    for verdict in history:
        found.update(_tests_of(verdict.body))
    return found


def _points(history: Sequence[PastVerdict], name: str) -> list[Point]:
    """Return the share that a test saw in each verdict it stood in, in percent; None where it had seen nothing."""
    found = []
    for verdict in history:
        test = _tests_of(verdict.body).get(name)
        if test is not None:
            hours = (verdict.at - history[0].at).total_seconds() / 3600
            n = int(test.get("n", 0))
            found.append(Point(x=hours, y=100 * int(test.get("x", 0)) / n if n else None))
    return found


def _saw_something(history: Sequence[PastVerdict], name: str) -> bool:
    return any(int(_tests_of(verdict.body).get(name, {}).get("n", 0)) for verdict in reversed(history))


def charts_of(view: RolloutView) -> list[Markup]:
    """Return both arms over time, then what else of the verdicts matters most."""
    address = f"/rollouts/{view.stored.id}/numbers"
    arms = [draw_course(one, view.arms, f"{address}/{one.name}") for one in courses_of(view.arms)]
    without = _BY_ARM if arms else frozenset()
    return [*arms, *verdict_charts(view.history, address, without=without, most=_CHARTS - len(arms))]


def verdict_charts(
    history: Sequence[PastVerdict], address: str, *, without: frozenset[str] = frozenset(), most: int = _CHARTS
) -> list[Markup]:
    """Return charts of what matters most: tests that fired, then those that must hold to go on."""
    if len(history) < 2:
        return []
    last = {
        name: test
        for name, test in _last_tests(history).items()
        if test.get("purpose") != "check" and _saw_something(history, name)
    }
    chosen: dict[str, str] = {}  # one test of each metric: another limit of the same numbers is in the table
    for name in sorted(last, key=lambda name: _weight(name, last[name])):
        chosen.setdefault(_metric(name, last[name]), name)
    drawn = [name for metric, name in list(chosen.items())[:_CHARTS] if metric not in without]
    return [
        _chart(name, _points(history, name), str(last[name].get("limit", "")), f"{address}/{name}")
        for name in drawn[:most]
    ]


def _metric(name: str, test: Mapping[str, Any]) -> str:
    return ".".join(part for part in name.split(".") if part != test.get("purpose")).removesuffix("_late")


def _weight(name: str, test: Mapping[str, Any]) -> tuple[int, bool, str]:
    row = row_of(name, test)
    return min(URGENCY.index(row.status), 1), test.get("purpose") != "go", name


def download_numbers(visit: Visit) -> Download:
    """Return the plotted numbers of a chart as CSV, a number that is unknown as an empty cell."""
    view = view_rollout(visit.reading, identifier=visit.params["rollout"])
    name = visit.params["test"]
    by_arm = next((one for one in courses_of(view.arms) if one.name == name), None)
    if by_arm is not None:
        head = f"hours,stable_{by_arm.unit},candidate_{by_arm.unit}"
        rows = [",".join([repr(x), *map(_cell, ys)]) for x, ys in points_of(by_arm, view.arms)]
    else:
        points = _points(view.history, name)
        if not points:
            raise NotFound("TEST_UNKNOWN", f"No verdict of this rollout holds a test {name[:80]!r}.")
        head, rows = "hours,share_in_percent", [f"{point.x!r},{_cell(point.y)}" for point in points]
    body = "\r\n".join([head, *rows, ""])
    return Download(body=body.encode(), media="text/csv; charset=utf-8", filename=f"{name}.csv")


def _cell(value: float | None) -> str:
    return "" if value is None else repr(value)


def _chart(name: str, points: Sequence[Point], limit: str, csv: str) -> Markup:
    words = name.replace("_", " ").replace(".", " ")
    last = next((point.y for point in reversed(points) if point.y is not None), None)
    shown = "unknown" if last is None else f"{last:.3g} %"
    finding = f"{words.capitalize()} of the candidate stands at {shown}{f', limit {limit}' if limit else ''}."
    labels = Labels(
        title=words.capitalize(), finding=finding, x="hours since the first verdict", y="share in %", csv=csv
    )
    number = _percent(limit)
    lines = [] if number is None else [Limit(value=number, word=f"limit {limit}")]
    return line_chart(
        labels,
        [Series(name=words, points=tuple(points))],
        lines,
        steps=True,
        x_text=hours_text,
        y_text=share_text,
    )


def _percent(limit: str) -> float | None:
    text = limit.strip().lstrip("<>= ").removesuffix("%").strip()
    try:
        return float(text) * (1 if "%" in limit else 100)
    except ValueError:
        return None

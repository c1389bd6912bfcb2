"""Rollout: go, pause or abort? State, verdict with its numbers, charts, and the commands with their reasons.

The live region is one macro: the whole page shows it, and the stream sends it again when something changed. Fail mode:
no verdict yet is UNKNOWN, and says what is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup

from pilotage.console.charts.lines import line_chart
from pilotage.console.charts.series import Labels, Limit, Point, Series
from pilotage.console.reply import Download, Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.console.words import Status
from pilotage.control.abort_rollout import GIVEN_UP, abort_rollout
from pilotage.control.decide_rollout import sign_go
from pilotage.control.pause_rollout import pause_rollout, resume_rollout
from pilotage.control.shadow_status import PhaseView
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.control.view_rollout import RolloutView, view_rollout
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.store.rollout_history import PastVerdict
from pilotage.store.rollouts import StoredRollout, StoredStep, list_rollouts

_OUTCOMES: Final = {"go": Status.GO, "no_go": Status.NO_GO, "inconclusive": Status.INCONCLUSIVE}
_STANDINGS: Final = {
    "proved": Status.MET,
    "open": Status.INCONCLUSIVE,
    "quiet": Status.MET,
    "fired": Status.NOT_MET,
    "absent": Status.UNKNOWN,
    "broken": Status.UNKNOWN,
}
_PURPOSES: Final = {
    "go": "to go on",
    "hold": "holds",
    "trip": "takes back at once",
    "check": "whether the split is right",
}
_URGENCY: Final = (Status.NOT_MET, Status.INCONCLUSIVE, Status.UNKNOWN, Status.MET)
_CHARTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRow:
    """One test of a verdict. `seen` are its counts, `share` the observed share where it is one."""

    name: str
    purpose: str
    status: Status
    seen: str
    limit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """Shadow or replay as the page says it."""

    name: str
    word: Status
    says: str
    reasons: Sequence[Reason]
    tests: Sequence[TestRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What the live region shows."""

    view: RolloutView
    word: Status
    reasons: Sequence[Mapping[str, Any]]
    tests: Sequence[TestRow]
    stages: Sequence[tuple[str, str, str, bool]]
    weight: str
    as_of: datetime
    phases: Sequence[PhaseRow] = ()


def show_rollouts(visit: Visit) -> Page:
    """Show every rollout, newest first."""
    with visit.reading.engine.connect() as connection:
        found = list_rollouts(connection)
    rows = [(one, *_step_of(one)) for one in found]
    running = sum(not one.state.is_over for one in found)
    return Page(template="rollouts.html", title="Rollouts", values={"rows": rows, "running": running})


def show_rollout(visit: Visit) -> Page:
    """Show one rollout."""
    live = live_of(visit)
    stored = live.view.stored
    return Page(
        template="rollout.html",
        title=f"Rollout of {stored.workflow}",
        values={
            "live": live,
            "view": live.view,
            "charts": charts_of(stored.id, live.view.history),
            "was_aborted": visit.query.get("said") == "abort" and stored.state in GIVEN_UP,
        },
    )


def live_of(visit: Visit) -> Live:
    """Return what the live region shows now."""
    view = view_rollout(visit.reading, actor=visit.actor, identifier=visit.params["rollout"])
    body = {} if view.verdict is None else json.loads(view.verdict.body)
    return Live(
        view=view,
        word=Status.UNKNOWN if view.verdict is None else _OUTCOMES.get(view.verdict.outcome, Status.UNKNOWN),
        reasons=body.get("reasons", ()),
        tests=_rows(body.get("tests", {})),
        stages=_stages(view),
        weight=_step_of(view.stored)[1],
        as_of=visit.now if view.verdict is None else view.verdict.at,
        phases=[_phase(one) for one in view.phases],
    )


def _phase(one: PhaseView) -> PhaseRow:
    pairs, tally = one.tally.counters, one.tally
    over = f", {tally.skipped:,} over the cost" if tally.skipped else ""
    says = (
        f"{pairs.every.n:,} pairs: the candidate {pairs.worse:,} times worse, {pairs.better:,} times better. "
        f"{pairs.lost:,} lost, {tally.waiting:,} waiting{over}."
    )
    return PhaseRow(
        name=one.phase.label.value.capitalize(),
        word=_OUTCOMES.get(one.outcome, Status.UNKNOWN),
        says=says,
        reasons=one.verdict.reasons,
        tests=_rows({name: test.as_json() for name, test in one.verdict.tests.items()}),
    )


def _rows(tests: Mapping[str, Mapping[str, Any]]) -> list[TestRow]:
    """Return the tests, those first that stand in the way."""
    rows = [_row(name, test) for name, test in sorted(tests.items())]
    return sorted(rows, key=lambda row: _URGENCY.index(row.status))


def _row(name: str, test: Mapping[str, Any]) -> TestRow:
    n, x = int(test.get("n", 0)), int(test.get("x", 0))
    status = _STANDINGS.get(str(test.get("standing")), Status.UNKNOWN)
    if not n and status is Status.MET:
        status = Status.UNKNOWN  # a guard that has seen nothing is quiet, which says nothing
    return TestRow(
        name=name.replace("_", " ").replace(".", " "),
        purpose=_PURPOSES.get(str(test.get("purpose")), str(test.get("purpose"))),
        status=status,
        seen=f"{x:,} of {n:,}" if n else "nothing yet",
        limit=str(test.get("limit", "")),
    )


def _step_of(stored: StoredRollout) -> tuple[str, str]:
    step = stored.place.of(stored.plan)
    return step.name, "0 %" if stored.zeroed else f"{100 * step.weight:g} %"


def _stages(view: RolloutView) -> list[tuple[str, str, str, bool]]:
    """Return each step of each wave: space, name, state in words, and whether it is the current one."""
    plan, place = view.stored.plan, view.stored.place
    begun = {(step.wave, step.step): step for step in view.steps}
    found: list[tuple[str, str, str, bool]] = []
    for number, wave in enumerate(plan.waves):
        for index, step in enumerate(wave.steps):
            is_last = (number, index) == (place.wave, place.step)
            is_here = is_last and not view.stored.state.is_over
            words = _words(begun.get((number, index)), was_left=is_last and view.stored.flipped_at is not None)
            hours = f"{step.bake_s / 3600:g}\u00a0h" if step.bake_s >= 3600 else f"{step.bake_s // 60}\u00a0min"
            found.append((str(wave.space), f"{step.name} {100 * step.weight:g}\u00a0%, {hours}", words, is_here))
    return found


def _words(step: StoredStep | None, *, was_left: bool) -> str:
    if step is None:
        return "later"
    if was_left:
        return "taken back"
    return "now" if step.ended_at is None else "done"


@dataclass(slots=True, kw_only=True)
class _Course:
    """What one test said over the time of the verdicts; `last` is what it said in the last one it stood in."""

    points: list[Point]
    last: Mapping[str, Any]


def _courses(history: Sequence[PastVerdict]) -> dict[str, _Course]:
    found: dict[str, _Course] = {}
    for verdict in history:
        hours = (verdict.at - history[0].at).total_seconds() / 3600
        for name, test in json.loads(verdict.body).get("tests", {}).items():
            n = int(test.get("n", 0))
            course = found.setdefault(name, _Course(points=[], last=test))
            course.points.append(Point(x=hours, y=100 * int(test.get("x", 0)) / n if n else None))
            course.last = test
    return found


def charts_of(rollout: str, history: Sequence[PastVerdict]) -> list[Markup]:
    """Return charts of what matters most: tests that fired, then those that must hold to go on."""
    if len(history) < 2:
        return []
    courses = {
        name: one
        for name, one in _courses(history).items()
        if one.last.get("purpose") != "check" and any(point.y is not None for point in one.points)
    }
    chosen: dict[str, str] = {}  # one test of each metric: another limit of the same numbers is in the table
    for name in sorted(courses, key=lambda name: _weight(name, courses[name].last)):
        chosen.setdefault(_metric(name, courses[name].last), name)
    return [
        _chart(
            name, courses[name].points, str(courses[name].last.get("limit", "")), f"/rollouts/{rollout}/numbers/{name}"
        )
        for name in list(chosen.values())[:_CHARTS]
    ]


def _metric(name: str, test: Mapping[str, Any]) -> str:
    return ".".join(part for part in name.split(".") if part != test.get("purpose")).removesuffix("_late")


def _weight(name: str, test: Mapping[str, Any]) -> tuple[int, bool, str]:
    row = _row(name, test)
    return min(_URGENCY.index(row.status), 1), test.get("purpose") != "go", name


def download_numbers(visit: Visit) -> Download:
    """Return the plotted numbers of one test as CSV, a number that is unknown as an empty cell."""
    view = view_rollout(visit.reading, actor=visit.actor, identifier=visit.params["rollout"])
    name, course = visit.params["test"], _courses(view.history).get(visit.params["test"])
    if course is None:
        raise NotFound("TEST_UNKNOWN", f"No verdict of this rollout holds a test {name[:80]!r}.")
    rows = [f"{point.x!r},{'' if point.y is None else repr(point.y)}" for point in course.points]
    body = "\r\n".join(["hours,share_in_percent", *rows, ""])
    return Download(body=body.encode(), media="text/csv; charset=utf-8", filename=f"{name}.csv")


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
        x_text=lambda hours: f"{hours:.3g} h",
        y_text=lambda share: f"{share:.3g} %",
    )


def _percent(limit: str) -> float | None:
    text = limit.strip().lstrip("<>= ").removesuffix("%").strip()
    try:
        return float(text) * (1 if "%" in limit else 100)
    except ValueError:
        return None


def start(visit: Visit) -> Reply | Refusal:
    """Start a rollout of a release into a space: preflight first."""
    request = StartRequest(
        release=visit.params["digest"],
        space=visit.typed("space"),
        plan=visit.typed("plan") or None,
        accepted=visit.typed("accepted") == "yes",
    )
    done = start_rollout(visit.instance, visit.services.ports, actor=visit.actor, request=request)
    if not isinstance(done, Started):
        return done
    return Redirect(to=f"/rollouts/{done.rollout.id}")


def command(visit: Visit) -> Reply | Refusal:
    """Go on, pause, resume or abort, as the form says."""
    instance, ports, actor = visit.instance, visit.services.ports, visit.actor
    rollout, note = visit.params["rollout"], visit.typed("note").strip()
    done: StoredRollout | Refusal
    match visit.typed("command"):
        case "go":
            done = sign_go(instance, ports, actor=actor, rollout=rollout, verdict=visit.typed("verdict") or None)
        case "pause":
            zero = visit.typed("zero") == "yes"
            done = pause_rollout(instance, actor=actor, rollout=rollout, zero=zero, note=note)
        case "resume":
            done = resume_rollout(instance, ports, actor=actor, rollout=rollout, note=note)
        case "abort":
            done = abort_rollout(instance, actor=actor, rollout=rollout, note=note)
        case _:
            raise UsageError("COMMAND_MISSING", "Choose go on, pause, resume or abort.")
    said = "?said=abort" if visit.typed("command") == "abort" else ""
    return done if isinstance(done, Refusal) else Redirect(to=f"/rollouts/{rollout}{said}")

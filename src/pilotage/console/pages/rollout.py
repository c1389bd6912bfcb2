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

from pilotage.console.pages.rollout_arms import ArmRow, arm_rows
from pilotage.console.pages.rollout_charts import charts_of
from pilotage.console.pages.rollout_tests import TestRow, rows_of
from pilotage.console.pages.spaces import chosen_space
from pilotage.console.render import count
from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.console.words import Status
from pilotage.control.abort_rollout import GIVEN_UP, abort_rollout
from pilotage.control.decide_rollout import sign_go
from pilotage.control.pause_rollout import pause_rollout, resume_rollout
from pilotage.control.rollout_status import ROLLOUTS
from pilotage.control.shadow_status import PhaseView
from pilotage.control.start_rollout import Started, StartRequest, start_rollout
from pilotage.control.view_rollout import RolloutView, commands_of, view_rollout
from pilotage.control.view_watches import WatchView
from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason, Refusal
from pilotage.store.rollouts import RolloutFilter, StoredRollout, StoredStep, count_rollouts, list_rollouts

MOST_COUNTED: Final = 1000
"""Above it a list says that there are more."""

_OUTCOMES: Final = {"go": Status.GO, "no_go": Status.NO_GO, "inconclusive": Status.INCONCLUSIVE}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseRow:
    """Shadow or replay as the page says it."""

    name: str
    word: Status
    says: str
    reasons: Sequence[Reason]
    tests: Sequence[TestRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRow:
    """What was seen of a release in a space since it completed there."""

    watch: WatchView
    tests: Sequence[TestRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What the live region shows."""

    view: RolloutView
    word: Status
    reasons: Sequence[Mapping[str, Any]]
    tests: Sequence[TestRow]
    arms: Sequence[ArmRow]
    stages: Sequence[tuple[str, str, str, bool]]
    weight: str
    as_of: datetime
    charts: Sequence[Markup] = ()
    phases: Sequence[PhaseRow] = ()
    watches: Sequence[WatchRow] = ()


def show_rollouts(visit: Visit) -> Page:
    """Show a page of rollouts, newest first, of every space or of one."""
    space, ignored = chosen_space(visit)
    wanted = RolloutFilter(space=space, before=visit.query.get("page"))
    with visit.reading.engine.connect() as connection:
        found = list_rollouts(connection, wanted, most=ROLLOUTS + 1)
        total, running = count_rollouts(connection, wanted, most=MOST_COUNTED + 1)
    shown = found[:ROLLOUTS]
    values = {
        "rows": [(one, *_step_of(one)) for one in shown],
        "over": "more than 1,000 are" if total > MOST_COUNTED else count(total - running, "is", "are"),
        "running": running,
        "total": total,
        "more": shown[-1].id if len(found) > len(shown) else None,
        "filter_spaces": visit.instance.workspace.order,
        "space": space,
        "ignored": ignored,
    }
    return Page(template="rollouts.html", title="Rollouts", values=values)


def show_rollout(visit: Visit) -> Page:
    """Show one rollout."""
    live = live_of(look_at(visit), visit.now)
    stored = live.view.stored
    return Page(
        template="rollout.html",
        title=f"Rollout of {stored.workflow}",
        about=stored.release,
        values={
            "live": live,
            "view": live.view,
            "commands": commands_of(visit.reading, live.view, actor=visit.actor),
            "has_signed": visit.query.get("said") == "signed",
            "was_aborted": visit.query.get("said") == "abort" and stored.state in GIVEN_UP,
        },
    )


def look_at(visit: Visit) -> RolloutView:
    """Return what there is to show of the rollout at this address."""
    return view_rollout(visit.reading, identifier=visit.params["rollout"])


def live_of(view: RolloutView, now: datetime) -> Live:
    """Return what the live region shows of it."""
    body = {} if view.verdict is None else json.loads(view.verdict.body)
    return Live(
        view=view,
        word=Status.UNKNOWN if view.verdict is None else _OUTCOMES.get(view.verdict.outcome, Status.UNKNOWN),
        reasons=body.get("reasons", ()),
        tests=rows_of(body.get("tests", {})),
        arms=arm_rows(view.arms, view.standings),
        stages=_stages(view),
        weight=_step_of(view.stored)[1],
        charts=charts_of(view),
        as_of=now if view.verdict is None else view.verdict.at,
        phases=[_phase(one) for one in view.phases],
        watches=[
            WatchRow(watch=one, tests=rows_of({name: test.as_json() for name, test in one.tests.items()}))
            for one in view.watches
        ],
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
        tests=rows_of({name: test.as_json() for name, test in one.verdict.tests.items()}),
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
            words = _words(
                begun.get((number, index)),
                was_left=is_last and view.stored.flipped_at is not None,
                is_over=view.stored.state.is_over,
            )
            hours = f"{step.bake_s / 3600:g}\u00a0h" if step.bake_s >= 3600 else f"{step.bake_s // 60}\u00a0min"
            found.append((str(wave.space), f"{step.name} {100 * step.weight:g}\u00a0%, {hours}", words, is_here))
    return found


def _words(step: StoredStep | None, *, was_left: bool, is_over: bool) -> str:
    if step is None:
        return "not reached" if is_over else "later"
    if was_left:
        return "taken back"
    return "now" if step.ended_at is None else "done"


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

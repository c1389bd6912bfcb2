"""`/api/v1/evaluations`: start a run, follow it, read it, stop it, set it aside."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.compared_case import CaseWish, Show
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.evaluation_status import (
    cancel_run,
    describe_run,
    list_runs,
    report_of,
    resume_run,
    void_run,
)
from pilotage.control.view_comparison import needs_run, view_comparison
from pilotage.core.reason import Refusal
from pilotage.evaluation.run import RunKind


class Evaluating(Body):
    """The release, and what to ask it: every gate file unless named."""

    release: str
    golden: list[str] = msgspec.field(default_factory=list)
    baseline: str | None = None
    repeats: int | None = None
    space: str | None = None


class SuiteRunning(Body):
    """The release, the space it is asked in, and only these golden files; a run that names files gates nothing."""

    release: str
    space: str | None = None
    golden: list[str] = msgspec.field(default_factory=list)


class Voiding(Body):
    """Why the run does not count."""

    reason: str


class Comparing(Body):
    """Two releases, and which cases to list: changed, worse, better, unscored or all; of a tag, after an id, or one."""

    a: str
    b: str
    show: Show = Show.CHANGED
    tag: str = ""
    after: str = ""
    case: str = ""


def _start(call: Call) -> Result:
    asked: Evaluating = call.fields
    request = EvaluationRequest(
        release=asked.release,
        golden=tuple(asked.golden),
        baseline=asked.baseline,
        repeats=asked.repeats,
        space=asked.space,
    )
    return _started(call, request)


def _suite(kind: RunKind) -> Callable[[Call], Result]:
    def start(call: Call) -> Result:
        asked: SuiteRunning = call.fields
        request = EvaluationRequest(release=asked.release, kind=kind, space=asked.space, golden=tuple(asked.golden))
        return _started(call, request)

    return start


def _started(call: Call, request: EvaluationRequest) -> Result:
    done = start_evaluation(call.instance, actor=call.actor, request=request)
    return done if isinstance(done, Refusal) else describe_run(call.instance, done.id)


def _list(call: Call) -> Result:
    return {"runs": list_runs(call.instance)}


def _show(call: Call) -> Result:
    return describe_run(call.instance, call.params["run"])


def _report(call: Call) -> Result:
    return report_of(call.instance, call.params["run"])


def _resume(call: Call) -> Result:
    done = resume_run(call.instance, actor=call.actor, identifier=call.params["run"])
    return done if isinstance(done, Refusal) else describe_run(call.instance, done.id)


def _cancel(call: Call) -> Result:
    done = cancel_run(call.instance, actor=call.actor, identifier=call.params["run"])
    return done if isinstance(done, Refusal) else describe_run(call.instance, done.id)


def _void(call: Call) -> Result:
    run = call.params["run"]
    done = void_run(call.instance, actor=call.actor, identifier=run, reason=call.fields.reason)
    return done if isinstance(done, Refusal) else describe_run(call.instance, run)


def _compare(call: Call) -> Result:
    asked: Comparing = call.fields
    wish = CaseWish(show=asked.show, tag=asked.tag, after=asked.after, case=asked.case)
    view = view_comparison(call.instance, actor=call.actor, before=asked.a, after=asked.b, wish=wish)
    needs_run(view)
    return view.as_json()


OPERATIONS = (
    Operation(
        method="GET",
        path="/evaluations",
        command="evaluate status",
        variant="all",
        summary="List runs",
        gives="Runs, newest first.",
        run=_list,
    ),
    Operation(
        method="POST",
        path="/evaluations",
        command="evaluate run",
        summary="Start a run; the worker drives it",
        gives="The run.",
        run=_start,
        takes=Evaluating,
    ),
    Operation(
        method="GET",
        path="/evaluations/{run}",
        command="evaluate status",
        summary="Show one run",
        gives="Progress, metrics and verdict.",
        run=_show,
    ),
    Operation(
        method="GET",
        path="/evaluations/{run}/report",
        command="evaluate report",
        summary="Show everything a finished run found",
        gives="Criteria, slices, every loss and gain by case; no question or answer.",
        run=_report,
    ),
    Operation(
        method="POST",
        path="/evaluations/{run}/resumption",
        command="evaluate resume",
        summary="Go on with a cancelled or failed run; the worker drives it",
        gives="The run; what is answered is not asked again.",
        run=_resume,
    ),
    Operation(
        method="POST",
        path="/evaluations/{run}/cancellation",
        command="evaluate cancel",
        summary="Stop a run; what is answered is kept",
        gives="The run.",
        run=_cancel,
    ),
    Operation(
        method="POST",
        path="/evaluations/{run}/void",
        command="evaluate void",
        summary="Say why a run does not count",
        gives="The run.",
        run=_void,
        takes=Voiding,
    ),
    *(
        Operation(
            method="POST",
            path=f"/suites/{name}",
            command=f"suite {name}",
            summary=f"Start the {word} suite; the worker drives it",
            gives="The run.",
            run=_suite(kind),
            takes=SuiteRunning,
        )
        for name, word, kind in (
            ("permission", "permission", RunKind.PERMISSIONS),
            ("fairness", "fairness", RunKind.FAIRNESS),
            ("redteam", "red team", RunKind.REDTEAM),
        )
    ),
    Operation(
        method="GET",
        path="/comparison",
        command="compare",
        summary="Compare two releases on the same golden set",
        gives="The verdict and what decided it, paired differences with intervals, 50 cases side by side. Texts are"
        " left out where you may not read what they quote. 404 COMPARISON_UNKNOWN where no completed run asked both.",
        run=_compare,
        takes=Comparing,
    ),
)

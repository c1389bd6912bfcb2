"""Is B worse than A? The run that asked both, its verdict and numbers, and what is missing where there is none.

Rule: only a completed run that asked both on one golden set gives a verdict, a gating one before any other; two runs on
different golden sets give none. Fail mode: NotFound for a name of no release, UsageError for releases of two workflows;
without such a run the view says why and what to run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from pilotage.control.compared_case import CasePage, CaseWish
from pilotage.control.instance import Instance
from pilotage.control.view_compared_cases import Ran, cases_of
from pilotage.core.canonical import parse_json
from pilotage.core.clock import to_text
from pilotage.core.digest import short
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.reason import Reason
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.generation import TargetFailure
from pilotage.evaluation.run import EvaluationRun, RunState
from pilotage.evaluation.side_by_side import compared_states, detectable, margins_of, verdict_given, what_decided
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.store.evaluation_runs import result_of, runs_of_two
from pilotage.store.evaluation_tasks import progress_of
from pilotage.store.releases import StoredRelease, named_releases

_OPEN: Final = frozenset({RunState.QUEUED, RunState.RUNNING})
_NO_RESULT: Final[Mapping[str, Any]] = {}


class Standing(StrEnum):
    """Whether there is something to compare, and what stands against it."""

    COMPARED = "compared"
    RUNNING = "running"
    GOLDEN_DIFFERS = "golden_differs"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One release, with the newest completed run of its own and that run's result."""

    release: StoredRelease
    run: EvaluationRun | None
    result: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return the release and its own numbers."""
        run = self.run
        return {
            "digest": self.release.digest,
            "sealed_at": to_text(self.release.sealed_at),
            "run": None if run is None else run.id,
            "golden": None if run is None else run.golden_digest,
            "finished_at": None if run is None or run.finished_at is None else to_text(run.finished_at),
            "cases": self.result.get("cases"),
            "metrics": self.result.get("metrics", {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One metric of both; the difference is better when it is above 0. `stored` is the row of the result.

    `margin` is what a criterion allows (of a cost or time: relative); `state` None: no criterion compares it;
    `detectable` None: this many pairs find no loss at all.
    """

    stored: Mapping[str, Any]
    margin: float | None
    detectable: float | None
    state: Verdict | None

    def as_json(self) -> dict[str, Any]:
        """Return the row with what the number of pairs can show."""
        state = None if self.state is None else self.state.value
        return {**self.stored, "margin": self.margin, "detectable": self.detectable, "state": state}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    """A comparison as one person sees it. `run` is the one that asked both, open ones and broken ones too.

    `verdict` None: none is given. `said` is what decided, or why nothing is decided. `cases` None: nothing to list.
    `may_not_run` are the reasons why this person may not ask for the run.
    """

    before: Side
    after: Side
    standing: Standing
    run: EvaluationRun | None
    done: tuple[int, int] | None
    verdict: Verdict | None
    said: str
    result: Mapping[str, Any]
    rows: tuple[MetricRow, ...]
    cases: CasePage | None
    may_not_run: tuple[Reason, ...]

    @property
    def to_run(self) -> str:
        """Return the command that asks both."""
        return f"pilotage evaluate {short(self.after.release.digest)} --baseline {short(self.before.release.digest)}"

    def as_json(self) -> dict[str, Any]:
        """Return everything that the page shows."""
        run = self.run
        return {
            "baseline": self.before.release.digest,
            "candidate": self.after.release.digest,
            "standing": self.standing.value,
            "run": None if run is None else run.id,
            "state": None if run is None else run.state.value,
            "gating": None if run is None else run.is_gating,
            "golden": None if run is None else run.golden_digest,
            "finished_at": None if run is None or run.finished_at is None else to_text(run.finished_at),
            "verdict": None if self.verdict is None else self.verdict.value,
            "said": self.said,
            "to_run": None if self.standing is Standing.COMPARED else self.to_run,
            "before": self.before.as_json(),
            "after": self.after.as_json(),
            "reasons": self.result.get("reasons", []),
            "comparison": self.result.get("comparison") or {},
            "regressions": self.result.get("regressions", []),
            "metrics": [one.as_json() for one in self.rows],
            "unscored": unscored_of(self.result),
            "unscored_cases": self.result.get("unscored_cases"),
            "cases": None if self.cases is None else self.cases.as_json(),
        }


def view_comparison(
    instance: Instance, *, actor: Principal, before: str, after: str, wish: CaseWish | None = None
) -> Comparing:
    """Return B (`after`) against A (`before`) as this person may see it."""
    with instance.engine.connect() as connection:
        old, new = named_releases(connection, [before, after])
        if old.workflow != new.workflow or old.digest == new.digest:
            message = f"{short(old.digest)} and {short(new.digest)} are no two releases of one workflow."
            raise UsageError("COMPARE_OTHERS", message, hint="Name two of one workflow: `pilotage release list`.")
        runs = runs_of_two(connection, old.digest, new.digest)
        asked_both = [one for one in runs if (one.release, one.baseline) == (new.digest, old.digest)]
        done = _first(asked_both)
        if done is not None:
            ran = Ran(release=new, run=done, result=_result(connection, done))
            page = cases_of(connection, instance, actor, ran, wish or CaseWish())
            return _compared(Side(release=old, run=_own(runs, old), result=_NO_RESULT), ran, page)
        return _not_compared(connection, actor, (old, new), runs, asked_both)


def _first(runs: Sequence[EvaluationRun]) -> EvaluationRun | None:
    """Return the newest completed run that stands, one that gates before any other."""
    valid = [one for one in runs if one.state is RunState.COMPLETED and one.voided_at is None]
    return next((one for one in valid if one.is_gating), valid[0] if valid else None)


def _result(connection: Connection, run: EvaluationRun | None) -> Mapping[str, Any]:
    stored = None if run is None else result_of(connection, run.id)
    body = None if stored is None else parse_json(stored.body)
    return body if isinstance(body, Mapping) else _NO_RESULT


def _compared(before: Side, ran: Ran, page: CasePage) -> Comparing:
    run, result = ran.run, ran.result
    states, margins = compared_states(result), margins_of(result)
    verdict = Verdict(run.verdict or Verdict.INCONCLUSIVE)
    return Comparing(
        before=before,
        after=Side(release=ran.release, run=run, result=_NO_RESULT),
        standing=Standing.COMPARED,
        run=run,
        done=None,
        verdict=verdict_given(verdict, result),
        said=what_decided(verdict, result, page.primary),
        result=result,
        rows=tuple(
            MetricRow(
                stored=one,
                margin=margins.get(one["metric"]),
                detectable=detectable(one, repeats=run.repeats),
                state=states.get(one["metric"]),
            )
            for one in sorted(ran.differences, key=lambda one: (one["metric"] not in states, one["metric"]))
        ),
        cases=page,
        may_not_run=(),
    )


def _own(runs: Sequence[EvaluationRun], release: StoredRelease) -> EvaluationRun | None:
    return _first([one for one in runs if one.release == release.digest])


def _not_compared(
    connection: Connection,
    actor: Principal,
    pair: tuple[StoredRelease, StoredRelease],
    runs: Sequence[EvaluationRun],
    asked_both: Sequence[EvaluationRun],
) -> Comparing:
    before, after = (
        Side(release=one, run=run, result=_result(connection, run))
        for one, run in ((one, _own(runs, one)) for one in pair)
    )
    refusal = may(actor.roles, Action.ATTACH_CLAIMED)
    run = asked_both[0] if asked_both else None
    standing = _standing(before.run, after.run, run)
    progress = progress_of(connection, run.id) if run is not None and standing is Standing.RUNNING else None
    return Comparing(
        before=before,
        after=after,
        standing=standing,
        run=run,
        done=None if progress is None else (progress.done, progress.total),
        verdict=None,
        said=_why_not(standing, before, after, run),
        result=_NO_RESULT,
        rows=(),
        cases=None,
        may_not_run=() if refusal is None else refusal.reasons,
    )


def _standing(before: EvaluationRun | None, after: EvaluationRun | None, both: EvaluationRun | None) -> Standing:
    if both is not None and both.state in _OPEN:
        return Standing.RUNNING
    if before is not None and after is not None and before.golden_digest != after.golden_digest:
        return Standing.GOLDEN_DIFFERS
    return Standing.MISSING


def _why_not(standing: Standing, before: Side, after: Side, both: EvaluationRun | None) -> str:
    if standing is Standing.RUNNING and both is not None:
        return f"Run {both.id} asks both and is {both.state.value}."
    if standing is Standing.GOLDEN_DIFFERS and before.run is not None and after.run is not None:
        asked = [f"{name} was asked golden set {short(run.golden_digest)}" for name, run in _named(before, after)]
        return f"{', '.join(asked)}: numbers over different cases decide nothing."
    ended = "" if both is None else f" The last one, {both.id}, {_ended(both)}."
    lacking = [name for name, side in (("A", before), ("B", after)) if side.run is None]
    alone = f"{' and '.join(lacking)} {'have' if len(lacking) > 1 else 'has'} no completed run at all."
    return f"No completed run asked both.{ended} {alone if lacking else 'Each was asked alone.'}"


def _named(before: Side, after: Side) -> list[tuple[str, EvaluationRun]]:
    return [(name, side.run) for name, side in (("A", before), ("B", after)) if side.run is not None]


def _ended(run: EvaluationRun) -> str:
    if run.voided_at is not None:
        return "was voided"
    return f"is {run.state.value.replace('_', ' ')}{f': {run.note}' if run.note else ''}".rstrip(".")


def both_answered(result: Mapping[str, Any]) -> bool:
    """Tell whether the two were compared and the baseline lacks no answer; False for a run too old to say."""
    lacking: Mapping[str, Any] | None = result.get("unscored_cases")
    if not result.get("comparison") or lacking is None:
        return False
    return not any(one.value in lacking.get("baseline", {}) for one in TargetFailure)


def unscored_of(result: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return how many of B's cases have no number, by metric and reason; metrics that lack none are left out."""
    metrics: Mapping[str, Any] = result.get("metrics", {})
    return {name: dict(one["unscored"]) for name, one in sorted(metrics.items()) if one["unscored"]}


def needs_run(view: Comparing) -> None:
    """Raise NotFound where nothing was compared."""
    if view.standing is not Standing.COMPARED:
        raise NotFound("COMPARISON_UNKNOWN", view.said, hint=f"Run: {view.to_run}.")

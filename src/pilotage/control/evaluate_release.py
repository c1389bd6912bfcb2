"""`pilotage evaluate` and `pilotage suite`: asking for a run. Its plan is fixed here, before any answer exists.

Rule: the golden set, its day, baseline and repeats are written with the run and its ledger entry in one transaction.
Fail mode: a Refusal or UsageError with every mistake, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from pilotage.control.choose_baseline import choose_baseline, choose_oldest
from pilotage.control.evaluation_budget import unpriced
from pilotage.control.gate_roster import notice_engine
from pilotage.control.instance import Instance
from pilotage.control.kept_cases import approved_golden, kept_files
from pilotage.control.sealed_golden import Plan, SealedGolden, plan_of, principal_for, sealed_golden
from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound, PilotageError, UsageError
from pilotage.core.ids import SpaceName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.evaluation.run import Cause, EvaluationRun, RunKind, TaskKey
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.release.model import Provider
from pilotage.release.seal import ReleaseState
from pilotage.store.evaluation_runs import add_run
from pilotage.store.evaluation_tasks import add_tasks
from pilotage.store.golden_candidates import lock_golden
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.releases import StoredRelease, load_release, named_release
from pilotage.store.runs import request_run
from pilotage.workspace.golden import Split

_ACTOR: Final = "system:evaluation"
DRIVE: Final = "evaluation"
"""The kind of job that drives a run nobody drives."""

_WATCHED: Final = timedelta(minutes=1)
"""How long a run asked for by a person is left to their own command."""

_WITHDRAWN: Final = frozenset({ReleaseState.REVOKED, ReleaseState.QUARANTINED})


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What is asked for. `golden` empty takes every gate file of the suite; `repeats` None decides by the model."""

    release: str
    kind: RunKind = RunKind.EVALUATION
    golden: tuple[str, ...] = ()
    baseline: str | None = None
    space: str | None = None
    repeats: int | None = None
    cause: Cause = Cause.COMMAND


def start_evaluation(
    instance: Instance, *, actor: Principal | None, request: EvaluationRequest
) -> EvaluationRun | Refusal:
    """Write a run with its tasks. `actor` None is the product itself: a schedule, a seal."""
    refusal = None if actor is None else may(actor.roles, Action.ATTACH_CLAIMED)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        return start_on(connection, instance, actor=actor, request=request)


def start_on(
    connection: Connection, instance: Instance, *, actor: Principal | None, request: EvaluationRequest
) -> EvaluationRun | Refusal:
    """Write a run with its tasks in the caller's transaction, which asked whether `actor` may."""
    notice_engine(connection, instance.clock.now())
    stored = named_release(connection, request.release)
    if stored.state in _WITHDRAWN:
        text = f"Release {stored.digest[:19]} is {stored.state}; nothing it answers can count."
        return Refusal(reasons=(Reason(code="RELEASE_WITHDRAWN", text=text, observed=str(stored.state)),))
    lock_golden(connection, stored.workflow)
    golden = sealed_golden(connection, stored.digest)
    plan = _plan(instance, connection, request, stored, golden, actor)
    _check_askers(instance, plan)
    without_price = unpriced(instance, connection, plan)
    if without_price is not None:
        return Refusal(reasons=(without_price,))
    add_run(connection, plan.run)
    add_tasks(connection, _tasks(plan), due_at=plan.run.requested_at)
    due_at = plan.run.requested_at + (_WATCHED if request.cause is Cause.COMMAND else timedelta())
    request_run(connection, kind=DRIVE, key=plan.run.id, due_at=due_at)
    _record(connection, plan, actor)
    return plan.run


def _plan(
    instance: Instance,
    connection: Connection,
    request: EvaluationRequest,
    stored: StoredRelease,
    golden: SealedGolden,
    actor: Principal | None,
) -> Plan:
    now = instance.clock.now()
    space = _space(instance, request.space)
    files = golden.chosen(request.kind, request.golden)
    asks_all = request.kind is RunKind.EVALUATION and not request.golden
    approved = approved_golden(connection, instance, stored.digest) if asks_all else None
    kept = () if approved is None else kept_files(connection, approved, golden, until=now)
    baseline = oldest = None
    if request.kind is RunKind.EVALUATION:
        baseline = choose_baseline(connection, stored, named=request.baseline, space=space)
        oldest = choose_oldest(connection, stored, baseline=baseline, now=now)
    run = EvaluationRun(
        id=new_ulid(now),
        kind=request.kind,
        workflow=stored.workflow,
        release=stored.digest,
        baseline=baseline,
        space=space,
        golden=tuple(request.golden),
        golden_digest=golden.digest((*files, *kept)),
        repeats=request.repeats or golden.settings.repeats or _repeats(connection, stored.digest),
        as_of=now.astimezone(ZoneInfo(instance.workspace.timezone)).date(),
        is_gating=not request.golden and all(file.split is Split.GATE for file in files),
        cause=request.cause,
        requested_by=_ACTOR if actor is None else str(actor.id),
        requested_at=now,
        approved=None if approved is None else approved.release,
        oldest=oldest,
    )
    return plan_of(golden, run, kept)


def _space(instance: Instance, name: str | None) -> SpaceName | None:
    if name is None:
        return None
    if SpaceName(name) not in instance.workspace.spaces:
        known = ", ".join(instance.workspace.spaces) or "none"
        raise NotFound("SPACE_UNKNOWN", f"There is no space {name!r}.", hint=f"Declared spaces: {known}.")
    return SpaceName(name)


def _repeats(connection: Connection, release: Digest) -> int:
    """Return one repeat for the built-in model, which is deterministic, and three for any other."""
    return 1 if load_release(connection, release).model.provider is Provider.EXTRACTIVE else 3


def _check_askers(instance: Instance, plan: Plan) -> None:
    unknown: list[str] = []
    for name in sorted({planned.case.asker for planned in plan.cases.values()}):
        try:
            principal_for(instance, plan, name)
        except PilotageError as error:
            unknown.append(error.message)
    if unknown:
        raise UsageError("PERSONA_UNKNOWN", "\n".join(unknown), hint="Declare them in evaluation.yaml and seal again.")


def _tasks(plan: Plan) -> Sequence[TaskKey]:
    """Return the tasks in their order: case by case, the arms side by side."""
    if plan.run.kind is RunKind.PERMISSIONS:
        return ()
    return [
        TaskKey(run=plan.run.id, arm=arm, case_id=case, repeat=repeat)
        for case in plan.cases
        for repeat in range(plan.run.repeats)
        for arm in plan.run.arms
    ]


def _record(connection: Connection, plan: Plan, actor: Principal | None) -> None:
    run = plan.run
    entry = encode_entry(
        id=new_ulid(run.requested_at),
        kind=EntryKind.EVALUATION_STARTED,
        at=run.requested_at,
        actor=_ACTOR if actor is None else pseudonym_of(connection, actor.id),
        subject=run.id,
        space=run.space or "",
        data={
            "suite": run.kind.value,
            "workflow": run.workflow,
            "release": run.release,
            "baseline": run.baseline,
            "oldest": run.oldest,
            "golden": run.golden_digest,
            "cases": len(plan.cases),
            "repeats": run.repeats,
            "gating": run.is_gating,
            "cause": run.cause.value,
        },
    )
    append(connection, entry)

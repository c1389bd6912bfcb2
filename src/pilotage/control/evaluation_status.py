"""What people and scripts see of evaluation runs, and what they may do to one: cancel it, resume it, void it.

Rule: voiding takes two different people who may give evidence, and is a ledger entry; a voided run is no attempt, and
its evidence is withdrawn with it. Fail mode: NotFound, or a Refusal that changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pilotage.control.evaluate_release import DRIVE
from pilotage.control.evidence_reports import withdraw_item
from pilotage.control.instance import Instance
from pilotage.control.run_evaluation import run_named
from pilotage.core.canonical import Json, parse_json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.evaluation.run import EvaluationRun, Progress, RunState
from pilotage.evaluation.unreached import UNREACHED
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.store.evaluation_runs import add_void, find_run, mark_voided, move_run, result_of, runs_of
from pilotage.store.evaluation_tasks import ask_unanswered, progress_of
from pilotage.store.evidence import evidence_by_id
from pilotage.store.ledger_entries import append
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.runs import request_run

_VOIDS_NEEDED: Final = 2
_RESUMABLE: Final = (RunState.CANCELLED, RunState.FAILED)
_EMPTY: Final[Mapping[str, Any]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Voided:
    """How many different people want the run voided, and whether it is."""

    people: int
    is_voided: bool


def list_runs(instance: Instance, *, limit: int = 20) -> list[dict[str, Any]]:
    """Return the latest runs, newest first."""
    with instance.engine.connect() as connection:
        return [_row(run, progress_of(connection, run.id)) for run in runs_of(connection, limit=limit)]


def _row(run: EvaluationRun, progress: Progress) -> dict[str, Any]:
    return {
        "run": run.id,
        "suite": run.kind.value,
        "workflow": run.workflow,
        "digest": run.release,
        "baseline": run.baseline,
        "oldest": run.oldest,
        "space": run.space,
        "state": run.state.value,
        "verdict": run.verdict,
        "gating": run.is_gating,
        "cause": run.cause.value,
        "done": progress.done,
        "total": progress.total,
        "requested_at": to_text(run.requested_at),
        "finished_at": None if run.finished_at is None else to_text(run.finished_at),
        "voided_at": None if run.voided_at is None else to_text(run.voided_at),
        "evidence": run.evidence,
        "note": run.note,
    }


def describe_run(instance: Instance, identifier: str) -> dict[str, Any]:
    """Return the documented result of `pilotage evaluate`: state, and for a finished run its numbers."""
    run = run_named(instance, identifier)
    body, figures = _result(instance, run)
    with instance.engine.connect() as connection:
        progress = progress_of(connection, run.id)
    return _row(run, progress) | {
        "cases": body.get("cases", progress.total),
        "scored": body.get("scored", 0),
        "unscored": body.get("unscored", 0),
        "metrics": body.get("metrics", {}),
        "regressions": body.get("regressions", []),
        "reasons": body.get("reasons", _unreached(run)),
        "ratchet": body.get("ratchet"),
        "measured": dict(figures),
        "result_sha256": run.result_sha256,
    }


def _unreached(run: EvaluationRun) -> list[Json]:
    return [{"code": UNREACHED, "text": run.note}] if run.state is RunState.FAILED else []


def report_of(instance: Instance, identifier: str) -> dict[str, Any]:
    """Return everything a finished run found; answers and questions are not in it, cases stand by their ids."""
    run = run_named(instance, identifier)
    body, figures = _result(instance, run)
    if not body:
        message = f"The run {identifier} is {run.state.value} and has no result."
        raise NotFound("RUN_UNFINISHED", message, hint=f"Go on with it: pilotage evaluate resume {identifier}.")
    with instance.engine.connect() as connection:
        progress = progress_of(connection, run.id)
    return _row(run, progress) | {"result": dict(body), "measured": dict(figures), "result_sha256": run.result_sha256}


def _result(instance: Instance, run: EvaluationRun) -> tuple[Mapping[str, Any], Mapping[str, Json]]:
    with instance.engine.connect() as connection:
        stored = result_of(connection, run.id)
    if stored is None:
        return _EMPTY, {}
    body = parse_json(stored.body)
    return (body if isinstance(body, Mapping) else _EMPTY), stored.measured


def cancel_run(instance: Instance, *, actor: Principal, identifier: str) -> EvaluationRun | Refusal:
    """Stop a run that is not over."""
    refusal = may(actor.roles, Action.ATTACH_CLAIMED)
    if refusal is not None:
        return refusal
    run_named(instance, identifier)
    with instance.engine.begin() as connection:
        open_states = (RunState.QUEUED, RunState.RUNNING)
        moved = move_run(
            connection,
            identifier,
            RunState.CANCELLED,
            expected=open_states,
            at=instance.clock.now(),
            note=f"Cancelled by {pseudonym_of(connection, actor.id)}.",
        )
    run = run_named(instance, identifier)
    if not moved:
        text = f"The run {identifier} is {run.state.value}; only one that is not over can be cancelled."
        return Refusal(reasons=(Reason(code="RUN_OVER", text=text, observed=run.state.value),))
    return run


def may_resume(actor: Principal) -> Refusal | None:
    """Return why a person may not go on with runs, or None."""
    return may(actor.roles, Action.ATTACH_CLAIMED)


def resume_run(instance: Instance, *, actor: Principal, identifier: str) -> EvaluationRun | Refusal:
    """Let a worker go on with a cancelled or failed run; one that is queued or running goes on anyway."""
    refusal = may_resume(actor)
    if refusal is not None:
        return refusal
    run = run_named(instance, identifier)
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        note = f"Resumed by {pseudonym_of(connection, actor.id)}."
        before = find_run(connection, identifier, lock=True)
        if move_run(connection, identifier, RunState.QUEUED, expected=_RESUMABLE, at=now, note=note):
            if before is not None and before.state is RunState.FAILED:
                ask_unanswered(connection, identifier, due_at=now)
            request_run(connection, kind=DRIVE, key=identifier, due_at=now)
    after = run_named(instance, identifier)
    if after.state not in {RunState.QUEUED, RunState.RUNNING}:
        text = f"The run {identifier} is {run.state.value}; only one that is not over can be resumed."
        return Refusal(reasons=(Reason(code="RUN_OVER", text=text, observed=run.state.value),))
    return after


def void_run(instance: Instance, *, actor: Principal, identifier: str, reason: str) -> Voided | Refusal:
    """Note that a person wants a completed run voided; the second different person voids it."""
    refusal = may(actor.roles, Action.ATTACH_CLAIMED)
    if refusal is not None:
        return refusal
    run_named(instance, identifier)
    now = instance.clock.now()
    with instance.engine.begin() as connection:
        run = find_run(connection, identifier, lock=True)
        if run is None or run.state is not RunState.COMPLETED or run.voided_at is not None:
            text = f"The run {identifier} is not a completed, valid attempt; there is nothing to void."
            return Refusal(reasons=(Reason(code="RUN_NOT_COMPLETED", text=text),))
        people = add_void(connection, identifier, person=str(actor.person or actor.id), reason=reason, at=now)
        if people < _VOIDS_NEEDED:
            return Voided(people=people, is_voided=False)
        mark_voided(connection, identifier, at=now)
        entry = encode_entry(
            id=new_ulid(now),
            kind=EntryKind.EVALUATION_VOIDED,
            at=now,
            actor=pseudonym_of(connection, actor.id),
            subject=identifier,
            space=run.space or "",
            data={"release": run.release, "suite": run.kind.value, "verdict": run.verdict, "people": people},
        )
        append(connection, entry)
        if run.evidence is not None:
            withdraw_item(connection, evidence_by_id(connection, run.evidence), actor=actor, reason=reason, at=now)
    return Voided(people=people, is_voided=True)

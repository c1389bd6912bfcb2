"""The end of a run: what was answered becomes a result, a verdict, a ledger entry and evidence, in one transaction.

Rule: the result is a function of sealed cases, stored answers and earlier attempts, so whoever finishes the run writes
the same bytes; latencies stand beside it. A later attempt can lower a verdict and never raise it; a run
that another model answered than the release's is neither attempt nor evidence, nor is one that mostly did not reach its
release. Fail mode: a run that is no longer `running` is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final, assert_never

from sqlalchemy import Connection

from pilotage.control.evaluation_alerts import tell_result
from pilotage.control.evaluation_budget import over_cap
from pilotage.control.evaluation_drive import Scoring, measured
from pilotage.control.evaluation_evidence import attach_run
from pilotage.control.fail_evaluation import fail_evaluation, failed_before
from pilotage.control.fairness_finish import conclude_fairness
from pilotage.control.gate_split import count_looks
from pilotage.control.golden_sets import leaks_of
from pilotage.control.instance import Instance
from pilotage.control.kept_cases import is_kept
from pilotage.control.own_coverage import Scored, attach_coverage
from pilotage.control.redteam_suite import conclude_attacks
from pilotage.control.sealed_golden import Plan, PlannedCase, sealed_golden
from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.digest import digest_of
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason
from pilotage.evaluation.answering_model import strange_reason
from pilotage.evaluation.conclude import Answered, Asked, Attempts, CaseResult, Conclusion, conclude
from pilotage.evaluation.criteria import Verdict
from pilotage.evaluation.generation import Generation
from pilotage.evaluation.leakage import Leak, LeakCode
from pilotage.evaluation.run import Arm, Progress, RunKind
from pilotage.evaluation.stored import assessment_subject
from pilotage.evaluation.target import Reply
from pilotage.evaluation.unreached import unreached_reason
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.ledger.tree import leaf_hash, root_of
from pilotage.store.evaluation_answers import assessments_of, generations_of, put_assessments
from pilotage.store.evaluation_runs import complete_run, find_run, gating_attempts, take_out_of_gating
from pilotage.store.evaluation_tasks import DoneTask, done_tasks
from pilotage.store.ledger_entries import append
from pilotage.store.model_identity import answered_in, known_identities

ACTOR: Final = "system:evaluation"
_QUANTILES: Final = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything a run's tasks produced, by arm, in the order of case and repeat."""

    by_arm: Mapping[Arm, tuple[CaseResult, ...]]
    tasks: tuple[DoneTask, ...]

    @property
    def candidate(self) -> tuple[CaseResult, ...]:
        """What the release itself answered."""
        return self.by_arm[Arm.CANDIDATE]


def finish_cases(instance: Instance, plan: Plan, scoring: Scoring, progress: Progress) -> Conclusion:
    """Conclude a run whose tasks are all done, and write the end of it."""
    with instance.engine.begin() as connection:
        answers = read_answers(connection, plan, scoring)
        found = _conclude(connection, plan, scoring, answers)
        figures = {**measured(progress), **latencies(answers.tasks)}
        found = replace(found, body={**found.body, "assessments_root": assessments_root(answers)})
        kept: list[Json] = [name for name in plan.cases if is_kept(name)]
        if kept:
            found = replace(found, body={**found.body, "kept": kept})
        unreached = None if progress.not_asked else _unreached(connection, plan, found, answers)
        if unreached is not None:
            fail_evaluation(instance, connection, plan.run, unreached)
            return found
        if progress.not_asked:
            found = _over_budget(connection, plan, found, progress)
        strange = _strange(connection, plan)
        if strange is not None and plan.run.is_gating:
            take_out_of_gating(connection, plan.run.id)
            plan = replace(plan, run=replace(plan.run, is_gating=False))
            found = _by_another(found, strange)
        write_end(instance, connection, plan, found, figures)
    return found


def _conclude(connection: Connection, plan: Plan, scoring: Scoring, answers: Answers) -> Conclusion:
    match plan.run.kind:
        case RunKind.FAIRNESS:
            return conclude_fairness(plan.settings, answers.candidate)
        case RunKind.REDTEAM:
            return conclude_attacks(answers.candidate)
        case RunKind.EVALUATION | RunKind.PERMISSIONS:
            earlier = gating_attempts(connection, plan.run) if plan.run.is_gating else ()
            attempts = Attempts(
                verdicts=tuple(one.verdict or "" for one in earlier),
                count=count_looks(connection, plan),
            )
            asked = Asked(
                release=plan.run.release,
                baseline=plan.run.baseline,
                oldest=plan.run.oldest,
                golden_digest=plan.run.golden_digest,
                files=plan.files,
                settings=plan.settings,
                measures=scoring.measures,
                leaks=_leaks(connection, plan),
            )
            arms = answers.by_arm
            answered = Answered(candidate=arms[Arm.CANDIDATE], baseline=arms[Arm.BASELINE], oldest=arms[Arm.OLDEST])
            return conclude(asked, answered, attempts)
    assert_never(plan.run.kind)


def _leaks(connection: Connection, plan: Plan) -> tuple[Leak, ...]:
    """Return the leaks of a run's cases; one that was moved to dev still counts, so standing there is no leak of it."""
    found = leaks_of(connection, sealed_golden(connection, plan.run.release), plan.files)
    return tuple(one for one in found if not (one.code is LeakCode.SPLITS and is_kept(one.case_id)))


def _unreached(connection: Connection, plan: Plan, found: Conclusion, answers: Answers) -> Reason | None:
    ends = [result.generation.error for result in answers.candidate]
    failures = [error.value for error in ends if error is not None]
    before = failed_before(connection, plan.run.id)
    return unreached_reason(plan.run.id, found.verdict, failures=failures, asked=len(ends), failed_before=before)


def _over_budget(connection: Connection, plan: Plan, found: Conclusion, progress: Progress) -> Conclusion:
    """Return what a run past its cost cap leaves: numbers without a verdict, which are evidence of nothing."""
    run = find_run(connection, plan.run.id) or plan.run
    reason = over_cap(plan, run, progress)
    body = {**found.body, "verdict": None, "reasons": [dict(reason.as_json())]}
    return replace(found, verdict="", body=body, reasons=(reason,), summary=reason.text)


def _strange(connection: Connection, plan: Plan) -> Reason | None:
    """Return why a run was answered by another model than that of its release, or of one that it compares with."""
    run = plan.run
    for arm, release in run.arms.items():
        known, answered = known_identities(connection, release, run.space), answered_in(connection, run.id, arm)
        reason = strange_reason(answered, known, compared="" if arm is Arm.CANDIDATE else release)
        if reason is not None:
            return reason
    return None


def _by_another(found: Conclusion, reason: Reason) -> Conclusion:
    """Return what a run leaves that another model answered: its numbers, without any verdict over the release."""
    verdict = found.verdict and Verdict.INCONCLUSIVE.value
    body = {**found.body, "verdict": verdict or None, "reasons": [dict(reason.as_json())]}
    return replace(found, verdict=verdict, body=body, reasons=(reason,), regressions=(), summary=reason.text)


def assessments_root(answers: Answers) -> str:
    """Return the Merkle root (RFC 6962) over every assessment of a run, by arm, case, repeat and scorer, in hex."""
    leaves = [
        leaf_hash(canonical_bytes(one.as_json(), form=Form.PLAIN))
        for results in answers.by_arm.values()
        for result in results
        for one in sorted(result.assessments, key=lambda found: found.version)
    ]
    return root_of(leaves).hex()


def read_answers(connection: Connection, plan: Plan, scoring: Scoring) -> Answers:
    """Return what a run's tasks produced; what no scorer of this version has seen is scored now, from the answer."""
    tasks = done_tasks(connection, plan.run.id)
    generations = generations_of(connection, {task.answered.generation for task in tasks})
    ordered = sorted(tasks, key=lambda task: (task.key.case_id, task.key.repeat))

    def results(arm: Arm) -> tuple[CaseResult, ...]:
        return tuple(
            _result(connection, plan.cases[task.key.case_id], task, generations[task.answered.generation], scoring)
            for task in ordered
            if task.key.arm is arm
        )

    return Answers(by_arm={arm: results(arm) for arm in Arm}, tasks=tasks)


def _result(
    connection: Connection, planned: PlannedCase, task: DoneTask, generation: Generation, scoring: Scoring
) -> CaseResult:
    context = task.answered.context
    subject = assessment_subject(planned.case_digest, context)
    wanted = scoring.versions(planned.case)
    known = assessments_of(connection, generation.digest, subject)
    found = scoring.assess(planned, Reply(generation=generation), context, only=wanted - known.keys())
    put_assessments(connection, subject, found)
    known |= {one.version: one for one in found}
    return CaseResult(
        case=planned.case,
        case_digest=planned.case_digest,
        repeat=task.key.repeat,
        generation=generation,
        assessments=tuple(
            replace(known[version], case_id=planned.case.id, repeat=task.key.repeat)
            for version in sorted(wanted & known.keys())
        ),
    )


def latencies(tasks: Sequence[DoneTask]) -> dict[str, Json]:
    """Return latency quantiles of the candidate by nearest rank, in ms; cached answers give none."""
    found: dict[str, Json] = {}
    own = [task.answered for task in tasks if task.key.arm is Arm.CANDIDATE]
    for prefix, times in (
        ("", sorted(one.latency_us for one in own if one.latency_us is not None)),
        ("ttft_", sorted(one.ttft_us for one in own if one.ttft_us is not None)),
    ):
        for name, quantile in _QUANTILES.items():
            if times:
                found[prefix + name] = times[ceil(quantile * len(times)) - 1] / 1000
    return found


def write_end(
    instance: Instance, connection: Connection, plan: Plan, found: Conclusion, figures: Mapping[str, Json]
) -> None:
    """Write result, ledger entry and evidence of a run; nothing when it does not run any more."""
    now = instance.clock.now()
    body = canonical_bytes(found.body, form=Form.PLAIN)
    verdict = found.verdict or None
    if not complete_run(connection, plan.run.id, verdict=verdict, result=body, measured=figures, at=now):
        return
    entry = encode_entry(
        id=new_ulid(now),
        kind=EntryKind.EVALUATION_FINISHED,
        at=now,
        actor=ACTOR,
        subject=plan.run.id,
        space=plan.run.space or "",
        data={
            "suite": plan.run.kind.value,
            "workflow": plan.run.workflow,
            "release": plan.run.release,
            "golden": plan.run.golden_digest,
            "verdict": verdict,
            "result": digest_of(body),
            "assessments": found.body.get("assessments_root", ""),
            "scored": found.scored,
            "unscored": found.unscored,
        },
    )
    append(connection, entry)
    tell_result(connection, instance, plan.run, found)
    if plan.run.is_gating and verdict is not None:
        attach_run(connection, instance, plan.run, found, figures, body=body, at=now)
        if plan.run.kind is RunKind.EVALUATION:
            scored = Scored(
                release=plan.run.release,
                cases=tuple(planned.case for planned in plan.cases.values()),
                passed=frozenset(found.names.get("passed_cases", ())),
                failed=frozenset(found.names.get("failed_cases", ())),
                at=now,
            )
            attach_coverage(connection, instance, scored)

"""Step 9, record: no answer without its record (serving.md 7).

In a `fail_closed` space the answer waits for the commit; in an `async` space it waits for a place in the buffer. A
stream of a `fail_closed` space is opened in the ledger before its first byte. Fail mode: a refusal instead of the
answer, and a correction of the record if that had become durable after all.
"""

from __future__ import annotations

from pilotage.serving.context import Answer, Checked, Composed, Generated, Located, Received
from pilotage.serving.outcome import RequestOutcome, State, outcome_of_content
from pilotage.serving.record_rows import Ending, interaction_rows
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.run import Run
from pilotage.serving.service import Serving
from pilotage.space.settings import RecordMode
from pilotage.workspace.workflow import HumanReview


async def open_record(context: Composed, run: Run, serving: Serving) -> Refusal | None:
    """Commit the opening record of a stream: who, release, passages, question."""
    if context.place.space.record_mode is not RecordMode.FAIL_CLOSED:
        return None
    ending = _ending(context, serving, outcome=RequestOutcome.LOST, state=State.OPEN)
    rows = interaction_rows(context, ending, salts=run.salts, workflow=context.asked.workflow)
    refusal = await serving.recorder.commit(rows)
    run.is_recorded = _may_be_durable(refusal)
    return refusal


async def record(context: Checked, run: Run, serving: Serving) -> Answer | Refusal:
    """Record the answer, then hand it over."""
    verdict = context.verdict
    findings = (*context.question.findings, *context.retrieval.findings, *verdict.findings)
    outcome = outcome_of_content(verdict.refusal, findings)
    ending = _ending(context, serving, outcome=outcome, refused=verdict.refusal is not None)
    rows = interaction_rows(
        context, ending, salts=run.salts, workflow=context.asked.workflow, is_recorded=run.is_recorded
    )
    if context.place.space.record_mode is RecordMode.FAIL_CLOSED:
        refusal = await serving.recorder.commit(rows)
        run.is_recorded = run.is_recorded or _may_be_durable(refusal)
    else:
        refusal = serving.recorder.offer(rows)
    if refusal is not None:
        return refusal
    return Answer(
        interaction=context.interaction,
        at=context.at,
        workflow=context.asked.workflow,
        space=context.place.space.name,
        release=context.release.digest,
        corpus_version=context.retrieval.corpus_version,
        arm=context.arm.value,
        text=verdict.text,
        finish=context.generation.finish,
        refusal=verdict.refusal,
        cited=verdict.cited,
        findings=findings,
        warnings=context.warnings,
        usage=context.generation.usage,
        cost_nano=context.generation.cost_nano,
        cached=context.generation.cached,
        reviews=_reviews(context, serving) if verdict.cited else (),
    )


def _reviews(context: Checked, serving: Serving) -> tuple[HumanReview, ...]:
    """Return what an answer with a source is a draft for; one without a source is no draft of anything."""
    declared = serving.workspace.workflows.get(context.asked.workflow)
    return () if declared is None else declared.human_review


def record_end(context: Received, run: Run, serving: Serving, *, outcome: RequestOutcome, code: Code | None) -> None:
    """Record a request that ended without an answer. Never waits: nothing is held back for this record."""
    known = context.asked.workflow in serving.workspace.workflows
    ending = _ending(context, serving, outcome=outcome, code=code)
    rows = interaction_rows(
        context,
        ending,
        salts=run.salts,
        workflow=context.asked.workflow if known or isinstance(context, Located) else "",
        is_recorded=run.is_recorded,
    )
    serving.recorder.offer(rows)


def _may_be_durable(refusal: Refusal | None) -> bool:
    """Tell whether a record follows that this one must close: a commit that was not confirmed may still happen."""
    return refusal is None or refusal.code is Code.STORE_UNAVAILABLE


def _ending(
    context: Received,
    serving: Serving,
    *,
    outcome: RequestOutcome,
    state: State = State.FINAL,
    code: Code | None = None,
    refused: bool = False,
) -> Ending:
    return Ending(
        outcome=outcome,
        at=serving.clock.now(),
        total_us=serving.elapsed_us(context.started),
        state=state,
        code=code,
        refused=refused,
        cached=isinstance(context, Generated) and context.generation.cached,
    )

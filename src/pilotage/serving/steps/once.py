"""Answering once: the idempotency key of a request (serving.md 7.6).

The same key with another body is refused, a running one too; a finished one returns its answer, as long as the answer
is kept, its release still serves here and the asker may still see every chunk it cites: no text of a release comes
back after a rollback took it out. Fail mode: no store, no answer; a request without answer gives its key back.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import psycopg

from pilotage.serving.context import Admitted, Answer, Checked
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.run import Replay, Run
from pilotage.serving.service import Serving
from pilotage.store.serving_idempotency import Held, Owner

logger = logging.getLogger(__name__)
_STORE_ERRORS = (psycopg.Error, OSError, TimeoutError)
_pending: set[asyncio.Task[None]] = set()


async def claim_key(context: Admitted, run: Run, serving: Serving) -> Replay | Refusal | None:
    """Claim the request's key; None to go on (also without a key), the earlier answer, or a refusal."""
    key = context.asked.idempotency_key
    if key is None:
        return None
    owner = Owner(
        principal=context.asker.pseudonym, workflow=context.asked.workflow, key=serving.request_hash(key.encode())
    )
    try:
        for _ in range(2):
            held = await serving.idempotency.claim(
                owner, body_hash=context.asked.body_hash, interaction=context.interaction, at=context.at
            )
            if held is None:
                run.key = owner
                return None
            earlier = await _earlier(held, context, serving)
            if earlier is not None:
                return earlier
            await serving.idempotency.forget_answer(owner)
    except _STORE_ERRORS:
        return Refusal(code=Code.STORE_UNAVAILABLE, message="The store does not answer. Try again.", retry_after_s=2)
    return _in_progress()


async def keep_answer(answer: Answer, context: Checked, run: Run, serving: Serving) -> None:
    """Keep the redacted answer under the claimed key; failing to keep it does not take the answer away."""
    if run.key is None:
        return
    body = serving.reply_body(replace(answer, text=context.verdict.stored)).decode()
    try:
        await serving.idempotency.finish(run.key, answer=body, release=answer.release)
    except _STORE_ERRORS:
        logger.warning("Interaction %s: its idempotency key could not be finished.", context.interaction)


async def free_key(run: Run, serving: Serving) -> None:
    """Give the key back after a request without answer."""
    if run.key is None:
        return
    try:
        await serving.idempotency.free(run.key, interaction=run.context.interaction)
    except _STORE_ERRORS:
        logger.warning("Interaction %s: its idempotency key is freed when it expires.", run.context.interaction)


def free_key_later(run: Run, serving: Serving) -> None:
    """Give the key back from a request that is being cancelled and may not wait."""
    if run.key is not None:
        task = asyncio.get_running_loop().create_task(free_key(run, serving))
        _pending.add(task)
        task.add_done_callback(_pending.discard)


async def _earlier(held: Held, context: Admitted, serving: Serving) -> Replay | Refusal | None:
    if held.body_hash != context.asked.body_hash:
        return Refusal(
            code=Code.IDEMPOTENCY_MISMATCH, message="This idempotency key was used with another request body."
        )
    if not held.is_done:
        return _in_progress()
    if held.answer is None or not _serves(held.release, context, serving):
        return None
    if not await serving.retriever.may_see(context.asker, held.cited):
        return None
    return Replay(interaction=held.interaction, body=held.answer)


def _serves(release: str | None, context: Admitted, serving: Serving) -> bool:
    """Tell whether a release still answers where this request was admitted."""
    row = context.place.row
    return any(one == release and serving.routing.is_serving(one) for one in (row.stable, row.candidate))


def _in_progress() -> Refusal:
    return Refusal(code=Code.IDEMPOTENCY_IN_PROGRESS, message="A request with this idempotency key is still running.")

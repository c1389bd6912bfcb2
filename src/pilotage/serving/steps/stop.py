"""A question that a check stopped before the model: a checked refusal with the reason `guard` (serving.md 1.2).

It is an answer like any other: 200, recorded, with its findings; nothing was asked of the model. Fail mode: none; there
is nothing of the question or of a passage in it.
"""

from __future__ import annotations

import secrets

from pilotage.release.generation import FinishReason, GenerationRequest, Usage
from pilotage.serving.answer_checks import TEXTS
from pilotage.serving.context import Checked, Generation, Guarded, Retrieved, Verdict
from pilotage.serving.service import Serving
from pilotage.serving.steps.compose import CANARY_BYTES
from pilotage.serving.steps.extend import extend
from pilotage.serving.steps.retrieve import nothing

_GUARD = "guard"


def is_stopped(context: Guarded) -> bool:
    """Tell whether a check of the question or of its passages blocked."""
    is_blocked = isinstance(context, Retrieved) and context.retrieval.is_blocked
    return is_blocked or context.question.blocked_by is not None


def stop(context: Guarded, serving: Serving) -> Checked:
    """Return the refusal."""
    if not isinstance(context, Retrieved):
        context = extend(
            context, Retrieved, retrieval=nothing(context, serving), retrieved_us=serving.elapsed_us(context.started)
        )
    usage, text = Usage(prompt_tokens=0, completion_tokens=0), TEXTS[_GUARD]
    return extend(
        context,
        Checked,
        prompt=GenerationRequest(messages=(), question=context.question.text, passages=()),
        canary=secrets.token_hex(CANARY_BYTES),
        warnings=context.asked.warnings,
        generation=Generation(
            text="",
            finish=FinishReason.CONTENT_FILTER,
            usage=usage,
            model="",
            retries=0,
            cost_nano=serving.cost_nano(context.release.content, usage),
            first_us=None,
        ),
        verdict=Verdict(text=text, stored=text, refusal=_GUARD, findings=(), cited=(), scores={}),
    )

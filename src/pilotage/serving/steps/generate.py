"""Step 6b, generate: the model's answer, whole or as it comes.

In mode `buffer` nothing leaves here; in `token` and `sentence` released text goes to the asker through `outlet` while
the model still speaks. Rule: a model whose price nobody said is not asked (`model_unpriced`). Fail mode: a model that
fails, is late or breaks off gives `upstream_failed` or `upstream_timeout`; its own words are logged by code only.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from pilotage.core.errors import Unavailable
from pilotage.guard.redact import without_tokens
from pilotage.release.generation import Delta, Done, Event, GenerationRequest, Model, RequestRefused, Usage
from pilotage.serving.context import Composed, Generated, Generation
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving, tokens_of
from pilotage.serving.steps.extend import extend

logger = logging.getLogger(__name__)


_UNPRICED = Refusal(
    code=Code.MODEL_UNPRICED,
    message="What this release's model costs is not declared, so it is not asked. Tell the workflow's owner.",
)


class Outlet(Protocol):
    """Takes text as the model writes it; decides what may leave, and when."""

    async def take(self, text: str) -> Refusal | None:
        """Take the next piece; a refusal ends the stream."""
        ...


async def generate(context: Composed, serving: Serving, outlet: Outlet | None = None) -> Generated | Refusal:
    """Ask the model; return its whole text even when it was streamed."""
    if serving.is_unpriced(context.release.content):
        logger.warning("Interaction %s: no price is declared for the model of its release.", context.interaction)
        return _UNPRICED
    model = context.release.model
    pieces: list[str] = []
    usage: Usage | None = None
    done: Done | None = None
    first_us: int | None = None
    try:
        async with _closing(model.generate(context.prompt)) as events:
            async for event in events:
                match event:
                    case Delta(text=text):
                        first_us = first_us if first_us is not None else serving.elapsed_us(context.started)
                        pieces.append(text)
                        refusal = await outlet.take(text) if outlet is not None else None
                        if refusal is not None:
                            return refusal
                    case Usage():
                        usage = event
                    case Done():
                        done = event
    except Unavailable as error:
        logger.warning("Interaction %s: the model failed (%s).", context.interaction, error.code)
        return _upstream(error.code, is_of_release=isinstance(error, RequestRefused))
    if done is None:
        return _upstream("upstream_failed")
    text = "".join(pieces)
    usage = usage or _estimate(model, context.prompt, text)
    generation = Generation(
        text=text,
        finish=done.finish,
        usage=usage,
        model=done.model,
        retries=done.retries,
        cost_nano=serving.cost_nano(context.release.content, usage, embedded=_embedded(context)),
        first_us=first_us,
        fingerprint=done.fingerprint,
    )
    return extend(context, Generated, generation=generation)


@asynccontextmanager
async def _closing(events: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    """Close the model's stream whatever happens: that is what cancels the call upstream."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _upstream(code: str, *, is_of_release: bool = False) -> Refusal:
    if code == Code.UPSTREAM_TIMEOUT.value:
        return Refusal(code=Code.UPSTREAM_TIMEOUT, message="The model did not answer in time. Try again.")
    message = "The model failed to answer. Try again."
    return Refusal(code=Code.UPSTREAM_FAILED, message=message, is_of_release=is_of_release)


def _embedded(context: Composed) -> int:
    """Return how many tokens the embedding model was asked; it does not say."""
    return 0 if context.retrieval.vectors is None else tokens_of(without_tokens(context.question.text).strip())


def _estimate(model: Model, prompt: GenerationRequest, text: str) -> Usage:
    asked = sum(model.count(message.content) for message in prompt.messages)
    return Usage(prompt_tokens=asked, completion_tokens=model.count(text), estimated=True)

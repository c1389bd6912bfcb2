"""Step 5a, embed: what the release's embedding model makes of the question.

Rule: it sees the cleaned, redacted question without its tokens, as the search for words does; a question of tokens
alone is not sent and finds nothing either way. Fail mode: a model that fails, is late or gives no direction refuses the
question as a model that answers would: another retrieval than this release's was evaluated by nobody.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from pilotage.core.errors import Unavailable
from pilotage.guard.redact import without_tokens
from pilotage.retrieval.build import unit_vector
from pilotage.serving.context import Embedded, Guarded
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving
from pilotage.serving.steps.extend import extend

logger = logging.getLogger(__name__)

_GRACE_S: Final = 0.5
"""The model ends a late call itself, and so learns of it; this is for one that does not."""
_LATE = Refusal(code=Code.UPSTREAM_TIMEOUT, message="The search for passages did not answer in time. Try again.")
_FAILED = Refusal(code=Code.UPSTREAM_FAILED, message="The search for passages failed. Try again.")


async def embed(context: Guarded, serving: Serving) -> Embedded | Refusal:
    """Return the question with its vector, or refuse."""
    settings = context.release.content.retrieval.embedding
    text = "" if settings is None else without_tokens(context.question.text).strip()
    if settings is None or not text:
        return extend(context, Embedded, vector=None, embedded_us=None)
    embedder = context.release.embedder
    if embedder is None:
        logger.error("Interaction %s: its release has no embedding model here.", context.interaction)
        return _FAILED
    try:
        async with asyncio.timeout(settings.timeout_s + _GRACE_S):
            raw = await embedder.question(text)
    except TimeoutError:
        logger.warning("Interaction %s: the embedding model is late.", context.interaction)
        return _LATE
    except Unavailable as error:
        logger.warning("Interaction %s: the embedding model failed (%s).", context.interaction, error.code)
        return _LATE if error.code == Code.UPSTREAM_TIMEOUT.value else _FAILED
    vector = unit_vector(raw, settings.dimension)
    if vector is None:
        logger.warning("Interaction %s: the question's vector has no direction of this release.", context.interaction)
        return _FAILED
    return extend(context, Embedded, vector=vector, embedded_us=serving.elapsed_us(context.started))

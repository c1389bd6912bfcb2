"""Step 5, retrieve: a vector, the permission decision, then the passages (serving.md 4, corpus-and-ledger.md 3).

The retriever sees one allowed set and searches inside it only; its statistics are those of what the asker may see.
Fail mode: every doubt on the way is a refusal, never a wider set; the refusal is the same whatever is hidden.
"""

from __future__ import annotations

import psycopg

from pilotage.core.errors import PilotageError
from pilotage.serving.context import Guarded, Retrieval, Retrieved
from pilotage.serving.ports import Breach
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving
from pilotage.serving.steps.embed import embed
from pilotage.serving.steps.extend import extend
from pilotage.serving.steps.wall import open_wall_incident


async def retrieve(context: Guarded, serving: Serving) -> Retrieved | Refusal:
    """Find the passages for the question, or refuse."""
    if not context.release.content.corpora:
        # A release sealed without documents: a plain assistant, with nothing to see and nothing to cite.
        return extend(
            context, Retrieved, retrieval=nothing(context, serving), retrieved_us=serving.elapsed_us(context.started)
        )
    embedded = await embed(context, serving)
    if isinstance(embedded, Refusal):
        return embedded
    try:
        retrieval = await serving.retriever.retrieve(embedded)
    except (psycopg.Error, OSError, TimeoutError):
        return Refusal(code=Code.STORE_UNAVAILABLE, message="The store does not answer. Try again.", retry_after_s=2)
    except PilotageError:
        return Refusal(code=Code.INDEX_NOT_READY, message="The documents are being loaded. Try again.", retry_after_s=5)
    if isinstance(retrieval, Breach):
        return open_wall_incident(context, retrieval.lost, serving)
    if isinstance(retrieval, Refusal):
        return retrieval
    retrieval = serving.guard.check_passages(context, retrieval)
    return extend(context, Retrieved, retrieval=retrieval, retrieved_us=serving.elapsed_us(context.started))


def nothing(context: Guarded, serving: Serving) -> Retrieval:
    """Return the retrieval of a question that sees no documents."""
    return Retrieval(
        corpus=None,
        corpus_version=None,
        as_of=context.asked.as_of or serving.today(context.at),
        found=(),
        idf=(),
        acl_generation=0,
        allowed_count=0,
        allowed_fingerprint="",
    )

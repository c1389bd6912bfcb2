"""`GET /v1/models`: the workflows the asker may call, as OpenAI model objects. Nothing of a workflow they may not call.

Fail mode: an asker who is not authenticated gets a 401, never an empty list.
"""

from __future__ import annotations

import msgspec

from pilotage.core.canonical import Json
from pilotage.core.ids import InteractionId, SpaceName, WorkflowName
from pilotage.gateway.exchange import Exchange
from pilotage.serving.context import Asked, Authenticated, Received
from pilotage.serving.refusal import Code, Refusal, RefusedError
from pilotage.serving.service import Serving
from pilotage.serving.steps.authenticate import authenticate
from pilotage.serving.steps.locate import callable_workflows


async def list_models(exchange: Exchange, serving: Serving, space: SpaceName | None) -> None:
    """Answer with the models of one space, or of every space."""
    context = await authenticated(exchange, serving)
    if space is not None and space not in serving.workspace.spaces:
        raise RefusedError(Refusal(code=Code.SPACE_NOT_FOUND, message=f"There is no space {space!r} for you."))
    models: list[Json] = [
        {"id": name, "object": "model", "created": 0, "owned_by": serving.workspace.id}
        for name in callable_workflows(serving, context.asker, space)
    ]
    await exchange.answer(msgspec.json.encode({"object": "list", "data": models}))


async def authenticated(exchange: Exchange, serving: Serving) -> Authenticated:
    """Return who asks, or raise RefusedError."""
    received = Received(
        interaction=InteractionId(exchange.interaction),
        at=serving.clock.now(),
        started=serving.monotonic(),
        peer=exchange.client(),
        credential=exchange.credential(),
        asked=Asked(workflow=WorkflowName(""), messages=()),
    )
    context = await authenticate(received, serving)
    if isinstance(context, Refusal):
        raise RefusedError(context)
    return context

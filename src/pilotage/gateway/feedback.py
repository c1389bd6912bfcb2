"""`POST /v1/feedback {interaction, rating: up|down, comment?, correction?}` (serving.md 7.7).

Fail mode: an interaction of somebody else does not exist here (404), exactly as one that never was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from pilotage.control.give_feedback import MAX_CODE_POINTS, FeedbackGiven, Rating, give_feedback
from pilotage.control.instance import Instance
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import SpaceName
from pilotage.gateway.exchange import Exchange
from pilotage.gateway.metrics import GatewayMetrics
from pilotage.gateway.models import authenticated
from pilotage.identity.principal import Principal
from pilotage.serving.refusal import Code, Refusal, RefusedError
from pilotage.serving.service import Serving

FEEDBACK_SCOPE = "feedback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """Takes ratings. `redact` cleans and redacts one text for storage."""

    serving: Serving
    instance: Instance
    metrics: GatewayMetrics
    redact: Callable[[str], str]

    async def take(self, exchange: Exchange, space: SpaceName | None) -> None:
        """Store one rating and answer with what was stored."""
        del space  # an interaction knows its space
        context = await authenticated(exchange, self.serving)
        key = context.asker.key
        if key is not None and key.scopes and FEEDBACK_SCOPE not in key.scopes:
            raise _refused(Code.SCOPE_MISSING, "This key may not rate answers: it lacks the scope feedback.")
        body, _ = await exchange.json_body()
        if not isinstance(body, Mapping):
            raise _refused(Code.INVALID_REQUEST, "The body must be a JSON object.")
        await self.serving.recorder.settle()  # the answer may be younger than the recorder's window
        given = await self._store(context.asker.principal, body)
        self.metrics.feedback(workflow=given.workflow, space=given.space, rating=given.rating.value)
        answer = {"object": "feedback", "id": given.id, "interaction": given.interaction, "rating": given.rating.value}
        await exchange.answer(msgspec.json.encode(answer))

    async def _store(self, actor: Principal, body: Mapping[str, object]) -> FeedbackGiven:
        interaction, rating = body.get("interaction"), body.get("rating")
        if not isinstance(interaction, str):
            raise _refused(Code.INVALID_REQUEST, "interaction must be the id of an answer.", "interaction")
        if rating not in {item.value for item in Rating}:
            raise _refused(Code.INVALID_REQUEST, "rating must be up or down.", "rating")
        try:
            return await asyncio.to_thread(
                give_feedback,
                self.instance,
                actor=actor,
                interaction=interaction,
                rating=Rating(str(rating)),
                redact=self.redact,
                comment=_text(body, "comment"),
                correction=_text(body, "correction"),
            )
        except NotFound as error:
            raise _refused(Code.INTERACTION_NOT_FOUND, error.message, "interaction") from None
        except UsageError as error:
            raise _refused(Code.INVALID_REQUEST, error.message) from None
        except SQLAlchemyError:
            raise _refused(Code.STORE_UNAVAILABLE, "The store does not answer. Try again.") from None


def _text(body: Mapping[str, object], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_CODE_POINTS:
        what = f"{name} must be a text of at most {MAX_CODE_POINTS} characters."
        raise _refused(Code.INVALID_REQUEST, what, name)
    return value


def _refused(code: Code, message: str, param: str | None = None) -> RefusedError:
    return RefusedError(Refusal(code=code, message=message, param=param))

"""`/api/v1/interactions`: why an answer was given, and what its reader thought. Asking is the gateway's `/v1`."""

from __future__ import annotations

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.explain_interaction import explain_interaction
from pilotage.control.give_feedback import Rating, give_feedback
from pilotage.core.clock import to_text


class Judging(Body):
    """Thumbs, with an optional reason and correction."""

    rating: Rating
    comment: str | None = None
    correction: str | None = None


def _explain(call: Call) -> Result:
    return explain_interaction(call.instance, actor=call.actor, interaction=call.params["interaction"]).as_json()


def _feedback(call: Call) -> Result:
    asked: Judging = call.fields
    given = give_feedback(
        call.instance,
        actor=call.actor,
        interaction=call.params["interaction"],
        rating=asked.rating,
        redact=call.services.redact,
        comment=asked.comment,
        correction=asked.correction,
    )
    return {
        "feedback": given.id,
        "interaction": given.interaction,
        "rating": given.rating.value,
        "comment": given.comment,
        "correction": given.correction,
        "at": to_text(given.at),
    }


OPERATIONS = (
    Operation(
        method="GET",
        path="/interactions/{interaction}",
        command="explain",
        summary="Explain an answer",
        gives="The whole chain: asker, admission, route, allowed set, passages, guards, release, proof.",
        run=_explain,
    ),
    Operation(
        method="POST",
        path="/interactions/{interaction}/feedback",
        command="feedback",
        summary="Rate an answer",
        gives="What was stored, after redaction.",
        run=_feedback,
        takes=Judging,
    ),
)

"""Step 4, guard in: the asker's words become a question that may be stored, searched and sent (serving.md 5).

Size limits count code points after clean-up. Fail mode: the policy's; a check that fails closed blocks the question,
which then is answered by the fixed refusal of step `stop`.
"""

from __future__ import annotations

from pilotage.serving.context import Guarded, Question, Routed
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.service import Serving
from pilotage.serving.steps.extend import extend


async def guard_in(context: Routed, serving: Serving) -> Guarded | Refusal:
    """Clean up and redact every message and the label, or refuse."""
    question = serving.guard.check_question(context)
    if isinstance(question, Refusal):
        return question
    refusal = _too_long(question, serving)
    return refusal or extend(context, Guarded, question=question)


def _too_long(question: Question, serving: Serving) -> Refusal | None:
    limits = serving.workspace.gateway.limits
    sizes = [len(turn.text) for turn in question.turns]
    for index, size in enumerate(sizes):
        if size > limits.message_code_points:
            return Refusal(
                code=Code.QUESTION_TOO_LONG,
                message=f"This message has {size} code points; at most {limits.message_code_points} are read.",
                param=f"messages[{index}].content",
            )
    if sum(sizes) > limits.messages_code_points:
        return Refusal(
            code=Code.QUESTION_TOO_LONG,
            message=f"The messages have {sum(sizes)} code points; at most {limits.messages_code_points} are read.",
            param="messages",
        )
    return None

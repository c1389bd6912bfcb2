"""Step 7, guard out: the whole answer against the release's policy (serving.md 5).

Redaction, canary, URLs, citations, numbers, grounding. Fail mode: an answer that may not leave becomes the release's
fixed text with its reason; a guard that breaks is an error, never an unchecked answer.
"""

from __future__ import annotations

from pilotage.serving.context import Checked, Generated
from pilotage.serving.service import Serving
from pilotage.serving.steps.extend import extend


async def guard_out(context: Generated, serving: Serving) -> Checked:
    """Judge the answer."""
    return extend(context, Checked, verdict=serving.guard.check_answer(context))

"""What a sent answer should not have held: the text as it left, read once more after the guard (rollouts.md 8.1).

The guard decides before sending; this only tells the record, so that a guard that failed is found out. Rule: kinds,
never values; what the policy lets leave, and the asker's own values that it restores, are no leak. Fail mode: an answer
that was stopped has nothing to tell.
"""

from __future__ import annotations

from pilotage.guard.pii_recognise import recognise
from pilotage.guard.pii_types import PiiType
from pilotage.guard.policy import Restore, Stage
from pilotage.guard.secrets import has_secret
from pilotage.serving.context import Checked
from pilotage.serving.policy_lines import rules_of


def leaked_kinds(context: Checked) -> tuple[str, ...]:
    """Return the kinds of values in the sent text that the policy does not let leave, sorted."""
    policy, verdict = context.release.content.guard, context.verdict
    if verdict.refusal is not None or policy.restore is Restore.CALLER:
        return ()
    if not recognise(verdict.text):
        return ()
    rules = rules_of(policy, "pii_out", Stage.OUTPUT)
    kinds = {match.type.value for match in rules.find(verdict.text)}
    if has_secret(verdict.text):
        kinds.add(PiiType.SECRET.value)
    return tuple(sorted(kinds))

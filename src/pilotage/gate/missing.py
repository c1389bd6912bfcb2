"""What a gate still needs, and who can provide it: the list a person works through.

Rule: each entry names the thing and the people or the command that bring it. Fail mode: a role whose every holder is
in conflict is said so; nothing is waived.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from pilotage.core.reason import Reason
from pilotage.gate.bringing import OWN, command_for
from pilotage.gate.records import GateInput
from pilotage.gate.report import CriterionResult, SignoffResult
from pilotage.gate.wording import absent
from pilotage.identity.roles import Action, Role, grant_for


def missing_of(
    given: GateInput, criteria: Sequence[CriterionResult], signoffs: Sequence[SignoffResult]
) -> tuple[Reason, ...]:
    """Return what is not there yet, criteria first, then sign-offs."""
    found: list[Reason] = []
    for one in criteria:
        if one.holds:
            continue
        found += [_evidence(kind, one, given) for kind in one.missing]
    found += [_signoff(one) for one in signoffs if not one.is_complete and one.covered_by is None]
    return tuple(found)


def _evidence(kind: str, criterion: CriterionResult, given: GateInput) -> Reason:
    command = command_for(kind, space=given.gate.space)
    if kind.startswith("document."):
        who = f"The document's owner (any of {_attachers()} roles may attach it)"
    else:
        who = "An engineer" if kind in OWN else "A service key that lists the kind"
    text = f"{criterion.id}: {absent(kind)}. {who} provides it: `{command}`."
    return Reason(code="EV_MISSING", text=text, where=criterion.id)


@cache
def _attachers() -> int:
    able = (role for role in Role if grant_for((role,), Action.ATTACH_CLAIMED) is not None)
    return sum(role is not Role.SERVICE for role in able)


def _signoff(one: SignoffResult) -> Reason:
    have = len(set(one.approved_by) | set(one.via_review))
    what = f"seat {one.role.value}" if one.is_seat else f"{one.needed} x {one.role.value}"
    able = [who for who in one.eligible if who not in one.approved_by]
    if able:
        tail = f"{', '.join(able[:5])} may sign" + (" after the board." if one.after_board else ".")
    else:
        tail = "Nobody who holds it is free of a conflict; name another person in pilotage.yaml."
    text = f"Sign-off missing: {what} ({have} of {one.needed}). {tail}"
    return Reason(code="SIGNOFF_SHORT", text=text, where=one.role.value, observed=str(have), limit=str(one.needed))

"""`pilotage gate confirm`: the post half of go-live, by the role its file names; the same path as any sign-off.

Rule: what `sign_gate` checks holds here; this only picks half, role and decision. Fail mode: NotFound for a gate
without a post half, else the Refusal of the sign-off.
"""

from __future__ import annotations

from pilotage.control.instance import Instance
from pilotage.control.sign_gate import Ballot, Signed, sign_gate
from pilotage.core.errors import NotFound
from pilotage.core.reason import Refusal
from pilotage.gate.vocabulary import Half, VoteDecision
from pilotage.identity.principal import Principal

GO_LIVE = "go-live"


def confirm_go_live(  # noqa: PLR0913 - what a confirmation says
    instance: Instance,
    *,
    actor: Principal,
    release: str,
    gate: str = GO_LIVE,
    space: str | None = None,
    comment: str = "",
    bind: str | None = None,
) -> Signed | Refusal:
    """Confirm that the release is well in its space after the first traffic."""
    declared = instance.workspace.gates.get(gate)
    roles = [] if declared is None or declared.post is None else [one.role for one in declared.post.signoffs]
    if not roles:
        able = [one.name for one in instance.workspace.gates.values() if one.post is not None and one.post.signoffs]
        message = f"Gate {gate!r} has no post half that anybody confirms."
        raise NotFound("GATE_WITHOUT_POST", message, hint=f"Those that have one: {', '.join(sorted(able)) or 'none'}.")
    role = next((one for one in roles if one in actor.roles), roles[0])
    ballot = Ballot(
        gate=gate,
        role=role.value,
        decision=VoteDecision.APPROVE.value,
        comment=comment,
        bind=bind,
        half=Half.POST,
        space=space,
    )
    return sign_gate(instance, actor=actor, release=release, ballot=ballot)

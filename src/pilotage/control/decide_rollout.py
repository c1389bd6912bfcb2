"""`pilotage rollout go|extend|release`: what people decide about a step (rollouts.md 7.2 rows 7, 9, 11; 7.3).

Rule: a signature is for the digest of the verdict that was fixed when deciding began; GO is computed again when the
rollout advances. Nobody who made the release or started it decides. Fail mode: a Refusal; a verdict whose outcome
changed is STALE_VERDICT.
"""

from __future__ import annotations

from typing import Final

from pilotage.analysis.verdict import Judgement
from pilotage.control.instance import Instance
from pilotage.control.rollout_desk import Desk, at_desk
from pilotage.control.rollout_facts import read_facts
from pilotage.control.rollout_moves import Move, record_entry
from pilotage.control.rollout_people import deciding_role
from pilotage.control.rollout_ports import RolloutPorts
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, may
from pilotage.ledger.entry import EntryKind
from pilotage.rollout.states import State
from pilotage.rollout.transitions import Event
from pilotage.store.rollout_verdicts import Signature, add_signature, signatures_of
from pilotage.store.rollouts import StoredRollout

_LONGEST: Final = 2


def sign_go(
    instance: Instance, ports: RolloutPorts, *, actor: Principal, rollout: str, verdict: str | None = None
) -> StoredRollout | Refusal:
    """Sign the decision verdict in the actor's role; the last role that is named lets the rollout advance.

    `verdict` is the digest the signer read; without it the one that is fixed now is signed.
    """
    with at_desk(instance, rollout, actor) as desk:
        stored = desk.rollout
        if stored.state is not State.DECIDING:
            return desk.move(Move(event=Event.DECIDE))
        if stored.decision is None:
            return nothing_fixed(stored)
        signed = signatures_of(desk.connection, stored.id, stored.decision, kind="go")
        if any(one.person == desk.deed.person for one in signed):
            return stored
        role = deciding_role(
            desk.connection, instance.workspace, stored, actor, frozenset(Role(one.role) for one in signed)
        )
        if isinstance(role, Refusal):
            return role
        stale = _stale(desk, ports, verdict)
        if stale is not None:
            return stale
        _sign(desk, role, stored.decision)
        return _advanced(desk, ports)


def nothing_fixed(stored: StoredRollout) -> Refusal:
    """Return the refusal of a signature under no verdict: what is unknown is never signed."""
    text = f"No verdict of rollout {stored.id} is fixed to be signed; wait for the next look at it."
    return Refusal(reasons=(Reason(code="NO_VERDICT", text=text, where=stored.id),))


def not_go(outcome: str) -> Refusal:
    """Return the refusal of a signature under a verdict that does not say go."""
    text = f"The verdict is {outcome}, not go. It can be extended, overruled or aborted, not signed."
    return Refusal(reasons=(Reason(code="NOT_GO", text=text, observed=outcome, limit="go"),))


def _stale(desk: Desk, ports: RolloutPorts, read: str | None) -> Refusal | None:
    """Refuse a signature under a verdict that is not the one that holds now."""
    stored = desk.rollout
    if read is not None and read != stored.decision:
        text = f"You signed {read}; the verdict to decide about is {stored.decision}. Read it and sign again."
        return Refusal(reasons=(Reason(code="STALE_VERDICT", text=text, observed=read, limit=stored.decision),))
    if stored.decision_outcome is None:
        return nothing_fixed(stored)
    fixed = stored.decision_outcome.value
    if stored.decision_outcome is not Judgement.GO:  # whatever the counts say now: this verdict is signed by nobody
        return not_go(fixed)
    now = read_facts(desk.connection, desk.instance, ports, stored, desk.deed.at).facts.verdict
    outcome = None if now is None else now.outcome
    if outcome is Judgement.GO:
        return None
    found = "unknown" if outcome is None else outcome.value
    text = f"The verdict was {fixed} when deciding began and is {found} on the counts as of now."
    return Refusal(reasons=(Reason(code="STALE_VERDICT", text=text, observed=found, limit=fixed),))


def _sign(desk: Desk, role: Role, verdict: Digest) -> None:
    signature = Signature(
        rollout=desk.rollout.id,
        verdict=verdict,
        kind="go",
        role=role.value,
        person=desk.deed.person,
        acceptance=None,
        at=desk.deed.at,
    )
    add_signature(desk.connection, signature)
    data = {"verdict": verdict, "role": role.value, "workflow": desk.rollout.workflow}
    record_entry(desk.connection, desk.rollout, EntryKind.ROLLOUT_SIGNED, desk.deed, data=data)


def _advanced(desk: Desk, ports: RolloutPorts) -> StoredRollout | Refusal:
    """Advance when every role has signed; the machine takes the next step, under gate and freeze."""
    stored = desk.rollout
    facts = read_facts(desk.connection, desk.instance, ports, stored, desk.deed.at).facts
    if not frozenset(facts.step.decide) <= facts.signed:
        return stored
    roles: list[str] = sorted(role.value for role in facts.signed)
    return desk.move(Move(event=Event.DECIDE, data={"verdict": stored.decision, "roles": list(roles)}))


def extend_step(
    instance: Instance, *, actor: Principal, rollout: str, seconds: int, note: str
) -> StoredRollout | Refusal:
    """Give a step more time; all extensions of a step together stay within twice its `max`."""
    with at_desk(instance, rollout, actor, note=note) as desk:
        stored = desk.rollout
        role = deciding_role(desk.connection, instance.workspace, stored, actor, frozenset())
        if isinstance(role, Refusal):
            return role
        step = stored.place.of(stored.plan)
        longest = step.max_s if step.max_s is not None else 2 * step.bake_s
        total = stored.extended_s + seconds
        if seconds <= 0 or longest + total > _LONGEST * longest:
            text = (
                f"Step {step.name} may last at most {_LONGEST * longest // 3600} h with all extensions; that is sealed "
                "with the plan. Decide on the counts there are, or abort."
            )
            limit = f"{(_LONGEST - 1) * longest} s"
            return Refusal(reasons=(Reason(code="PLAN_SEALED", text=text, observed=f"{total} s", limit=limit),))
        changes = {"extended_s": total, "decision": None, "decision_outcome": None}
        return desk.move(Move(event=Event.EXTEND, changes=changes, data={"seconds": seconds, "role": role.value}))


def release_hold(
    instance: Instance, ports: RolloutPorts, *, actor: Principal, rollout: str, note: str
) -> StoredRollout | Refusal:
    """Let a held rollout observe again once its cause is gone; what a guard saw stays in the counts."""
    with at_desk(instance, rollout, actor, note=note) as desk:
        refusal = may(actor.roles, Action.RESUME)
        if refusal is not None:
            return refusal
        if not note.strip():
            text = "Say why the hold may end; the reason is kept."
            return Refusal(reasons=(Reason(code="REASON_NEEDED", text=text),))
        facts = read_facts(desk.connection, desk.instance, ports, desk.rollout, desk.deed.at).facts
        against = (*facts.incidents, *facts.unfit)
        if desk.rollout.state is State.HELD and (facts.gate or facts.gate is None or against):
            unknown = (Reason(code="GATE_NOT_MET", text="The gates could not be evaluated."),)
            return Refusal(reasons=(*(unknown if facts.gate is None else facts.gate), *against))
        changes = {"latched": (), "decision": None, "decision_outcome": None, "reminded": 0}
        released: list[str] = list(desk.rollout.latched)
        return desk.move(Move(event=Event.RELEASE, changes=changes, data={"guards": list(released)}))

"""`pilotage release deprecate | quarantine | revoke`: the life of a release after its seal (gates.md 1.6).

deprecated: by its owner; no new promotion, what is live stays. quarantined: by security; every release of the same
content leaves all traffic at once. revoked: by two persons of whom one is security-director or compliance-officer;
final. Fail mode: a Refusal; nothing changed. The first of two persons changes nothing but the record of who asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.rollout_moves import Deed, person_deed
from pilotage.control.second_person import STANDS, waits_for_second
from pilotage.control.withdraw_release import (
    Withdrawing,
    quarantine_content,
    record_release,
    record_state,
    withdraw_release,
)
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import DERIVED_ROLES, Action, may
from pilotage.ledger.entry import EntryKind
from pilotage.release.seal import ReleaseState
from pilotage.rollout.transitions import Actor
from pilotage.store.releases import StoredRelease, find_release, named_release, named_with_same_content
from pilotage.store.revocations import Asked, ask_revocation, revocation_asked
from pilotage.store.rollouts import StoredRollout


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """The release as it is now. `waits_for`: what a revocation still needs; `left`: rollbacks that take it out."""

    digest: Digest
    state: ReleaseState
    same_content: tuple[Digest, ...] = ()
    left: tuple[StoredRollout, ...] = ()
    waits_for: tuple[Reason, ...] = ()

    @property
    def spaces(self) -> tuple[str, ...]:
        """Return the spaces it left."""
        return tuple(dict.fromkeys(space for one in self.left for space in one.flipped))

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "digest": self.digest,
            "state": str(self.state),
            "same_content": list(self.same_content),
            "left": list(self.spaces),
            "rollbacks": [one.id for one in self.left],
            "incidents": [one.incident for one in self.left if one.incident],
            "waits_for": [reason.as_json() for reason in self.waits_for],
        }


def deprecate_release(instance: Instance, *, actor: Principal, release: str, reason: str) -> StateChange | Refusal:
    """Let nothing promote it any more; where it is live it stays, and a rollback may return to it."""
    with instance.engine.begin() as connection:
        stored = _locked(connection, release)
        against = _not_owner(instance, stored, actor) or _no_reason(reason) or _final(stored)
        if against is not None:
            return against
        if stored.state is ReleaseState.SEALED:
            deed = _deed(connection, instance, actor, reason)
            record_state(connection, stored, _wanted(ReleaseState.DEPRECATED, reason), deed)
        elif stored.state is not ReleaseState.DEPRECATED:
            text = f"{stored.digest} is {stored.state}, which is stricter than deprecated."
            return _refused("RELEASE_STATE", text, stored)
    return StateChange(digest=stored.digest, state=ReleaseState.DEPRECATED)


def quarantine_release(instance: Instance, *, actor: Principal, release: str, reason: str) -> StateChange | Refusal:
    """Take it and every release of the same content out of all traffic, until two persons lift it."""
    with instance.engine.begin() as connection:
        stored, same = named_with_same_content(connection, release)
        against = may(actor.roles, Action.QUARANTINE) or _no_reason(reason) or _final(stored)
        if against is not None:
            return against
        wanted = _wanted(ReleaseState.QUARANTINED, reason, cause="release quarantined")
        done = quarantine_content(connection, instance, same, wanted, _deed(connection, instance, actor, reason))
    twins = tuple(one for one in done.releases if one != stored.digest)
    return StateChange(digest=stored.digest, state=ReleaseState.QUARANTINED, same_content=twins, left=done.left)


def revoke_release(instance: Instance, *, actor: Principal, release: str, reason: str) -> StateChange | Refusal:
    """Record the demand of one person, or carry it out when it is the second of two."""
    with instance.engine.begin() as connection:
        stored = _locked(connection, release)
        if stored.state is ReleaseState.REVOKED:
            return StateChange(digest=stored.digest, state=ReleaseState.REVOKED)
        against = _not_a_person(actor) or _no_reason(reason)
        if against is not None:
            return against
        at = instance.clock.now()
        holds_role = may(actor.roles, Action.REVOKE) is None
        asked = Asked(person=PersonId(str(actor.person or actor.id)), may_revoke=holds_role, reason=reason, at=at)
        ask_revocation(connection, stored.digest, asked)
        deed = _deed(connection, instance, actor, reason)
        standing = [one.may_revoke for one in revocation_asked(connection, stored.digest) if at - one.at <= STANDS]
        roles = "security-director or compliance-officer"
        waits_for = waits_for_second(standing, able_code="REVOKER_NEEDED", able_roles=roles)
        wanted = _wanted(ReleaseState.REVOKED, reason, cause="release revoked")
        if waits_for:
            record_release(connection, stored, EntryKind.RELEASE_REVOCATION_ASKED, wanted, deed)
            return StateChange(digest=stored.digest, state=stored.state, waits_for=waits_for)
        left = withdraw_release(connection, instance, stored, wanted, deed)
    return StateChange(digest=stored.digest, state=ReleaseState.REVOKED, left=left)


def _locked(connection: Connection, name: str) -> StoredRelease:
    named = named_release(connection, name)
    return find_release(connection, named.digest, lock=True) or named


def _not_owner(instance: Instance, stored: StoredRelease, actor: Principal) -> Refusal | None:
    """Owner of a release is the owner of its workflow, or whoever sealed it."""
    workflow = instance.workspace.workflows.get(stored.workflow)
    owners = {stored.sealed_by} | ({str(workflow.owner)} if workflow is not None else set())
    if str(actor.person or actor.id) in owners:
        return None
    text = f"A release is deprecated by the owner of {stored.workflow} or by who sealed it; {actor.label} is neither."
    return _refused("NOT_PERMITTED", text, stored)


def _not_a_person(actor: Principal) -> Refusal | None:
    """One of the two holds a role that revokes, the other any role that a file grants; neither is a machine."""
    if actor.kind is PrincipalKind.PERSON and actor.roles - DERIVED_ROLES:
        return None
    text = f"Revoking takes two persons who hold roles; {actor.label} is not one of them."
    return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text),))


def _no_reason(reason: str) -> Refusal | None:
    if reason.strip():
        return None
    return Refusal(reasons=(Reason(code="REASON_NEEDED", text="It needs a reason, which is kept: --reason TEXT."),))


def _final(stored: StoredRelease) -> Refusal | None:
    if stored.state is not ReleaseState.REVOKED:
        return None
    return _refused("RELEASE_REVOKED", f"{stored.digest} is revoked, which is final.", stored)


def _refused(code: str, text: str, stored: StoredRelease) -> Refusal:
    return Refusal(reasons=(Reason(code=code, text=text, where=stored.digest),))


def _deed(connection: Connection, instance: Instance, actor: Principal, reason: str) -> Deed:
    return person_deed(connection, actor, at=instance.clock.now(), kind=Actor.ON_CALL, note=reason)


def _wanted(state: ReleaseState, reason: str, *, cause: str = "") -> Withdrawing:
    return Withdrawing(state=state, cause=cause, note=reason, words={"reason": reason})

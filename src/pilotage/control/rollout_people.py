"""Who may do what with a rollout, beyond the table of roles: authors and starters stay out of decisions (gates.md 4.6).

Rule: an author of any part of the release may neither start nor decide; the starter may not decide. Fail mode: an
author who cannot be named (`unknown`) makes nobody an author by that alone; the gates have refused such a release
before.
"""

from __future__ import annotations

from sqlalchemy import Connection

from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, grant_for, may
from pilotage.release.authorship import persons
from pilotage.release.manifest import read_manifest
from pilotage.store.releases import authors_of_parts, find_release
from pilotage.store.rollouts import StoredRollout
from pilotage.workspace.principals import roles_of
from pilotage.workspace.records import Workspace


def author_conflict(connection: Connection, release: Digest, actor: Principal) -> tuple[Reason, ...]:
    """Return SOD_CONFLICT when the actor made a part of the release."""
    if not is_author(connection, release, actor.person):
        return ()
    text = f"{actor.label} is an author of {release}; somebody else starts and decides about it."
    return (Reason(code="SOD_CONFLICT", text=text, where=release),)


def is_author(connection: Connection, release: Digest, person: PersonId | None) -> bool:
    """Tell whether a person made any part of a release."""
    stored = find_release(connection, release)
    if stored is None or person is None:
        return False
    parts = read_manifest(stored.manifest, digest=release).parts.values()
    return any(person in persons(authors) for authors in authors_of_parts(connection, parts).values())


def may_pause(actor: Principal, tier: str) -> Refusal | None:
    """Pausing is for those who may pause, and for those who may send traffic up."""
    if may(actor.roles, Action.ROLLOUT_UP, within=tier) is None:
        return None
    return may(actor.roles, Action.PAUSE)


def may_resume(actor: Principal, tier: str) -> Refusal | None:
    """Resuming is for those who may resume, and for those who may send traffic up."""
    if may(actor.roles, Action.ROLLOUT_UP, within=tier) is None:
        return None
    return may(actor.roles, Action.RESUME)


def may_abort(actor: Principal, tier: str) -> Refusal | None:
    """Aborting is for those who may roll back, and for those who may start."""
    if may(actor.roles, Action.ROLLOUT_UP, within=tier) is None:
        return None
    return may(actor.roles, Action.ROLL_BACK)


def deciding_role(
    connection: Connection, workspace: Workspace, stored: StoredRollout, actor: Principal, taken: frozenset[Role]
) -> Role | Refusal:
    """Return the role in which a person decides about the current step: one that is named, held, and not taken yet.

    The roster says who holds a role, as it will when the signature is used.
    """
    step = stored.place.of(stored.plan)
    held = actor.roles & (frozenset() if actor.person is None else roles_of(workspace, actor.person))
    named = [role for role in step.decide if role in held and grant_for((role,), Action.DECIDE_STEP)]
    if not named:
        wanted = ", ".join(role.value for role in step.decide) or "nobody; it is decided by the verdict alone"
        text = f"Step {step.name} is decided by {wanted}; {actor.label} holds none of these roles."
        return Refusal(reasons=(Reason(code="NOT_PERMITTED", text=text, limit=wanted),))
    conflicts = list(author_conflict(connection, stored.release, actor))
    if str(actor.person or actor.id) == stored.started_by:
        text = f"{actor.label} started this rollout and may not decide about it."
        conflicts.append(Reason(code="SOD_CONFLICT", text=text, where=stored.id))
    if conflicts:
        return Refusal(reasons=tuple(conflicts))
    free = [role for role in named if role not in taken]
    if not free:
        text = f"The roles {actor.label} holds have been signed for already; each role signs once."
        return Refusal(reasons=(Reason(code="SEAT_DUPLICATE", text=text),))
    return free[0]

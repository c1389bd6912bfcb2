"""Taking a release out: the five steps' first three, in one transaction (rollouts.md 8.2).

Freeze, redirect and incident are written together with the verdict that asked for them. Rule: the target is computed
under the lock of the routing row; a row that moved is read again by the caller. Fail mode: Conflict, nothing written;
where no release is left the door is closed, which is a SEV1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from pilotage.control.rollout_moves import Deed
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.errors import Conflict, PilotageError
from pilotage.core.ids import SpaceName, WorkflowName, new_ulid
from pilotage.core.reason import Reason
from pilotage.ledger.entry import EntryKind, encode_entry
from pilotage.release.seal import ReleaseState
from pilotage.rollout.target import Served, Target, TargetKind, named_target, rollback_target
from pilotage.store.ledger_entries import append
from pilotage.store.releases import find_release, load_release
from pilotage.store.routes import Route, read_route, served_before, write_route
from pilotage.store.tables.rollouts import space_quarantine


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """What was redirected: the row as it was and is, and the target that was chosen."""

    before: Route
    after: Route
    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """Which release leaves which space. `quarantine`: it may never come back there until that is lifted.

    `is_hard`: by a hard event, so streams of it are cut. `to`: the target a person named, already found authorised;
    `is_closed`: the door that a person closed.
    """

    workflow: WorkflowName
    release: Digest
    rollout: str | None
    reason: str
    quarantine: bool
    is_hard: bool = False
    to: Digest | None = None
    is_closed: bool = False


def flip(connection: Connection, space: SpaceName, wanted: Withdrawal, *, fence: int, deed: Deed) -> Flipped:
    """Redirect a space away from a release and record it; Conflict when the row moved under us."""
    before = read_route(connection, space, wanted.workflow, lock=True)
    target = _target(connection, before, wanted)
    closed = None if target.kind is TargetKind.RELEASE else target.kind.value
    wish = before.without_candidate(stable=target.release, closed=closed)
    if home_of(before) == wanted.release:  # a full drill brings nobody back to it
        wish = replace(wish, drill=None)
    after = write_route(connection, before, wish, fence=max(fence, before.fence), at=deed.at)
    if after is None:
        message = f"The routing row of {wanted.workflow} in {space} moved; read it again."
        raise Conflict("ROUTE_MOVED", message, hint="Try again.")
    if wanted.quarantine:
        quarantine_in(connection, space, wanted, deed)
    _record(connection, after, wanted, target, deed)
    return Flipped(before=before, after=after, target=target)


def home_of(route: Route) -> Digest | None:
    """Return the release that a full drill sends users away from, and brings them back to."""
    home = None if route.drill is None else route.drill.get("home")
    return None if home is None else Digest(home)


def choose_target(connection: Connection, route: Route, *, away_from: Digest) -> Target:
    """Return where a space goes back to: what serves beside the candidate first, then what served before."""
    return rollback_target(_history(connection, route, away_from), away_from=away_from)


def find_target(connection: Connection, route: Route, *, to: Digest, away_from: Digest) -> Target | Reason:
    """Return the target a person named for a space, or why it is none."""
    return named_target(_history(connection, route, away_from), to=to, away_from=away_from)


def _target(connection: Connection, route: Route, wanted: Withdrawal) -> Target:
    if wanted.is_closed:
        return Target(kind=TargetKind.MAINTENANCE)
    if wanted.to is None:
        return choose_target(connection, route, away_from=wanted.release)
    found = find_target(connection, route, to=wanted.to, away_from=wanted.release)
    if isinstance(found, Reason):
        raise Conflict(found.code, found.text, hint="Roll back without --to.")
    return found


def _history(connection: Connection, route: Route, away_from: Digest) -> list[Served]:
    names = [route.stable] if route.stable is not None else []
    names += served_before(connection, route.space, route.workflow)
    return [_served(connection, route, digest, away_from) for digest in dict.fromkeys(names)]


def _served(connection: Connection, route: Route, digest: Digest, away_from: Digest) -> Served:
    stored = find_release(connection, digest)
    state = ReleaseState.REVOKED if stored is None else stored.state
    is_withdrawn = state in {ReleaseState.REVOKED, ReleaseState.QUARANTINED}
    return Served(
        release=digest,
        state=state,
        # What is to be left is never looked at; reading the parts of the others proves that they load.
        loads=digest == away_from or is_withdrawn or _loads(connection, digest),
        quarantined_here=is_quarantined_here(connection, route.space, route.workflow, digest),
    )


def _loads(connection: Connection, digest: Digest) -> bool:
    try:
        load_release(connection, digest)
    except PilotageError:
        return False
    return True


def is_quarantined_here(connection: Connection, space: str, workflow: str, release: str) -> bool:
    """Tell whether a release was rolled back in this space and that was not lifted."""
    query = select(space_quarantine.c.release).where(
        space_quarantine.c.space == space,
        space_quarantine.c.workflow == workflow,
        space_quarantine.c.release == release,
        space_quarantine.c.lifted_at.is_(None),
    )
    return connection.execute(query).first() is not None


def quarantine_in(connection: Connection, space: SpaceName, wanted: Withdrawal, deed: Deed) -> None:
    """Keep a release out of a space: neither a rollout nor a rollback brings it back there."""
    row = insert(space_quarantine).values(
        space=space,
        workflow=wanted.workflow,
        release=wanted.release,
        rollout=wanted.rollout,
        reason=wanted.reason,
        at=deed.at,
        hard=wanted.is_hard,
    )
    again = {
        "lifted_at": None,
        "reason": wanted.reason,
        "rollout": wanted.rollout,
        "at": deed.at,
        "hard": space_quarantine.c.hard | wanted.is_hard,
    }
    connection.execute(row.on_conflict_do_update(index_elements=["space", "workflow", "release"], set_=again))


def _record(connection: Connection, after: Route, wanted: Withdrawal, target: Target, deed: Deed) -> None:
    data: dict[str, Json] = {
        "workflow": after.workflow,
        "release": target.release,
        "withdrawn": wanted.release,
        "target": target.kind.value,
        "generation": after.generation,
        "rollout": wanted.rollout,
        "skipped": [reason.code for reason in target.skipped],
    }
    entry = encode_entry(
        id=new_ulid(deed.at),
        kind=EntryKind.ROUTE_CHANGED,
        at=deed.at,
        actor=deed.actor,
        subject=f"{after.space}/{after.workflow}",
        space=after.space,
        data=data,
    )
    append(connection, entry)

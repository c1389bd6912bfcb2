"""`pilotage cab call` and `cab submit`: a session of a board at a time, and the releases it takes one after the other.

Rule: whoever votes at the board, or brings releases into production, prepares a session; a release stands on one open
agenda of a gate. Fail mode: a Refusal with every reason; nothing changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from pilotage.control.gate_case import open_chain
from pilotage.control.gate_chain import report_of
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.send_messages import Notice, send
from pilotage.control.sign_gate import vote_refusal
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.session import AgendaItem, Session
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, may
from pilotage.ledger.entry import EntryKind
from pilotage.release.seal import ReleaseState
from pilotage.rollout.transitions import Notify
from pilotage.store.board_sessions import add_item, add_session, find_session, lock_session, open_session_with
from pilotage.store.releases import StoredRelease, named_release
from pilotage.workspace.gate import Board

MOST_ITEMS = 20
"""Releases a session takes: more are not read before they are decided."""

_GRACE = timedelta(minutes=5)
_AHEAD = timedelta(days=366)
"""How far ahead a session may be called: whoever means a later one mistyped the year."""


def call_session(
    instance: Instance,
    *,
    actor: Principal,
    gate: str = "cab",
    starts_at: datetime | None = None,
    releases: Sequence[str] = (),
) -> Session | Refusal:
    """Call a session; `starts_at` None: it begins now."""
    board_of(instance, gate)
    refusal = may_prepare(actor.roles, gate)
    if refusal is not None:
        return refusal
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        begins = _begins(starts_at, now)
        session = Session(id=new_ulid(now), gate=gate, starts_at=begins, called_by=_who(actor), called_at=now)
        add_session(connection, session)
        data: dict[str, Json] = {"gate": gate, "starts_at": to_text(begins), "releases": len(releases)}
        record(connection, EntryKind.GATE_SESSION_CALLED, actor=actor, at=now, subject=session.id, data=data)
        reasons: list[Reason] = []
        for name in releases:
            added = _added(connection, instance, session, named_release(connection, name), actor, now)
            if isinstance(added, Refusal):
                reasons += added.reasons
            else:
                session = added
        if reasons:
            connection.rollback()
            return Refusal(reasons=tuple(reasons))
        send(connection, instance, [Notify.BOARD], _notice(session), at=now)
    return session


def _begins(starts_at: datetime | None, now: datetime) -> datetime:
    if starts_at is None:
        return now
    if not now - _GRACE <= starts_at <= now + _AHEAD:
        has_passed = starts_at < now
        what = "has passed" if has_passed else f"is more than {_AHEAD.days} days ahead"
        hint = "Write a time to come, or none to begin now." if has_passed else "Look at the year."
        raise UsageError(
            "SESSION_PAST" if has_passed else "SESSION_FAR", f"{starts_at:%Y-%m-%d %H:%M} {what}.", hint=hint
        )
    return starts_at.astimezone(UTC)


def submit_release(instance: Instance, *, actor: Principal, session: str, release: str) -> Session | Refusal:
    """Put a release at the end of a session's agenda."""
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        found = known_session(connection, session, lock=True)
        refusal = may_prepare(actor.roles, found.gate)
        if refusal is not None:
            return refusal
        return _added(connection, instance, found, named_release(connection, release), actor, now)


def may_prepare(roles: frozenset[Role], gate: str) -> Refusal | None:
    """Return why nobody with these roles calls a session or submits to it."""
    refusals = (vote_refusal(roles, gate), may(roles, Action.PROMOTE, within="production"))
    if None in refusals:
        return None
    return Refusal(reasons=tuple(reason for one in refusals if one is not None for reason in one.reasons))


def board_of(instance: Instance, gate: str) -> Board:
    """Return the board of a gate; raise NotFound or UsageError for a gate without one."""
    found = instance.workspace.gates.get(gate)
    boards = ", ".join(sorted(one.name for one in instance.workspace.gates.values() if one.pre.board is not None))
    if found is None:
        raise NotFound("GATE_UNKNOWN", f"There is no gate {gate[:80]!r}.", hint=f"With a board: {boards or 'none'}.")
    if found.pre.board is None:
        raise UsageError("NO_BOARD", f"Gate {gate} has no board to call.", hint=f"With a board: {boards or 'none'}.")
    return found.pre.board


def known_session(connection: Connection, name: str, *, lock: bool = False) -> Session:
    """Return a session, its row locked to change it; raise NotFound."""
    found = lock_session(connection, name) if lock else find_session(connection, name)
    if found is None:
        raise NotFound("SESSION_UNKNOWN", f"There is no session {name[:80]!r}.", hint="See `pilotage cab sessions`.")
    return found


def closed(session: Session) -> Reason:
    """Return that nothing is added to a closed session."""
    text = f"Session {session.id} is closed. Read its minutes, or call the next: `pilotage cab call`."
    return Reason(code="SESSION_CLOSED", text=text, where=session.id)


def _added(
    connection: Connection, instance: Instance, session: Session, stored: StoredRelease, actor: Principal, now: datetime
) -> Session | Refusal:
    reasons = _reasons(connection, instance, session, stored, now)
    if reasons:
        return Refusal(reasons=tuple(reasons))
    position = len(session.agenda) + 1
    item = AgendaItem(release=stored.digest, position=position, added_by=_who(actor), added_at=now)
    add_item(connection, session.id, item)
    data: dict[str, Json] = {"gate": session.gate, "release": stored.digest, "position": position}
    record(connection, EntryKind.GATE_SESSION_ITEM_ADDED, actor=actor, at=now, subject=session.id, data=data)
    return replace(session, agenda=(*session.agenda, item))


def _reasons(
    connection: Connection, instance: Instance, session: Session, stored: StoredRelease, now: datetime
) -> list[Reason]:
    short = stored.digest[:19]
    found = [] if session.closed_at is None else [closed(session)]
    if len(session.agenda) >= MOST_ITEMS:
        text = f"A session takes {MOST_ITEMS} releases. Call another: `pilotage cab call`."
        limit = str(MOST_ITEMS)
        found.append(Reason(code="AGENDA_FULL", text=text, where=session.id, observed=limit, limit=limit))
    if stored.state is not ReleaseState.SEALED:
        text = f"Release {short} is {stored.state.value}; a board decides about sealed releases."
        found.append(Reason(code="RELEASE_STATE", text=text, where=stored.digest, observed=stored.state.value))
    other = open_session_with(connection, stored.digest, session.gate)
    if other is not None:
        text = f"Release {short} is on the agenda of session {other.id} already."
        found.append(Reason(code="ON_AGENDA", text=text, where=other.id))
    report = report_of(open_chain(connection, instance, stored, now), session.gate)
    if report.status.is_approved:
        text = f"Gate {session.gate} is {report.status.value} for {short}; there is nothing left to decide."
        found.append(Reason(code="NOTHING_TO_DECIDE", text=text, where=stored.digest, observed=report.status.value))
    return found


def _notice(session: Session) -> Notice:
    agenda: list[Json] = [one.release for one in session.agenda]
    return Notice(
        title=f"The {session.gate} board meets at {session.starts_at:%Y-%m-%d %H:%M} UTC",
        text=f"{len(agenda)} releases on the agenda. Votes may be given before the session.",
        links={"session": f"/cab/{session.id}"},
        facts={"session": session.id, "gate": session.gate, "releases": agenda},
    )


def _who(actor: Principal) -> PersonId:
    return PersonId(str(actor.person or actor.id))

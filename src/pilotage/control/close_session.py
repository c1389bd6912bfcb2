"""`pilotage cab close`: end a session and record its minutes, once.

Rule: minutes, their digest in the ledger and the end are one transaction; who closes sits on the board. A session that
is closed early, or with releases undecided, says so in its minutes. Fail mode: a Refusal with the reason.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.control.call_session import closed, locked
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.sign_gate import vote_refusal
from pilotage.control.view_session import gathered
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import digest_of_json
from pilotage.core.errors import UsageError
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.minutes import Closing
from pilotage.gate.session import Session, SessionState
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.ledger.entry import EntryKind
from pilotage.store import board_sessions

MOST_CHARACTERS = 4_000


def close_session(instance: Instance, *, actor: Principal, session: str, note: str = "") -> Session | Refusal:
    """Close a session; its minutes are what `cab minutes` shows from then on."""
    words = note.strip()
    if len(words) > MOST_CHARACTERS:
        message = f"The note has {len(words):,} characters; at most {MOST_CHARACTERS:,} are taken."
        raise UsageError("TEXT_TOO_LONG", message, hint="Shorten it.")
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        found = locked(connection, session)
        if actor.kind is not PrincipalKind.PERSON or actor.person is None:
            text = "A service closes no session; a member of the board does."
            return Refusal(reasons=(Reason(code="SOD_SERVICE", text=text, where=actor.label),))
        refusal = vote_refusal(actor.roles, found.gate)
        if refusal is not None:
            return refusal
        if found.closed_at is not None:
            return Refusal(reasons=(closed(found),))
        if found.state(now) is SessionState.CALLED:
            text = f"Session {found.id} begins at {found.starts_at:%Y-%m-%d %H:%M} UTC; close it after that."
            limit = to_text(found.starts_at)
            return Refusal(reasons=(Reason(code="SESSION_NOT_BEGUN", text=text, where=found.id, limit=limit),))
        who = PersonId(str(actor.person))
        closing = Closing(by=who, at=now, note=words)
        minutes = gathered(connection, instance, found, now, closing=closing)
        done = replace(found, closed_at=now, closed_by=who, minutes=digest_of_json(minutes))
        board_sessions.close_session(connection, done, minutes)
        data: dict[str, Json] = {
            "gate": found.gate,
            "minutes": done.minutes,
            "releases": [one.release for one in found.agenda],
        }
        ended = EntryKind.GATE_SESSION_CLOSED
        record(connection, ended, actor=actor, at=now, subject=found.id, data=data, opened={"note": words})
    return done

"""`pilotage cab close`: end a session and record its minutes, once.

Rule: minutes, their digest in the ledger and the end are one transaction; who closes sits on the board. A session that
is closed early, or with releases undecided, says so in its minutes. Fail mode: a Refusal with the reason.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.control.call_session import closed, known_session
from pilotage.control.declared_person import person_problem
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.sign_gate import vote_refusal
from pilotage.control.typed_text import checked_text
from pilotage.control.view_session import gathered
from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of_json
from pilotage.core.ids import PersonId
from pilotage.core.reason import Refusal
from pilotage.gate.minutes import Closing
from pilotage.gate.session import Session
from pilotage.identity.principal import Principal
from pilotage.ledger.entry import EntryKind
from pilotage.store import board_sessions


def close_session(instance: Instance, *, actor: Principal, session: str, note: str = "") -> Session | Refusal:
    """Close a session; its minutes are what `cab minutes` shows from then on."""
    words = checked_text(note, "note")
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        found = known_session(connection, session, lock=True)
        nobody = person_problem(actor, "closes a session")
        if nobody is not None:
            return Refusal(reasons=(nobody,))
        refusal = vote_refusal(actor.roles, found.gate)
        if refusal is not None:
            return refusal
        if found.closed_at is not None:
            return Refusal(reasons=(closed(found),))
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

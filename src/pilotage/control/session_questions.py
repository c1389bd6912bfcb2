"""`pilotage cab ask` and `cab answer`: what the board wants to know about a release, and what it was told.

Rule: who votes at the board asks; who brings evidence or sits on the board answers, once. Both stand in the minutes.
Fail mode: a Refusal or UsageError with what to write instead; nothing changed.
"""

from __future__ import annotations

from dataclasses import replace

from pilotage.control.call_session import closed, known_session
from pilotage.control.declared_person import person_problem
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.sign_gate import vote_refusal
from pilotage.control.typed_text import checked_text
from pilotage.core.canonical import Json
from pilotage.core.errors import NotFound, UsageError
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.session import Question
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, may
from pilotage.ledger.entry import EntryKind
from pilotage.store.board_sessions import add_question, save_answer
from pilotage.store.releases import named_release


def ask_question(instance: Instance, *, actor: Principal, session: str, release: str, text: str) -> Question | Refusal:
    """Record a question about a release on the agenda."""
    words = _words(text, "question")
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        found = known_session(connection, session, lock=True)
        refusal = _nobody(actor) or vote_refusal(actor.roles, found.gate)
        if refusal is not None:
            return refusal
        stored = named_release(connection, release)
        if stored.digest not in {one.release for one in found.agenda}:
            message = f"Release {stored.digest[:19]} is not on the agenda of session {found.id}."
            raise NotFound("NOT_ON_AGENDA", message, hint="Put it there: `pilotage cab submit`.")
        if found.closed_at is not None:
            return Refusal(reasons=(closed(found),))
        who = PersonId(str(actor.person))
        one = Question(id=new_ulid(now), release=stored.digest, text=words, asked_by=who, asked_at=now)
        add_question(connection, found.id, one)
        data: dict[str, Json] = {"session": found.id, "release": stored.digest}
        asked, opened = EntryKind.GATE_QUESTION_ASKED, {"question": words}
        record(connection, asked, actor=actor, at=now, subject=one.id, data=data, opened=opened)
    return one


def answer_question(
    instance: Instance, *, actor: Principal, session: str, question: str, text: str
) -> Question | Refusal:
    """Record the answer to a question; it is given once."""
    words = _words(text, "answer")
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        found = known_session(connection, session, lock=True)
        refusal = _nobody(actor) or may_answer(actor.roles, found.gate)
        if refusal is not None:
            return refusal
        one = next((one for one in found.questions if one.id == question), None)
        if one is None:
            message = f"Session {found.id} has no question {question[:80]!r}."
            raise NotFound("QUESTION_UNKNOWN", message, hint="See `pilotage cab show`.")
        if found.closed_at is not None:
            return Refusal(reasons=(closed(found),))
        if one.answered_at is not None:
            text_ = f"{one.answered_by} answered this question before. Ask another: `pilotage cab ask`."
            return Refusal(reasons=(Reason(code="ANSWERED", text=text_, where=one.id),))
        done = replace(one, answer=words, answered_by=PersonId(str(actor.person)), answered_at=now)
        save_answer(connection, done)
        data: dict[str, Json] = {"session": found.id, "release": one.release}
        answered, opened = EntryKind.GATE_QUESTION_ANSWERED, {"answer": words}
        record(connection, answered, actor=actor, at=now, subject=one.id, data=data, opened=opened)
    return done


def may_answer(roles: frozenset[Role], gate: str) -> Refusal | None:
    """Return why nobody with these roles answers the board."""
    refusals = (may(roles, Action.ATTACH_CLAIMED), vote_refusal(roles, gate))
    return None if None in refusals else refusals[0]


def _nobody(actor: Principal) -> Refusal | None:
    problem = person_problem(actor, "asks or answers a board")
    return None if problem is None else Refusal(reasons=(problem,))


def _words(text: str, what: str) -> str:
    words = checked_text(text, what)
    if not words:
        raise UsageError("TEXT_MISSING", f"Write the {what}.")
    return words

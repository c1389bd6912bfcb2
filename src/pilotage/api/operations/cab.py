"""`/api/v1/cab-sessions`: a board's sessions, their agenda and questions, the minutes, and the pack it reads."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from pilotage.api.operation import Body, Call, Operation, Result
from pilotage.control.call_session import call_session, submit_release
from pilotage.control.close_session import close_session
from pilotage.control.make_cab_pack import make_cab_pack
from pilotage.control.session_questions import answer_question, ask_question
from pilotage.control.view_session import list_sessions, session_minutes, view_session
from pilotage.core.reason import Refusal
from pilotage.gate.session import Question, Session


class CallingSession(Body):
    """The board's gate, when it meets (with its offset, or Z; now without), and which releases it takes."""

    gate: str = "cab"
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    releases: list[str] = msgspec.field(default_factory=list)


class SubmittingRelease(Body):
    """The release that goes to the end of the agenda."""

    release: str


class AskingBoard(Body):
    """What the board wants to know about a release of the agenda."""

    release: str
    text: str


class AnsweringBoard(Body):
    """The answer, given once."""

    text: str


class ClosingSession(Body):
    """What stands under the minutes."""

    note: str = ""


class PagingSessions(Body):
    """`page`: the key that the page before ended with."""

    page: str | None = None


def _pack(call: Call) -> Result:
    release, gate = call.params["digest"], call.params["gate"]
    done = make_cab_pack(call.instance, actor=call.actor, release=release, gate=gate)
    return done if isinstance(done, Refusal) else done.as_json()


def _list(call: Call) -> Result:
    return list_sessions(call.instance, before=call.fields.page).as_json()


def _call(call: Call) -> Result:
    asked: CallingSession = call.fields
    done = call_session(
        call.instance, actor=call.actor, gate=asked.gate, starts_at=asked.starts_at, releases=asked.releases
    )
    return _session(call, done)


def _show(call: Call) -> Result:
    return view_session(call.instance, actor=call.actor, session=call.params["id"]).as_json(call.instance.clock.now())


def _submit(call: Call) -> Result:
    release = call.fields.release
    return _session(call, submit_release(call.instance, actor=call.actor, session=call.params["id"], release=release))


def _ask(call: Call) -> Result:
    asked: AskingBoard = call.fields
    return _question(
        ask_question(call.instance, actor=call.actor, session=call.params["id"], release=asked.release, text=asked.text)
    )


def _answer(call: Call) -> Result:
    session, question = call.params["id"], call.params["question"]
    return _question(
        answer_question(call.instance, actor=call.actor, session=session, question=question, text=call.fields.text)
    )


def _close(call: Call) -> Result:
    note = call.fields.note
    return _session(call, close_session(call.instance, actor=call.actor, session=call.params["id"], note=note))


def _minutes(call: Call) -> Result:
    return session_minutes(call.instance, call.params["id"])


def _session(call: Call, done: Session | Refusal) -> Result:
    return done if isinstance(done, Refusal) else done.as_json(call.instance.clock.now())


def _question(done: Question | Refusal) -> Result:
    return done if isinstance(done, Refusal) else {"id": done.id, "digest": done.release, **done.as_json()}


_ONE = "/cab-sessions/{id}"
OPERATIONS = (
    Operation(
        method="POST",
        path="/releases/{digest}/gates/{gate}/pack",
        command="report cab",
        summary="Make the board's pack from facts, or return the frozen one while it holds",
        gives="The pack's digest, its facts, and the sections in which something is missing.",
        run=_pack,
    ),
    Operation(
        method="GET",
        path="/cab-sessions",
        command="cab sessions",
        summary="List a board's sessions and what could be submitted",
        gives="Sessions, the last called first, and releases that wait for a board.",
        run=_list,
        takes=PagingSessions,
    ),
    Operation(
        method="POST",
        path="/cab-sessions",
        command="cab call",
        summary="Call a session of a board",
        gives="The session with its agenda.",
        run=_call,
        takes=CallingSession,
    ),
    Operation(
        method="GET",
        path=_ONE,
        command="cab show",
        summary="Show a session with the state of every release on its agenda",
        gives="Agenda, questions, seats and what keeps the board from deciding.",
        run=_show,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/items",
        command="cab submit",
        summary="Put a release on the agenda",
        gives="The session with its agenda.",
        run=_submit,
        takes=SubmittingRelease,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/questions",
        command="cab ask",
        summary="Ask about a release on the agenda",
        gives="The question.",
        run=_ask,
        takes=AskingBoard,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/questions/{{question}}/answer",
        command="cab answer",
        summary="Answer a question of the board",
        gives="The question with its answer.",
        run=_answer,
        takes=AnsweringBoard,
    ),
    Operation(
        method="POST",
        path=f"{_ONE}/minutes",
        command="cab close",
        summary="Close a session and record its minutes",
        gives="The session with the digest of its minutes.",
        run=_close,
        takes=ClosingSession,
    ),
    Operation(
        method="GET",
        path=f"{_ONE}/minutes",
        command="cab minutes",
        summary="Show the minutes of a session, or a draft while it is open",
        gives="Who decided what about which release, with dissent, accepted risks, questions and answers.",
        run=_minutes,
    ),
)

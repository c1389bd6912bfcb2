"""Sessions of a board as rows: agenda, questions, and the minutes that were recorded at the close.

Rule: a session is read whole, in one statement; whoever changes it has locked its row. Fail mode: None for an id that
names none; IntegrityError for minutes that are not what their digest says.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select, text, update

from pilotage.core.canonical import Json, canonical_bytes, parse_json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import PersonId, is_ulid
from pilotage.gate.session import AgendaItem, Question, Session
from pilotage.store.tables.gates import board_item, board_question, board_session
from pilotage.store.together import StoredRow, Together

_SESSIONS = text("""
WITH found AS (
  SELECT s.* FROM board_session s
  WHERE (CAST(:id AS text) IS NULL OR s.id = :id) AND s.id < :before AND (NOT :is_open OR s.closed_at IS NULL)
    AND (CAST(:release AS text) IS NULL OR s.closed_at IS NULL AND s.gate = :gate
      AND EXISTS (SELECT 1 FROM board_item i WHERE i.session = s.id AND i.release = :release))
  ORDER BY s.id DESC LIMIT CAST(:most AS bigint))
SELECT CAST(json_build_object(
  'sessions', (SELECT json_agg(s ORDER BY s.id DESC) FROM (
    SELECT id, gate, starts_at, called_by, called_at, closed_at, closed_by, minutes_digest FROM found) s),
  'items', (SELECT json_agg(i ORDER BY i.position) FROM board_item i WHERE i.session IN (SELECT id FROM found)),
  'questions', (SELECT json_agg(q ORDER BY q.asked_at, q.id) FROM board_question q
    WHERE q.session IN (SELECT id FROM found))
) AS text)
""")
_AFTER_ALL = "~"


def add_session(connection: Connection, one: Session) -> None:
    """Write a new session without agenda."""
    row = {name: getattr(one, name) for name in ("id", "gate", "starts_at", "called_by", "called_at")}
    connection.execute(board_session.insert().values(row))


def lock_session(connection: Connection, name: str) -> Session | None:
    """Return a session whose row nobody else changes until the transaction ends."""
    connection.execute(select(board_session.c.id).where(board_session.c.id == name).with_for_update())
    return find_session(connection, name)


def find_session(connection: Connection, name: str) -> Session | None:
    """Return a session with agenda and questions."""
    found = _read(connection, id=name)
    return found[0] if found else None


def newest_sessions(connection: Connection, *, most: int, before: str | None = None) -> tuple[Session, ...]:
    """Return sessions, the last called first; `before` is the id that the page above ended with; no id: the first."""
    return _read(connection, most=most, before=before if before is not None and is_ulid(before) else _AFTER_ALL)


def open_sessions(connection: Connection) -> tuple[Session, ...]:
    """Return every session that is not closed, the last called first."""
    return _read(connection, is_open=True, most=None)


def open_session_with(connection: Connection, release: str, gate: str) -> Session | None:
    """Return the session that has this release on its agenda and is not closed."""
    found = _read(connection, release=release, gate=gate)
    return found[0] if found else None


def add_item(connection: Connection, session: str, item: AgendaItem) -> None:
    """Put a release at the end of the agenda."""
    values = {"release": item.release, "position": item.position, "added_by": item.added_by, "added_at": item.added_at}
    connection.execute(board_item.insert().values(session=session, **values))


def add_question(connection: Connection, session: str, one: Question) -> None:
    """Write a question."""
    values = {"id": one.id, "release": one.release, "text": one.text, "asked_by": one.asked_by}
    connection.execute(board_question.insert().values(session=session, asked_at=one.asked_at, **values))


def save_answer(connection: Connection, one: Question) -> None:
    """Write the answer to a question."""
    values = {"answer": one.answer, "answered_by": one.answered_by, "answered_at": one.answered_at}
    connection.execute(update(board_question).where(board_question.c.id == one.id).values(values))


def close_session(connection: Connection, one: Session, minutes: Mapping[str, Json]) -> None:
    """Write who closed the session, and its minutes."""
    values = {"closed_at": one.closed_at, "closed_by": one.closed_by, "minutes_digest": one.minutes}
    row = update(board_session).where(board_session.c.id == one.id, board_session.c.closed_at.is_(None))
    connection.execute(row.values(minutes=canonical_bytes(minutes), **values))


def read_minutes(connection: Connection, session: Session) -> Mapping[str, Json]:
    """Return the minutes of a closed session; raise IntegrityError when they were changed."""
    body = connection.scalar(select(board_session.c.minutes).where(board_session.c.id == session.id))
    facts = parse_json(body) if body is not None and digest_of(body) == session.minutes else None
    if not isinstance(facts, Mapping):
        message = f"The stored minutes of session {session.id} were changed in the database."
        raise IntegrityError("MINUTES_BYTES", message, hint="Restore the database; the ledger holds their digest.")
    return facts


def _read(connection: Connection, **wanted: str | int | None) -> tuple[Session, ...]:
    values = {"id": None, "release": None, "gate": None, "before": _AFTER_ALL, "is_open": False, "most": 1, **wanted}
    read = Together(connection, _SESSIONS, values)
    items, questions = read.rows("items", of=board_item), read.rows("questions", of=board_question)
    return tuple(
        Session(
            id=row["id"],
            gate=row["gate"],
            starts_at=row["starts_at"],
            called_by=PersonId(row["called_by"]),
            called_at=row["called_at"],
            closed_at=row["closed_at"],
            closed_by=None if row["closed_by"] is None else PersonId(row["closed_by"]),
            minutes=None if row["minutes_digest"] is None else Digest(row["minutes_digest"]),
            agenda=tuple(_item(one) for one in items if one["session"] == row["id"]),
            questions=tuple(_question(one) for one in questions if one["session"] == row["id"]),
        )
        for row in read.rows("sessions", "starts_at", "called_at", "closed_at")
    )


def _item(row: StoredRow) -> AgendaItem:
    return AgendaItem(
        release=Digest(row["release"]),
        position=row["position"],
        added_by=PersonId(row["added_by"]),
        added_at=row["added_at"],
    )


def _question(row: StoredRow) -> Question:
    return Question(
        id=row["id"],
        release=Digest(row["release"]),
        text=row["text"],
        asked_by=PersonId(row["asked_by"]),
        asked_at=row["asked_at"],
        answer=row["answer"],
        answered_by=None if row["answered_by"] is None else PersonId(row["answered_by"]),
        answered_at=row["answered_at"],
    )

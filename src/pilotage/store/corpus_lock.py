"""One refresh of a corpus at a time, across all processes: an advisory lock on a session of its own.

The lock ends with its session, so a killed refresh never blocks the next one. The session's name says which run holds
it. Fail mode: Conflict naming that run, and for a session that was lost on the way, before anything is committed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.exc import DBAPIError

from pilotage.core.errors import Conflict
from pilotage.core.ids import CorpusName

_CLASS = 0x636F72  # "cor": this application's lock class for corpora
_TAKE = text("SELECT pg_try_advisory_lock(:class, hashtext(:corpus))")
_NAME = text("SELECT set_config('application_name', :name, false)")
_HOLDER = text(
    "SELECT a.application_name, a.backend_start FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.classid::bigint = :class AND l.granted"
    " AND l.objid::bigint = hashtext(:corpus)::bigint & 4294967295"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_FREE = text("SELECT pg_advisory_unlock(:class, hashtext(:corpus))")


_MINE = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted"
    " AND classid::bigint = :class AND objid::bigint = hashtext(:corpus)::bigint & 4294967295"
)


@contextmanager
def refresh_lock(engine: Engine, corpus: CorpusName, *, run: str) -> Iterator[Connection]:
    """Hold the corpus's lock; yield the session that holds it, in autocommit. Raise Conflict when another run does."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        values = {"class": _CLASS, "corpus": corpus}
        session.execute(_NAME, {"name": f"pilotage refresh {run}"})
        try:
            if not session.execute(_TAKE, values).scalar_one():
                raise _running(session, corpus)
            try:
                yield session
            finally:
                _leave(session, _FREE, values)
        finally:
            _leave(session, _NAME, {"name": "pilotage"})


def _leave(session: Connection, statement: TextClause, values: Mapping[str, object]) -> None:
    """Put the session right; one that died has left everything already, and what it died of is not the news."""
    if not session.invalidated and not session.closed:
        try:
            session.execute(statement, values)
        except DBAPIError:
            session.invalidate()


def require_lock(session: Connection, corpus: CorpusName) -> None:
    """Raise Conflict unless the session of `refresh_lock` still lives and holds the lock."""
    try:
        held: int = session.execute(_MINE, {"class": _CLASS, "corpus": corpus}).scalar_one()
    except DBAPIError:
        session.invalidate()
        held = 0
    if not held:
        message = f"The refresh of {corpus} lost its lock on the way; another one may have begun since."
        raise Conflict("REFRESH_LOCK_LOST", message, hint="Nothing was published; refresh again.")


def _running(session: Connection, corpus: CorpusName) -> Conflict:
    holder = session.execute(_HOLDER, {"class": _CLASS, "corpus": corpus}).first()
    who = (
        "another refresh"
        if holder is None
        else f"run {holder[0].rsplit(' ', 1)[-1]}, begun {holder[1]:%Y-%m-%d %H:%M} UTC"
    )
    message = f"Corpus {corpus} is being refreshed: {who}."
    return Conflict("REFRESH_RUNNING", message, hint="Wait for it to end, then refresh again.")

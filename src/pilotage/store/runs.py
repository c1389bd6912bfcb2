"""Long waits as rows: what is to be done, when, by whom, and how often it has failed.

Rule: `due_at` compares with the product's clock, leases with the database's; every lease raises `generation`, and a
write under an older generation, or after the lease has ended, changes nothing. Work asked for while it runs stays due.
Fail mode: a row that fails 5 times, or whose worker died 5 times, is `failed` and visible; it is never dropped. One
that never ends is tried again for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from pilotage.core.errors import Conflict
from pilotage.store.notify import Channel, notify

LEASE: Final = timedelta(seconds=60)
RENEW_EVERY: Final = timedelta(seconds=20)
MAX_FAILURES: Final = 5
BATCH: Final = 32
LONGEST_BACKOFF: Final = timedelta(hours=1)
ENDLESS_BACKOFF: Final = timedelta(seconds=30)
"""The longest wait of a run that never ends: what it watches becomes unknown within minutes."""

_COLUMNS: Final = "kind, key, state, due_at, attempt, generation, requested, payload, last_error, lease_owner"
_FREE: Final = "(lease_until IS NULL OR lease_until < clock_timestamp())"
_HELD: Final = "kind = :kind AND key = :key AND generation = :generation"
_LEASED: Final = f"{_HELD} AND lease_owner = :owner AND lease_until >= clock_timestamp()"


class RunState(StrEnum):
    """The state of a run."""

    DUE = "due"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One row, as it was when it was read. `attempt` counts failures since the last success."""

    kind: str
    key: str
    state: RunState
    due_at: datetime
    attempt: int
    generation: int
    requested: int
    payload: Mapping[str, Any]
    last_error: str | None
    lease_owner: str | None

    @property
    def name(self) -> str:
        """`kind:key`, as messages and notifications write it."""
        return f"{self.kind}:{self.key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The run goes on: look again at `at`."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The run has reached its end; asking for it again makes it due again."""


Outcome = Again | Done
"""How one step of a run ended, when it did not fail."""


class LeaseLost(Conflict):
    """The lease ended or another worker has it: stop, and write nothing more."""


def _run(row: Mapping[Any, Any]) -> Run:
    """Build a record from a row's columns."""
    return Run(**{**row, "state": RunState(row["state"])})


_REQUEST = text(
    "INSERT INTO run (kind, key, state, due_at, payload) VALUES (:kind, :key, 'due', :due_at, COALESCE(:payload, '{}'))"
    " ON CONFLICT (kind, key) DO UPDATE SET"
    " due_at = CASE WHEN run.state = 'due' THEN LEAST(run.due_at, EXCLUDED.due_at) ELSE EXCLUDED.due_at END,"
    " attempt = CASE WHEN run.state = 'failed' THEN 0 ELSE run.attempt END,"
    " state = 'due', requested = run.requested + 1, payload = COALESCE(:payload, run.payload)"
).bindparams(bindparam("payload", type_=JSONB(none_as_null=True)))


def request_run(
    connection: Connection, *, kind: str, key: str, due_at: datetime, payload: Mapping[str, Any] | None = None
) -> None:
    """Ask for a run, in the caller's transaction: a new row, or an existing one due again, no later than before.

    `payload` None keeps what the row has. Workers hear of it when the transaction commits.
    """
    connection.execute(_REQUEST, {"kind": kind, "key": key, "due_at": due_at, "payload": payload})
    notify(connection, Channel.RUN, f"{kind}:{key}")


def find_run(connection: Connection, kind: str, key: str) -> Run | None:
    """Return a run, or None when nothing of this name was ever asked for."""
    statement = text(f"SELECT {_COLUMNS} FROM run WHERE kind = :kind AND key = :key")  # noqa: S608 - constants
    row = connection.execute(statement, {"kind": kind, "key": key}).mappings().one_or_none()
    return None if row is None else _run(row)


_DUE = text(
    f"SELECT {_COLUMNS} FROM run WHERE state = 'due' AND due_at <= :now AND {_FREE} AND kind = ANY(:kinds)"  # noqa: S608 - constants
    " ORDER BY due_at, kind, key LIMIT :limit FOR UPDATE SKIP LOCKED"
)


def lock_due(connection: Connection, kinds: Collection[str], now: datetime, *, limit: int = BATCH) -> tuple[Run, ...]:
    """Return due, free runs of these kinds, oldest first, locked until the caller's transaction ends.

    Runs of other kinds are left for a worker that knows them.
    """
    rows = connection.execute(_DUE, {"now": now, "kinds": list(kinds), "limit": limit}).mappings()
    return tuple(_run(row) for row in rows)


_FINISH = (
    "UPDATE run SET state = CASE WHEN requested > :seen THEN 'due' ELSE :state END,"
    " due_at = CASE WHEN requested > :seen THEN LEAST(due_at, :due_at) ELSE :due_at END,"
    " attempt = 0, last_error = NULL, lease_owner = NULL, lease_until = NULL WHERE "
)
_FINISH_STEP = text(_FINISH + _HELD)
_FINISH_LEASED = text(_FINISH + _LEASED)


def finish_run(connection: Connection, run: Run, outcome: Outcome) -> None:
    """Write how a locked or leased run ended; LeaseLost when it is no longer the caller's."""
    match outcome:
        case Again():
            state, due_at = RunState.DUE, outcome.at
        case Done():
            state, due_at = RunState.DONE, run.due_at
    statement = _FINISH_STEP if run.lease_owner is None else _FINISH_LEASED
    values = {"seen": run.requested, "state": state.value, "due_at": due_at, **_token(run)}
    if connection.execute(statement, values).rowcount != 1:
        raise _lost(run)


_SETTLE = text(
    "UPDATE run SET state = 'done', attempt = 0, last_error = NULL"
    " WHERE kind = :kind AND key = :key AND state = 'due' AND lease_owner IS NULL"
)


def settle_run(connection: Connection, *, kind: str, key: str) -> None:
    """End a due run whose work the caller has just done by itself; one that a worker holds is left to that worker."""
    connection.execute(_SETTLE, {"kind": kind, "key": key})


_TAKE = text(
    "UPDATE run SET lease_owner = :owner, lease_until = clock_timestamp() + :lease, generation = generation + 1,"  # noqa: S608 - constants
    " attempt = attempt + CASE WHEN lease_owner IS NULL THEN 0 ELSE 1 END,"
    " last_error = CASE WHEN lease_owner IS NULL THEN last_error ELSE 'Its worker ' || lease_owner || ' vanished.' END"
    f" WHERE {_HELD} AND state = 'due' AND due_at <= :now AND {_FREE} RETURNING {_COLUMNS}"
)


def take_lease(
    connection: Connection, *, kind: str, key: str, generation: int, owner: str, now: datetime
) -> Run | None:
    """Lease a due, free run of this generation for a minute; None when it is taken, done, or of another generation.

    A lease that its holder let expire counts as a failure of the run.
    """
    values = {"kind": kind, "key": key, "generation": generation, "owner": owner, "now": now, "lease": LEASE}
    row = connection.execute(_TAKE, values).mappings().one_or_none()
    return None if row is None else _run(row)


_RENEW = text(f"UPDATE run SET lease_until = clock_timestamp() + :lease WHERE {_LEASED}")  # noqa: S608 - constants
_HOLD = text(f"SELECT 1 FROM run WHERE {_LEASED} FOR UPDATE")  # noqa: S608 - constants


def renew_lease(connection: Connection, run: Run) -> None:
    """Keep a lease for another minute, or LeaseLost."""
    if connection.execute(_RENEW, {**_token(run), "lease": LEASE}).rowcount != 1:
        raise _lost(run)


def hold_lease(connection: Connection, run: Run) -> None:
    """Lock the run until the caller's transaction ends, so that what it writes is fenced; LeaseLost otherwise."""
    if connection.execute(_HOLD, _token(run)).first() is None:
        raise _lost(run)


_FAIL = text(
    "UPDATE run SET attempt = attempt + 1, last_error = :error, lease_owner = NULL, lease_until = NULL,"  # noqa: S608 - constants
    " state = CASE WHEN attempt + 1 >= :most AND NOT :is_endless THEN 'failed' ELSE 'due' END, due_at = :due_at"
    f" WHERE {_HELD} AND lease_owner IS NOT DISTINCT FROM :owner RETURNING state"
)


def record_failure(
    connection: Connection, run: Run, error: str, now: datetime, *, endless: timedelta | None = None
) -> RunState | None:
    """Count a failure and set the next attempt (1 s, 2 s, 4 s ... 1 h); None when the run is no longer the caller's.

    `error` names the failure without any document text or personal data. `endless`: the longest wait of a run that is
    never given up.
    """
    wait = min(timedelta(seconds=2 ** min(run.attempt, 20)), endless or LONGEST_BACKOFF)
    values = {**_token(run), "error": error, "most": MAX_FAILURES, "is_endless": bool(endless), "due_at": now + wait}
    state = connection.execute(_FAIL, values).scalar_one_or_none()
    return None if state is None else RunState(state)


_ABANDONED = text(
    "UPDATE run SET state = 'failed', attempt = attempt + 1,"  # noqa: S608 - constants
    " last_error = 'Its worker ' || lease_owner || ' vanished.', lease_owner = NULL, lease_until = NULL"
    " WHERE state = 'due' AND lease_until < clock_timestamp() AND attempt + 1 >= :most"
    " RETURNING " + _COLUMNS
)


def fail_abandoned(connection: Connection) -> tuple[Run, ...]:
    """Give up runs whose workers died once too often, and return them; one bad input must not kill workers for ever."""
    return tuple(_run(row) for row in connection.execute(_ABANDONED, {"most": MAX_FAILURES}).mappings())


def retry_failed(connection: Connection, kind: str, key: str, now: datetime) -> bool:
    """Make a failed run due again, by a person's hand; tell whether there was one."""
    run = find_run(connection, kind, key)
    if run is None or run.state is not RunState.FAILED:
        return False
    request_run(connection, kind=kind, key=key, due_at=now)
    return True


def _token(run: Run) -> dict[str, Any]:
    """Return what identifies the caller's hold on a run."""
    return {"kind": run.kind, "key": run.key, "generation": run.generation, "owner": run.lease_owner}


def _lost(run: Run) -> LeaseLost:
    """Explain a write that was refused."""
    return LeaseLost(
        "LEASE_LOST",
        f"{run.name} (generation {run.generation}) has ended or belongs to another worker; nothing was written.",
        hint="The other worker finishes it.",
    )

"""Messages to the outside, written with the state change they tell of and delivered at least once.

Rule: in order within (kind, target): a message waits for every earlier one to be done or dead. Each attempt is charged
before it starts, so a crash in the middle costs an attempt and a wait, never the message. The idempotency key is the
SHA-256 of the message id. Fail mode: after 12 attempts `dead`, visible, replayed by hand; what people are told is given
up after 10, in half an hour, since other ways then go on (operations.md 3.2).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

NOTIFICATION: Final = "notification"
"""The kind of message that tells people something."""
MAX_ATTEMPTS: Final = 12
LONGEST_BACKOFF: Final = timedelta(hours=1)
NOTICE_ATTEMPTS: Final = 10
_NOTICE_GROWTH: Final = 900.0 ** (1 / (NOTICE_ATTEMPTS - 2))
"""Nine waits between ten attempts, from one second to 15 minutes."""
IN_FLIGHT: Final = timedelta(seconds=60)
"""How long an attempt may take before another process may try; a deliverer gives up after 30 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message, on its `attempt`-th try (from 1). Targets that can should drop a repeated `idempotency_key`."""

    id: str
    kind: str
    target: str
    payload: Mapping[str, Any]
    idempotency_key: str
    attempt: int


_ADD = text(
    "INSERT INTO outbox (id, kind, target, payload, idempotency_key, next_at)"
    " VALUES (:id, :kind, :target, :payload, :idempotency_key, :next_at)"
).bindparams(bindparam("payload", type_=JSONB))


def add_message(
    connection: Connection,
    *,
    message_id: str,
    kind: str,
    target: str,
    payload: Mapping[str, Any],
    now: datetime,
) -> None:
    """Write a message in the caller's transaction; `message_id` is a fresh ULID.

    Order within (kind, target) is the order of insertion: where it matters, insert under the lock of one row.
    """
    values = {"id": message_id, "kind": kind, "target": target, "payload": payload, "next_at": now}
    connection.execute(_ADD, {**values, "idempotency_key": sha256(message_id.encode()).hexdigest()})


_CLAIM = text(
    "UPDATE outbox SET attempt = attempt + 1, next_at = :in_flight_until WHERE id = ("
    " SELECT id FROM outbox AS mine WHERE state = 'waiting' AND next_at <= :now AND kind = ANY(:kinds)"
    " AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.state = 'waiting' AND earlier.kind = mine.kind"
    " AND earlier.target = mine.target AND earlier.seq < mine.seq)"
    " ORDER BY next_at, seq LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING id, kind, target, payload, idempotency_key, attempt"
)


def claim_message(connection: Connection, kinds: Collection[str], now: datetime) -> Message | None:
    """Charge the next attempt of the next due message of these kinds and return it; None when nothing is due.

    Commit before delivering. Messages of other kinds are left for a worker that knows them.
    """
    values = {"now": now, "in_flight_until": now + IN_FLIGHT, "kinds": list(kinds)}
    row = connection.execute(_CLAIM, values).mappings().one_or_none()
    return None if row is None else Message(**row)


_DELIVERED = text("UPDATE outbox SET state = 'done', last_error = NULL WHERE id = :id AND state = 'waiting'")


def mark_delivered(connection: Connection, message: Message) -> None:
    """Close a message. An attempt that was overtaken by a later one may close it too: the target has it."""
    connection.execute(_DELIVERED, {"id": message.id})


_FAILED = text(
    "UPDATE outbox SET state = CASE WHEN attempt >= :most THEN 'dead' ELSE 'waiting' END,"
    " next_at = :next_at, last_error = :error"
    " WHERE id = :id AND state = 'waiting' AND attempt = :attempt RETURNING state = 'dead'"
)


def mark_failed(connection: Connection, message: Message, error: str, now: datetime) -> bool:
    """Set the next attempt (`wait_after`) or give the message up; tell whether it is dead now.

    An attempt that was overtaken by a later one changes nothing.
    """
    values = {
        "id": message.id,
        "attempt": message.attempt,
        "most": most_attempts(message.kind),
        "next_at": now + wait_after(message),
        "error": error,
    }
    return bool(connection.execute(_FAILED, values).scalar_one_or_none())


_EXHAUSTED = text(
    "UPDATE outbox SET state = 'dead', last_error = COALESCE(last_error, 'No attempt came to an end.')"
    " WHERE state = 'waiting' AND attempt >= CASE kind WHEN :notice THEN :notice_most ELSE :most END"
    " AND next_at <= :now RETURNING id"
)


def bury_exhausted(connection: Connection, now: datetime) -> tuple[str, ...]:
    """Give up messages whose last attempt never came back, and return their ids."""
    values = {"most": MAX_ATTEMPTS, "notice": NOTIFICATION, "notice_most": NOTICE_ATTEMPTS, "now": now}
    return tuple(connection.execute(_EXHAUSTED, values).scalars())


_REPLAY = text(
    "UPDATE outbox SET state = 'waiting', attempt = 0, next_at = :now WHERE id = :id AND state = 'dead' RETURNING id"
)


def replay_dead(connection: Connection, message_id: str, now: datetime) -> bool:
    """Give a dead message all its attempts anew, by a person's hand; tell whether there was one."""
    return connection.execute(_REPLAY, {"id": message_id, "now": now}).first() is not None


def most_attempts(kind: str) -> int:
    """Return after how many attempts a message of this kind is dead."""
    return NOTICE_ATTEMPTS if kind == NOTIFICATION else MAX_ATTEMPTS


def wait_after(message: Message) -> timedelta:
    """Return the wait after this failed try: `backoff`; for what people are told up to 15 minutes, with jitter.

    The jitter takes away up to half, never below a second; it follows from the message, so a crash changes no wait.
    """
    if message.kind != NOTIFICATION:
        return backoff(message.attempt)
    longest = _NOTICE_GROWTH ** min(message.attempt - 1, NOTICE_ATTEMPTS - 2)
    drawn = int.from_bytes(sha256(f"{message.id}/{message.attempt}".encode()).digest()[:4], "big") / 2**32
    return timedelta(seconds=max(1.0, longest * (1.0 - drawn / 2)))


def backoff(attempt: int) -> timedelta:
    """Return the wait after the `attempt`-th failed try (from 1): 1 s, 2 s, 4 s ... one hour."""
    return min(timedelta(seconds=2 ** min(attempt - 1, 20)), LONGEST_BACKOFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPage:
    """A page some of whose messages did not arrive. `reached`: at least one did; `targets` are all its channels."""

    page: str
    payload: Mapping[str, Any]
    targets: tuple[str, ...]
    reached: bool


_UNSETTLED = text(
    "SELECT s.payload->>'page' AS page, (array_agg(s.payload ORDER BY s.seq))[1] AS payload,"
    " array_agg(s.target ORDER BY s.seq) AS targets, bool_or(s.state = 'done') AS reached"
    " FROM outbox s WHERE s.payload ? 'page' AND s.payload->>'page' IN ("
    "  SELECT m.payload->>'page' FROM outbox m WHERE m.state IN ('waiting', 'dead') AND m.payload ? 'page'"
    "  AND NOT m.payload ? 'settled' AND CAST(m.payload->>'sent_at' AS timestamptz) <= :before)"
    " GROUP BY 1 ORDER BY 1"
)
_SETTLE = text(
    "UPDATE outbox SET payload = payload || '{\"settled\": true}' WHERE payload ? 'page' AND payload->>'page' = :page"
)


def unsettled_pages(connection: Connection, before: datetime) -> tuple[SentPage, ...]:
    """Return the pages written by then of which a message has not arrived, and that nobody looked into yet."""
    rows = connection.execute(_UNSETTLED, {"before": before}).mappings()
    return tuple(SentPage(**{**row, "targets": tuple(row["targets"])}) for row in rows)


def settle_page(connection: Connection, page: str) -> None:
    """Note that it was looked into whether a page reached anybody."""
    connection.execute(_SETTLE, {"page": page})

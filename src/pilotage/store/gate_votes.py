"""Attempts and votes. A vote is written once; the attempt's row is the lock that puts votes in one order.

Fail mode: a nonce used twice is no second vote; the caller gets the first one back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.clock import from_text, to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, SpaceName
from pilotage.gate.records import Bound, Login, SeatAt, Vote
from pilotage.gate.vocabulary import Half, VoteDecision
from pilotage.identity.roles import Role
from pilotage.store.tables.gates import gate_attempt, gate_recusal, gate_vote
from pilotage.store.together import StoredRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a release at a gate. `snapshot` None: its evidence was never complete."""

    release: Digest
    gate: str
    number: int
    parts_digest: Digest
    opened_at: datetime
    opened_by: str
    reason: str = ""
    snapshot: tuple[SeatAt, ...] | None = None
    pack: Digest | None = None


def lock_attempt(connection: Connection, first: Attempt) -> Attempt:
    """Return the newest attempt, locked until the transaction ends; `first` is written when there is none."""
    values = {
        "release": first.release,
        "gate": first.gate,
        "attempt": first.number,
        "parts_digest": first.parts_digest,
        "opened_at": first.opened_at,
        "opened_by": first.opened_by,
        "reason": first.reason,
    }
    connection.execute(insert(gate_attempt).values(values).on_conflict_do_nothing())
    query = _newest(first.release, first.gate).with_for_update()
    return attempt_from(connection.execute(query).mappings().one())


def _newest(release: Digest, gate: str) -> Any:  # noqa: ANN401 - a select of SQLAlchemy
    return (
        select(gate_attempt)
        .where(gate_attempt.c.release == release, gate_attempt.c.gate == gate)
        .order_by(gate_attempt.c.attempt.desc())
        .limit(1)
    )


_KEPT = text(
    "SELECT gate FROM (SELECT DISTINCT ON (gate) gate, snapshot FROM gate_attempt WHERE release = :release"
    " ORDER BY gate, attempt DESC) a WHERE snapshot IS NOT NULL"
)
_OPEN = text(
    "SELECT DISTINCT release FROM (SELECT DISTINCT ON (release, gate) release, gate, snapshot FROM gate_attempt"
    " ORDER BY release, gate, attempt DESC) a WHERE snapshot IS NULL"
)


def boards_kept(connection: Connection, release: Digest) -> frozenset[str]:
    """Return the gates at whose newest attempt the release's board is kept."""
    return frozenset(connection.execute(_KEPT, {"release": release}).scalars())


def boards_open(connection: Connection) -> tuple[Digest, ...]:
    """Return the releases with an attempt, the newest at its gate, that keeps no board."""
    return tuple(Digest(name) for name in connection.execute(_OPEN).scalars())


def count_attempts(connection: Connection, parts_digest: Digest, gate: str) -> int:
    """Return how many attempts the same parts had at a gate, in any release."""
    query = select(func.count()).where(gate_attempt.c.parts_digest == parts_digest, gate_attempt.c.gate == gate)
    return int(connection.scalar(query) or 0)


def open_attempt(connection: Connection, attempt: Attempt) -> None:
    """Write the next attempt."""
    connection.execute(
        gate_attempt.insert().values(
            release=attempt.release,
            gate=attempt.gate,
            attempt=attempt.number,
            parts_digest=attempt.parts_digest,
            opened_at=attempt.opened_at,
            opened_by=attempt.opened_by,
            reason=attempt.reason,
        )
    )


def take_snapshot(connection: Connection, attempt: Attempt, seats: tuple[SeatAt, ...], at: datetime) -> None:
    """Keep the board as it was when the attempt's evidence was first complete; never twice."""
    body = [{"role": s.role.value, "holder": s.holder, "alternates": list(s.alternates)} for s in seats]
    connection.execute(
        update(gate_attempt)
        .where(*_key(attempt), gate_attempt.c.snapshot.is_(None))
        .values(snapshot=body, snapshot_at=at)
    )


def set_pack(connection: Connection, attempt: Attempt, pack: Digest) -> None:
    """Freeze the CAB pack of an attempt."""
    connection.execute(update(gate_attempt).where(*_key(attempt)).values(pack=pack))


def _key(attempt: Attempt) -> tuple[Any, ...]:
    return (
        gate_attempt.c.release == attempt.release,
        gate_attempt.c.gate == attempt.gate,
        gate_attempt.c.attempt == attempt.number,
    )


def attempt_from(row: StoredRow) -> Attempt:
    """Return an attempt from its row."""
    snapshot = row["snapshot"]
    return Attempt(
        release=Digest(row["release"]),
        gate=row["gate"],
        number=row["attempt"],
        parts_digest=Digest(row["parts_digest"]),
        opened_at=row["opened_at"],
        opened_by=row["opened_by"],
        reason=row["reason"],
        snapshot=None if snapshot is None else tuple(seat_from(one) for one in snapshot),
        pack=None if row["pack"] is None else Digest(row["pack"]),
    )


def seat_from(body: dict[str, Any]) -> SeatAt:
    """Return a seat from its stored form."""
    return SeatAt(
        role=Role(body["role"]),
        holder=PersonId(body["holder"]),
        alternates=tuple(PersonId(one) for one in body["alternates"]),
    )


def add_vote(connection: Connection, vote: Vote, parts_digest: Digest) -> bool:
    """Write a vote; False when its nonce is known, so a double click counts once."""
    row = insert(gate_vote).values(
        id=vote.id,
        release=vote.release,
        parts_digest=parts_digest,
        gate=vote.gate,
        half=vote.half.value,
        attempt=vote.attempt,
        role=vote.role.value,
        is_seat=vote.is_seat,
        person=vote.person,
        is_person=vote.is_person,
        decision=vote.decision.value,
        comment=vote.comment,
        checklist=dict(vote.checklist),
        bind=vote.bind,
        bound=_bound_json(vote.bound),
        evidence=list(vote.evidence),
        login={
            "method": vote.login.method,
            "at": to_text(vote.login.at),
            "second_factor": vote.login.second_factor,
        },
        nonce=vote.nonce,
        delegated_from=vote.delegated_from,
        at=vote.at,
    )
    done = connection.execute(row.on_conflict_do_nothing().returning(gate_vote.c.id))
    return done.first() is not None


def vote_by_nonce(connection: Connection, release: Digest, gate: str, nonce: str) -> Vote | None:
    """Return the vote that was given with this nonce."""
    query = select(gate_vote).where(
        gate_vote.c.release == release, gate_vote.c.gate == gate, gate_vote.c.nonce == nonce
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else vote_from(row)


def _bound_json(bound: Bound) -> dict[str, Any]:
    return {name: getattr(bound, name) for name in Bound.__dataclass_fields__}


def vote_from(row: StoredRow) -> Vote:
    """Return a vote from its row."""
    bound = dict(row["bound"])
    bound["half"] = Half(bound.get("half", "pre"))
    bound["space"] = None if bound.get("space") is None else SpaceName(bound["space"])
    login = row["login"]
    return Vote(
        id=row["id"],
        release=Digest(row["release"]),
        gate=row["gate"],
        half=Half(row["half"]),
        attempt=row["attempt"],
        role=Role(row["role"]),
        is_seat=row["is_seat"],
        person=PersonId(row["person"]),
        is_person=row["is_person"],
        decision=VoteDecision(row["decision"]),
        comment=row["comment"],
        checklist=row["checklist"],
        bind=Digest(row["bind"]),
        bound=Bound(**bound),
        evidence=tuple(row["evidence"]),
        login=Login(method=login["method"], at=from_text(login["at"]), second_factor=login["second_factor"]),
        at=row["at"],
        nonce=row["nonce"],
        delegated_from=None if row["delegated_from"] is None else PersonId(row["delegated_from"]),
    )


def add_recusal(connection: Connection, attempt: Attempt, values: dict[str, Any]) -> None:
    """Write that a seat's holder stands aside for the registered alternate."""
    connection.execute(
        insert(gate_recusal)
        .values(release=attempt.release, gate=attempt.gate, attempt=attempt.number, **values)
        .on_conflict_do_nothing()
    )

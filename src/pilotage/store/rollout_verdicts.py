"""Verdicts of a rollout, kept as the bytes people sign, and the signatures under them.

Rule: a verdict is written once under its digest; a person signs a verdict in one role. A decision stays; of looks,
which nobody signs, the newest of each slot of time. Fail mode: bytes that are not their digest's raise IntegrityError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, case, delete, select
from sqlalchemy.dialects.postgresql import insert

from pilotage.analysis.verdict import Verdict
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError
from pilotage.rollout.machine import Place
from pilotage.store.tables.rollouts import rollout_signature, rollout_verdict

LOOK: Final = timedelta(seconds=15)
"""How old what a page shows of a verdict may be, while its outcome stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVerdict:
    """One verdict. `body` is its canonical JSON."""

    rollout: str
    digest: Digest
    wave: int
    step: int
    outcome: str
    effect: str
    body: bytes
    at: datetime
    is_decision: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One person's yes to a verdict: `go`, or `overrule` with the risk acceptance that was signed."""

    rollout: str
    verdict: Digest
    kind: str
    role: str
    person: str
    acceptance: Mapping[str, Any] | None
    at: datetime


def add_verdict(
    connection: Connection, rollout: str, verdict: Verdict, *, place: Place, at: datetime, is_decision: bool = False
) -> None:
    """Keep a verdict; the same one again is as of now, or becomes the decision, which keeps its time."""
    row = insert(rollout_verdict).values(
        rollout=rollout,
        digest=verdict.digest,
        wave=place.wave,
        step=place.step,
        outcome=verdict.outcome.value,
        effect=verdict.effect.value,
        body=verdict.canonical(),
        at=at,
        is_decision=is_decision,
    )
    keep = {
        "is_decision": rollout_verdict.c.is_decision | row.excluded.is_decision,
        "at": case((rollout_verdict.c.is_decision, rollout_verdict.c.at), else_=row.excluded.at),
    }
    connection.execute(row.on_conflict_do_update(index_elements=["rollout", "digest"], set_=keep))


def keep_look(
    connection: Connection, rollout: str, verdict: Verdict, *, place: Place, at: datetime, slot: datetime
) -> None:
    """Keep how a verdict stands now if that is due, in place of the last look since `slot` began."""
    here = rollout_verdict.c.rollout == rollout
    query = select(rollout_verdict.c.at, rollout_verdict.c.outcome, rollout_verdict.c.effect).where(here)
    last = connection.execute(query.order_by(rollout_verdict.c.at.desc()).limit(1)).one_or_none()
    stands = (verdict.outcome.value, verdict.effect.value)
    if last is not None and at - last.at < LOOK and (last.outcome, last.effect) == stands:
        return
    same = (rollout_verdict.c.wave == place.wave) & (rollout_verdict.c.step == place.step)
    earlier = here & same & (rollout_verdict.c.at >= slot) & rollout_verdict.c.is_decision.is_(False)
    connection.execute(delete(rollout_verdict).where(earlier))
    add_verdict(connection, rollout, verdict, place=place, at=at)


def latest_verdict(connection: Connection, rollout: str) -> StoredVerdict | None:
    """Return the newest verdict that was kept."""
    query = select(rollout_verdict).where(rollout_verdict.c.rollout == rollout)
    row = connection.execute(query.order_by(rollout_verdict.c.at.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else _verdict(row)


def _verdict(row: Any) -> StoredVerdict:  # noqa: ANN401 - a row of the table
    stored = StoredVerdict(**{**row, "body": bytes(row["body"])})
    if digest_of(stored.body) != stored.digest:
        message = f"Verdict {stored.digest} of rollout {stored.rollout} was altered in the store."
        raise IntegrityError("VERIFY_BYTES", message, hint="Restore a backup.")
    return stored


def add_signature(connection: Connection, signature: Signature) -> bool:
    """Keep a signature; False when this person, or this role, signed the verdict already."""
    values = {name: getattr(signature, name) for name in Signature.__dataclass_fields__}
    row = insert(rollout_signature).values(values).on_conflict_do_nothing().returning(rollout_signature.c.person)
    return connection.execute(row).first() is not None


def signatures_of(
    connection: Connection, rollout: str, verdict: str, *, kind: str | None = None
) -> tuple[Signature, ...]:
    """Return the signatures under a verdict, of one kind or all, oldest first."""
    query = select(rollout_signature).where(
        rollout_signature.c.rollout == rollout,
        rollout_signature.c.verdict == verdict,
    )
    if kind is not None:
        query = query.where(rollout_signature.c.kind == kind)
    rows = connection.execute(query.order_by(rollout_signature.c.at, rollout_signature.c.person)).mappings()
    return tuple(Signature(**row) for row in rows)

"""What stood about a release's gates at a moment: what it had passed, who had signed, which risks were accepted then.

Rule: one statement; reads what was written when each happened. Fail mode: a database error; no event is no row.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from pilotage.core.digest import Digest
from pilotage.store.passed_gates import PASSED, Passed
from pilotage.store.served import Served

_PARTS = f"""
  'passed', (SELECT json_agg(p) FROM ({PASSED}) p WHERE p.at <= :at),
  'votes', (SELECT json_agg(json_build_object('gate', v.gate, 'attempt', v.attempt, 'space', v.bound ->> 'space',
      'role', v.role, 'person', v.person, 'decision', v.decision, 'evidence', v.evidence, 'at', v.at)
      ORDER BY v.at, v.id)
    FROM gate_vote v WHERE v.release = :release AND v.half = 'pre' AND v.at <= :at),
  'attempts', (SELECT json_agg(json_build_object('gate', gate, 'attempt', attempt, 'at', opened_at))
    FROM gate_attempt WHERE release = :release AND opened_at <= :at),
  'kinds', (SELECT json_object_agg(e.id, e.kind) FROM evidence e WHERE e.id IN (
    SELECT unnest(evidence) FROM gate_vote WHERE release = :release AND half = 'pre' AND at <= :at)),
  'risks', (SELECT json_agg(json_build_object('gate', r.gate, 'risk', r.body ->> 'risk',
      'severity', r.body ->> 'severity', 'owner', r.body ->> 'owner', 'approvers', r.approvers, 'expires', r.expires)
      ORDER BY r.created, r.id)
    FROM risk_acceptance r WHERE r.release = :release AND r.created <= :at AND r.expires > :at
      AND (r.withdrawn_at IS NULL OR r.withdrawn_at > :at))
"""  # noqa: S608 - our own texts
_SERVED = """
SELECT r.space, r.workflow, r.stable, r.candidate, r.fraction_ppm, r.paused, r.reason, r.changed_at
FROM routing r JOIN release s ON s.digest IN (r.stable, r.candidate)
WHERE s.parts_digest = :parts ORDER BY r.workflow, r.space
"""
_THEN = text(f"SELECT CAST(json_build_object({_PARTS}) AS text)")
_OPENED = text(f"""
SELECT CAST(json_build_object('opened', (SELECT json_object_agg(o.sha256, o.at) FROM document_opening o
  WHERE o.person = :person AND o.sha256 = ANY(:names)), {_PARTS}) AS text)
""")  # noqa: S608 - our own texts
_BOTH = text(f"""
SELECT CAST(json_build_object('served', (SELECT json_agg(s) FROM ({_SERVED}) s), {_PARTS}) AS text)
""")  # noqa: S608 - our own texts


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesThen:
    """All until that moment. `passed` and `votes` oldest first; `risks`: accepted, not ended then.

    `votes`: gate, attempt, space, role, person, decision, evidence, at; `attempts`: gate, attempt, at; `kinds`: of the
    evidence that votes name.
    """

    passed: Sequence[Passed]
    votes: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    kinds: Mapping[str, str]
    risks: Sequence[Mapping[str, Any]]


def gates_then(connection: Connection, release: Digest, at: datetime) -> GatesThen:
    """Return what stood about the gates of a release at this moment."""
    return _made(json.loads(connection.execute(_THEN, {"release": release, "at": at}).scalar_one()))


def then_and_opened(
    connection: Connection, release: Digest, at: datetime, *, person: str, documents: Collection[Digest]
) -> tuple[GatesThen, Mapping[Digest, datetime]]:
    """Return what stood about the gates, and which of these documents a person opened and when first, at once."""
    names = [digest.removeprefix("sha256:") for digest in documents]
    values = {"release": release, "at": at, "person": person, "names": names}
    found = json.loads(connection.execute(_OPENED, values).scalar_one())
    opened = {Digest(f"sha256:{name}"): datetime.fromisoformat(at) for name, at in (found["opened"] or {}).items()}
    return _made(found), opened


def served_and_then(
    connection: Connection, release: Digest, parts: Digest, at: datetime
) -> tuple[tuple[Served, ...], GatesThen]:
    """Return where releases of exactly this content take traffic, and what stood about this one's gates, at once."""
    values = {"release": release, "parts": parts, "at": at}
    found = json.loads(connection.execute(_BOTH, values).scalar_one())
    served = [{**row, "changed_at": datetime.fromisoformat(row["changed_at"])} for row in found["served"] or ()]
    return tuple(Served(**row) for row in served), _made(found)


def _made(found: Mapping[str, Any]) -> GatesThen:
    return GatesThen(
        passed=tuple(Passed(**row) for row in _timed(found["passed"])),
        votes=_timed(found["votes"]),
        attempts=_timed(found["attempts"]),
        kinds=found["kinds"] or {},
        risks=found["risks"] or (),
    )


def _timed(rows: Sequence[Mapping[str, Any]] | None) -> tuple[dict[str, Any], ...]:
    return tuple({**row, "at": datetime.fromisoformat(row["at"])} for row in rows or ())

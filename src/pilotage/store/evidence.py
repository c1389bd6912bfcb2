"""Stored evidence: bytes once by SHA-256, readings beside them. An item is written once; only its state moves.

Fail mode: an item whose stored claims are no finite numbers comes back without them, and its checks are inconclusive.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, or_, select, text, tuple_, update

from pilotage.core.digest import Digest
from pilotage.core.errors import NotFound
from pilotage.core.ids import SpaceName
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence, EvidenceState, Severity, SubjectKind, ToolFinding
from pilotage.store.releases import put_blobs
from pilotage.store.tables.releases import evidence
from pilotage.store.together import StoredRow, row_of
from pilotage.workspace.gate import Trust

_KEPT_BYTES: Final = 4_096


def add_evidence(connection: Connection, item: Evidence, body: bytes) -> None:
    """Store the bytes (once) and the item, inside the caller's transaction."""
    bare = item.sha256.removeprefix("sha256:")
    put_blobs(connection, {bare: body}, media=item.media)
    connection.execute(
        evidence.insert().values(
            id=item.id,
            sha256=bare,
            kind=item.kind,
            subject_kind=item.subject_kind.value,
            subject=item.subject,
            space=item.space,
            suite=item.suite,
            producer=item.producer,
            trust=item.trust.value,
            produced_at=item.produced_at,
            received_at=item.received_at,
            claims=dict(item.claims),
            state=item.state.value,
            reason=None if item.reason is None else item.reason.as_json(),
            reader=item.reader,
            summary=item.summary,
            media=item.media,
            size=item.size,
            space_config=item.space_config,
            reading={
                "findings": [_finding_json(one) for one in item.findings],
                "refs": dict(item.refs),
                "names": {name: list(values) for name, values in item.names.items()},
            },
        )
    )


_SUBJECTS: Final = [kind.value for kind in SubjectKind]
"""What items of gates are about; a refresh keeps its quality report about a corpus version in the same table."""


def evidence_by_id(connection: Connection, name: str) -> Evidence:
    """Return one item; raise NotFound."""
    query = select(evidence).where(evidence.c.id == name, evidence.c.subject_kind.in_(_SUBJECTS))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound("EVIDENCE_UNKNOWN", f"There is no evidence {name!r}.", hint="See `pilotage evidence list`.")
    return evidence_from(row)


def evidence_about(connection: Connection, subjects: Mapping[SubjectKind, Collection[str]]) -> tuple[Evidence, ...]:
    """Return every item about any of these subjects, in one statement, oldest first."""
    wanted = [(kind.value, name) for kind, names in subjects.items() for name in names]
    if not wanted:
        return ()
    pair = tuple_(evidence.c.subject_kind, evidence.c.subject)
    query = select(evidence).where(pair.in_(wanted)).order_by(evidence.c.received_at, evidence.c.id)
    return tuple(evidence_from(row) for row in connection.execute(query).mappings())


def same_evidence(connection: Connection, item: Evidence) -> Evidence | None:
    """Return the newest item that holds the same bytes about the same subject, kind, space and suite."""
    query = select(evidence).where(
        evidence.c.sha256 == item.sha256.removeprefix("sha256:"),
        evidence.c.subject_kind == item.subject_kind.value,
        evidence.c.subject == item.subject,
        evidence.c.kind == item.kind,
        evidence.c.suite == item.suite,
        or_(evidence.c.space == item.space, evidence.c.space.is_(None) & (item.space is None)),
        evidence.c.state == EvidenceState.ACCEPTED.value,
    )
    row = connection.execute(query.order_by(evidence.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else evidence_from(row)


_EVALUATED_BY = text(
    "SELECT subject, array_agg(DISTINCT coalesce(reading -> 'refs' ->> 'engine', '')) AS engines FROM evidence"
    " WHERE subject = ANY(:releases) AND subject_kind = 'release' AND kind = 'evaluation' AND state = 'accepted'"
    " GROUP BY subject"
)


def evaluated_by(connection: Connection, releases: Collection[Digest]) -> dict[Digest, frozenset[str]]:
    """Return the versions of Pilotage that made the evaluation runs of each release; "" for one that is not known."""
    rows = connection.execute(_EVALUATED_BY, {"releases": list(releases)})
    return {Digest(row.subject): frozenset(row.engines) for row in rows}


_WITHOUT_READING = text(
    "SELECT v.* FROM evidence v WHERE v.state IN ('accepted', 'superseded') AND v.subject_kind = ANY(:subjects)"
    " AND EXISTS (SELECT FROM ledger_entry e WHERE e.subject = v.id AND e.kind = 'evidence.attached')"
    " AND NOT EXISTS (SELECT FROM ledger_entry e WHERE e.subject = v.id"
    " AND (e.kind = 'evidence.reading_recorded' OR e.kind = 'evidence.attached'"
    " AND CAST(convert_from(e.bytes, 'UTF8') AS jsonb) -> 'data' ->> 'reading' IS NOT NULL))"
    " ORDER BY v.id LIMIT :limit"
)


def without_reading(connection: Connection, *, limit: int) -> tuple[Evidence, ...]:
    """Return items that count and whose ledger entries do not say what their readers made of them."""
    rows = connection.execute(_WITHOUT_READING, {"limit": limit, "subjects": _SUBJECTS}).mappings()
    return tuple(evidence_from(row) for row in rows)


def withdraw(connection: Connection, name: str, reason: Reason) -> None:
    """Mark an item withdrawn. Nothing is deleted."""
    values = {"state": EvidenceState.WITHDRAWN.value, "reason": reason.as_json()}
    connection.execute(update(evidence).where(evidence.c.id == name).values(values))


def _finding_json(one: ToolFinding) -> dict[str, Any]:
    return {
        "rule": one.rule,
        "severity": one.severity.value,
        "title": one.title,
        "component": one.component,
        "version": one.version,
        "location": one.location,
        "suppressed": one.suppressed,
    }


def evidence_from(row: StoredRow) -> Evidence:
    """Return an item from its row."""
    reading = row["reading"] or {}
    claims = {
        str(name): float(value)
        for name, value in (row["claims"] or {}).items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
    return Evidence(
        id=row["id"],
        sha256=Digest(f"sha256:{row['sha256']}"),
        kind=row["kind"],
        subject_kind=SubjectKind(row["subject_kind"]),
        subject=row["subject"],
        space=None if row["space"] is None else SpaceName(row["space"]),
        space_config=None if row["space_config"] is None else Digest(row["space_config"]),
        suite=row["suite"],
        producer=row["producer"],
        trust=Trust(row["trust"]),
        produced_at=row["produced_at"],
        received_at=row["received_at"],
        claims=claims,
        reader=row["reader"],
        summary=row["summary"],
        findings=tuple(
            ToolFinding(**{**one, "severity": Severity(one["severity"])}) for one in reading.get("findings", ())
        ),
        refs=reading.get("refs", {}),
        names={name: tuple(values) for name, values in reading.get("names", {}).items()},
        state=EvidenceState(row["state"]),
        reason=None if row["reason"] is None else Reason(**row["reason"]),
        media=row["media"],
        size=row["size"],
    )


def evidence_of_bytes(row: bytes) -> Evidence:
    """Return an item from the JSON of its whole row. The same bytes make the same item: small ones are kept."""
    return _kept(row) if len(row) <= _KEPT_BYTES else _made(row)


def _made(row: bytes) -> Evidence:
    return evidence_from(row_of(row, evidence))


_kept = lru_cache(maxsize=8_192)(_made)


_GOOD_UNDER = text(
    "SELECT DISTINCT subject FROM evidence WHERE subject = ANY(:releases) AND subject_kind = 'release'"
    " AND kind = 'evaluation' AND state = 'accepted' AND reading -> 'refs' ->> 'engine' = :engine"
    " AND reading -> 'refs' ->> 'verdict' = 'go'"
)


def good_under(connection: Connection, releases: Collection[Digest], engine: str) -> frozenset[Digest]:
    """Return those of these releases that an evaluation run of this version of Pilotage found good."""
    rows = connection.execute(_GOOD_UNDER, {"releases": list(releases), "engine": engine}).scalars()
    return frozenset(Digest(row) for row in rows)

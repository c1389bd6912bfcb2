"""Interactions as control commands read them: one with its whole record, and the closing of lost ones.

The serving path writes them (store/serving_records.py); here they are found again. Rule: an interaction row is never
updated; what happened later stands in `interaction_closing`. Fail mode: a database error, or None for an id that names
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, text

from pilotage.core.canonical import Json
from pilotage.core.ids import InteractionId

_FIND = text("""
SELECT i.id, i.at, i.space, i.workflow, i.arm, i.release, i.corpus, i.corpus_version, i.as_of, i.principal, i.kind,
  coalesce(c.state, i.state) AS state, coalesce(c.outcome, i.outcome) AS outcome, coalesce(c.code, i.code) AS code,
  coalesce(c.refused, i.refused) AS refused, i.detail AS opening, coalesce(c.detail, i.detail) AS detail,
  t.question, t.answer, t.salt
FROM interaction i
LEFT JOIN interaction_closing c ON c.interaction = i.id
LEFT JOIN interaction_text t ON t.id = i.id
WHERE i.id = :id
""")
_CITED = text("""
SELECT corpus, document, rev, ordinal, marker FROM interaction_citation
WHERE interaction = :id ORDER BY marker, ordinal
""")
_OPEN = text("""
SELECT i.id, i.space, i.workflow, i.principal FROM interaction i
WHERE i.state = 'open' AND i.at < :before
  AND NOT EXISTS (SELECT FROM interaction_closing c WHERE c.interaction = i.id)
ORDER BY i.at LIMIT :most
""")
_CLOSE = text("""
INSERT INTO interaction_closing (interaction, at, state, outcome, code, refused, detail)
VALUES (:id, :at, 'delivery_unknown', 'lost', NULL, false, '{}') ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """One chunk an answer cited, by `[marker]`."""

    corpus: str
    document: str
    rev: int
    ordinal: int
    marker: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInteraction:
    """One interaction with its last known state. Texts are redacted, and None once they were deleted.

    `opening` is the detail recorded before a stream's first byte (the same as `detail` otherwise). `salt` opens the two
    commitments: 32 bytes for the question, 32 for the answer.
    """

    id: InteractionId
    at: datetime
    space: str
    workflow: str
    arm: str
    release: str | None
    corpus: str | None
    corpus_version: int | None
    as_of: date | None
    principal: str
    kind: str
    state: str
    outcome: str
    code: str | None
    refused: bool
    opening: Mapping[str, Json]
    detail: Mapping[str, Json]
    question: str | None
    answer: str | None
    salt: bytes | None
    cited: tuple[Citation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenInteraction:
    """A stream whose final record never came. `principal` is a pseudonym."""

    id: InteractionId
    space: str
    workflow: str
    principal: str


def interaction_by_id(connection: Connection, interaction: str) -> StoredInteraction | None:
    """Return one interaction, or None."""
    row = connection.execute(_FIND, {"id": interaction}).mappings().one_or_none()
    if row is None:
        return None
    cited = tuple(Citation(**found) for found in connection.execute(_CITED, {"id": interaction}).mappings())
    return StoredInteraction(cited=cited, **row)


def open_interactions(connection: Connection, *, before: datetime, most: int = 500) -> tuple[OpenInteraction, ...]:
    """Return interactions opened before that moment and never closed, oldest first."""
    rows = connection.execute(_OPEN, {"before": before, "most": most}).mappings()
    return tuple(OpenInteraction(**row) for row in rows)


def close_as_unknown(connection: Connection, interaction: str, *, at: datetime) -> bool:
    """Close an open interaction as `delivery_unknown`; tell whether this call did it."""
    return connection.execute(_CLOSE, {"id": interaction, "at": at}).rowcount > 0

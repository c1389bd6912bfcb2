"""The kept texts of shadow and replay pairs, as far as one reader may see them now.

Rule: the statement itself joins today's permissions: every document behind a pair must be live and name the reader in
its ACL, which is not past its age; a document nobody knows any more hides the pair. Fail mode: a database error; a pair
that does not come back was not allowed, or its texts were erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from pilotage.core.ids import CorpusName
from pilotage.rollout.pairing import Label, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReader:
    """Whose permissions count. Of a corpus in `confirmed_since`, ACLs confirmed before that moment do not."""

    names: frozenset[str]
    confirmed_since: Mapping[CorpusName, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairText:
    """One scored pair: what was asked and what both releases said, redacted. `is_swapped`: the order swayed the scorer.

    `documents` are `<corpus>/<document>`, all that stood behind the two answers.
    """

    label: Label
    interaction: str
    result: Result
    is_swapped: bool | None
    question: str
    stable: str
    candidate: str
    documents: tuple[str, ...]
    at: datetime


# `IS NOT TRUE`: whatever is not known to be permitted is not.
_FORBIDDEN: Final = (
    "EXISTS (SELECT FROM unnest(t.documents) AS named LEFT JOIN document d"
    " ON d.corpus = split_part(named, '/', 1) AND d.id = substr(named, strpos(named, '/') + 1)"
    " LEFT JOIN unnest(CAST(:limited AS text[]), CAST(:since AS timestamptz[])) AS l (corpus, since) USING (corpus)"
    " WHERE (d.tombstone IS NULL AND d.acl && CAST(:names AS text[])"
    " AND (l.since IS NULL OR d.acl_confirmed_at >= l.since)) IS NOT TRUE)"
)
_WHOSE: Final = (
    "FROM rollout_pair_text t JOIN rollout_pair p USING (rollout, label, interaction)"
    " WHERE rollout = :rollout AND p.result IS NOT NULL"
    " AND (CAST(:result AS text) IS NULL OR p.result = :result)"
)
_SHOWN: Final = text(
    "SELECT label, interaction, p.result, p.is_swapped, t.question, t.stable, t.candidate, t.documents, t.at"
    f" {_WHOSE} AND NOT {_FORBIDDEN}"
    " ORDER BY array_position(ARRAY['worse', 'better', 'tie'], p.result), t.at, label, interaction LIMIT :most"
)
_HIDDEN: Final = text(f"SELECT count(*) {_WHOSE} AND {_FORBIDDEN}")


def pair_texts(
    connection: Connection, rollout: str, *, reader: PairReader, result: Result | None, most: int
) -> tuple[PairText, ...]:
    """Return the texts that this reader may read: those the candidate lost first, then the oldest."""
    values = {**_values(rollout, reader, result), "most": most}
    return tuple(
        PairText(
            **{
                **row,
                "label": Label(row["label"]),
                "result": Result(row["result"]),
                "documents": tuple(row["documents"]),
            }
        )
        for row in connection.execute(_SHOWN, values).mappings()
    )


def hidden_texts(connection: Connection, rollout: str, *, reader: PairReader, result: Result | None) -> int:
    """Return how many kept texts this reader may not read."""
    found: int = connection.execute(_HIDDEN, _values(rollout, reader, result)).scalar_one()
    return found


def _values(rollout: str, reader: PairReader, result: Result | None) -> dict[str, object]:
    return {
        "rollout": rollout,
        "names": sorted(reader.names),
        "limited": list(reader.confirmed_since),
        "since": list(reader.confirmed_since.values()),
        "result": None if result is None else result.value,
    }

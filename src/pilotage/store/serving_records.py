"""Writing interaction records on the serving path: many records, one statement, one transaction.

A batch goes to the server as a handful of JSON arrays inside one statement, so a group commit costs one round trip
however many records it holds. Every insert ignores a row that is already there: a batch whose outcome is unknown (the
connection broke) may be sent again. Fail mode: a database error; either the whole batch is durable or none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, LiteralString, TypeAlias

import msgspec
import psycopg

from pilotage.core.canonical import Json
from pilotage.ledger.commitment import Disclosure
from pilotage.ledger.entry import EncodedEntry

Row: TypeAlias = "Mapping[str, Json | datetime | date | bytes]"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRows:
    """The rows of one record, by table, each with the columns of the schema. `entry` is its ledger entry."""

    entry: EncodedEntry
    interaction: Row | None = None
    closing: Row | None = None
    text: Row | None = None
    citations: Sequence[Row] = ()
    disclosures: Sequence[Disclosure] = ()

    @property
    def size(self) -> int:
        """Roughly how many bytes it holds in memory."""
        text = self.text or {}
        words = sum(len(value) for value in (text.get("question"), text.get("answer")) if isinstance(value, str))
        return 2 * len(self.entry.bytes) + words + 256


_WRITE: Final[LiteralString] = """
WITH written_interaction AS (
  INSERT INTO interaction (id, at, space, workflow, arm, release, corpus, corpus_version, as_of, principal, kind, state,
    outcome, code, refused, detail)
  SELECT id, at, space, workflow, arm, release, corpus, corpus_version, as_of, principal, kind, state, outcome, code,
    refused, detail
  FROM json_to_recordset(%s::json) AS r (id text, at timestamptz, space text, workflow text, arm text, release text,
    corpus text, corpus_version integer, as_of date, principal text, kind text, state text, outcome text, code text,
    refused boolean, detail jsonb)
  ON CONFLICT DO NOTHING
), written_closing AS (
  INSERT INTO interaction_closing (interaction, at, state, outcome, code, refused, detail)
  SELECT interaction, at, state, outcome, code, refused, detail
  FROM json_to_recordset(%s::json) AS r (interaction text, at timestamptz, state text, outcome text, code text,
    refused boolean, detail jsonb)
  ON CONFLICT DO NOTHING
), written_text AS (
  INSERT INTO interaction_text (id, question, answer, groups, salt, at)
  SELECT id, question, answer, groups, decode(salt, 'base64'), at
  FROM json_to_recordset(%s::json) AS r (id text, question text, answer text, groups text[], salt text, at timestamptz)
  ON CONFLICT (id) DO UPDATE SET answer = EXCLUDED.answer
), written_citation AS (
  INSERT INTO interaction_citation (interaction, corpus, document, rev, ordinal, marker)
  SELECT interaction, corpus, document, rev, ordinal, marker
  FROM json_to_recordset(%s::json) AS r (interaction text, corpus text, document text, rev bigint, ordinal integer,
    marker integer)
  ON CONFLICT DO NOTHING
), written_disclosure AS (
  INSERT INTO ledger_disclosure (entry, field, salt, value)
  SELECT entry, field, decode(salt, 'base64'), value
  FROM json_to_recordset(%s::json) AS r (entry text, field text, salt text, value text)
  ON CONFLICT DO NOTHING
)
INSERT INTO ledger_entry (id, kind, subject, bytes)
SELECT id, kind, subject, decode(bytes, 'base64')
FROM json_to_recordset(%s::json) AS r (id text, kind text, subject text, bytes text)
ON CONFLICT (id) DO NOTHING
"""

_SESSION: Final[LiteralString] = "SET synchronous_commit = on; SET statement_timeout = 5000; SET timezone = 'UTC'"

_encoder = msgspec.json.Encoder()


def _encode(rows: Sequence[Row]) -> str:
    return _encoder.encode(rows).decode()


class RecordWriter:
    """One connection of its own, in autocommit: each batch is one statement, hence one transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        self._connection = connection

    @staticmethod
    async def connect(conninfo: str) -> RecordWriter:
        """Open the connection; durable commits are enforced whatever the server's default is."""
        connection = await psycopg.AsyncConnection.connect(
            conninfo, autocommit=True, connect_timeout=5, prepare_threshold=0, application_name="pilotage-recorder"
        )
        try:
            await connection.execute(_SESSION, prepare=False)
        except BaseException:
            await connection.close()
            raise
        return RecordWriter(connection)

    async def write(self, batch: Sequence[RecordRows]) -> None:
        """Make the batch durable; raise psycopg.Error when it is not known to be."""
        await self._connection.execute(_WRITE, _parameters(batch))

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


def _parameters(batch: Sequence[RecordRows]) -> tuple[str, ...]:
    texts = {item.text["id"]: item.text for item in batch if item.text is not None}
    return (
        _encode([item.interaction for item in batch if item.interaction is not None]),
        _encode([item.closing for item in batch if item.closing is not None]),
        _encode(list(texts.values())),
        _encode([row for item in batch for row in item.citations]),
        _encode(
            [
                {"entry": item.entry.id, "field": opened.field, "salt": opened.salt, "value": opened.value}
                for item in batch
                for opened in item.disclosures
            ]
        ),
        _encode(
            [
                {
                    "id": item.entry.id,
                    "kind": item.entry.kind.value,
                    "subject": item.entry.subject,
                    "bytes": item.entry.bytes,
                }
                for item in batch
            ]
        ),
    )

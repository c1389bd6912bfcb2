"""Keeps a refresh's quality report: bytes once by digest, and a `data_quality` evidence row about the version."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of

_BLOB = text(
    "INSERT INTO blob (sha256, size, media, body) VALUES (:sha256, :size, 'application/json', :body)"
    " ON CONFLICT DO NOTHING"
)
_EVIDENCE = text(
    "INSERT INTO evidence (id, sha256, kind, subject_kind, subject, producer, trust, produced_at, received_at, claims,"
    " state) VALUES (:id, :sha256, 'data_quality', 'corpus_version', :subject, 'pilotage corpus refresh', 'attested',"
    " :at, :at, :claims, 'accepted')"
).bindparams(bindparam("claims", type_=JSONB))


def attach_quality_report(
    connection: Connection, body: bytes, *, evidence: str, subject: str, claims: Mapping[str, Json], at: datetime
) -> Digest:
    """Store the report and the evidence row `evidence` about `corpus@version`; return the report's digest."""
    digest = digest_of(body)
    connection.execute(_BLOB, {"sha256": digest, "size": len(body), "body": body})
    connection.execute(
        _EVIDENCE, {"id": evidence, "sha256": digest, "subject": subject, "at": at, "claims": dict(claims)}
    )
    return digest

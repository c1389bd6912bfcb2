"""Frozen CAB packs. A pack is written once under the digest of its facts and never changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.dialects.postgresql import insert

from pilotage.core.canonical import Json, canonical_bytes, parse_json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError
from pilotage.store.tables.gates import cab_pack


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPack:
    """One pack as it stands in the database."""

    digest: Digest
    release: Digest
    gate: str
    attempt: int
    facts: Mapping[str, Json]
    as_of: datetime


def add_pack(connection: Connection, pack: StoredPack) -> None:
    """Write a pack; the same facts are written once."""
    row = insert(cab_pack).values(
        digest=pack.digest,
        release=pack.release,
        gate=pack.gate,
        attempt=pack.attempt,
        facts=canonical_bytes(pack.facts),
        as_of=pack.as_of,
    )
    connection.execute(row.on_conflict_do_nothing())


def find_pack(connection: Connection, digest: Digest) -> StoredPack | None:
    """Return a pack by its digest; IntegrityError when its bytes are not what the digest says."""
    row = connection.execute(select(cab_pack).where(cab_pack.c.digest == digest)).mappings().first()
    return None if row is None else _stored(row)


def find_packs(connection: Connection, digests: Collection[Digest]) -> dict[Digest, StoredPack]:
    """Return packs by digest; raises as `find_pack` does."""
    query = select(cab_pack).where(cab_pack.c.digest.in_(list(digests)))
    found = [_stored(row) for row in connection.execute(query).mappings()]
    return {one.digest: one for one in found}


def _stored(row: RowMapping) -> StoredPack:
    body = bytes(row["facts"])
    if digest_of(body) != row["digest"]:
        text = f"The stored CAB pack {row['digest']} was changed in the database."
        raise IntegrityError("PACK_BYTES", text, hint="Restore the database, or reopen the gate and make a new pack.")
    facts = parse_json(body)
    if not isinstance(facts, Mapping):
        raise IntegrityError("PACK_BYTES", f"The stored CAB pack {row['digest']} is no record.")
    return StoredPack(
        digest=Digest(row["digest"]),
        release=Digest(row["release"]),
        gate=row["gate"],
        attempt=row["attempt"],
        facts=facts,
        as_of=row["as_of"],
    )

"""The bytes of evidence in pieces, and the mark that somebody opened a document, by its bytes.

Rule: a piece is read when it is sent, so that no file stands in memory whole; a mark says when these bytes were opened
first and changes no right. Fail mode: a database error.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine, text

from pilotage.core.digest import Digest
from pilotage.core.errors import IntegrityError

PIECE: Final = 1024 * 1024

_INTACT = text(
    "SELECT encode(sha256(body), 'hex') = sha256 AS is_intact, substring(body FROM 1 FOR 64) AS head"
    " FROM blob WHERE sha256 = :sha256 AND length(body) = :size"
)
_PIECE = text("SELECT substring(body FROM :at FOR :most) FROM blob WHERE sha256 = :sha256")
_OPENED = text("INSERT INTO document_opening VALUES (:person, :sha256, :at) ON CONFLICT DO NOTHING")


def first_bytes(connection: Connection, digest: Digest, size: int) -> bytes | None:
    """Return how a file begins, None when bytes of this size are not there; raise IntegrityError for altered ones."""
    found = connection.execute(_INTACT, {"sha256": _bare(digest), "size": size}).one_or_none()
    if found is None:
        return None
    if not found.is_intact:
        raise IntegrityError("VERIFY_BYTES", f"The file {digest} was altered in the store.", hint="Restore a backup.")
    return bytes(found.head)


def pieces(engine: Engine, digest: Digest, size: int) -> Iterator[bytes]:
    """Yield the bytes in order, each piece of its own statement."""
    for start in range(0, size, PIECE):
        with engine.connect() as connection:
            values = {"sha256": _bare(digest), "at": start + 1, "most": PIECE}
            yield bytes(connection.execute(_PIECE, values).scalar_one())


def mark_opened(connection: Connection, person: str, digest: Digest, at: datetime) -> None:
    """Note that a person opened these bytes; the first time stands."""
    connection.execute(_OPENED, {"person": person, "sha256": _bare(digest), "at": at})


def _bare(digest: Digest) -> str:
    return digest.removeprefix("sha256:")

"""Several reads in one statement: one round trip and one snapshot, each read as a list of rows in JSON.

Rule: such a statement returns one text column, a JSON object of row lists; numbers, texts, arrays and JSON come back as
they are, times by name. Fail mode: a row without a column that is asked for raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, Table, TextClause
from sqlalchemy.dialects.postgresql import TIMESTAMP

StoredRow = Mapping[str, Any] | RowMapping
Rows = Sequence[StoredRow]


class Together:
    """The rows of one statement, by the name of each read."""

    def __init__(self, connection: Connection, statement: TextClause, values: Mapping[str, object]) -> None:
        document = connection.execute(statement, values).scalar_one()
        self._found: dict[str, msgspec.Raw] = msgspec.json.decode(document, type=dict[str, msgspec.Raw])

    def rows(self, name: str, *moments: str, of: Table | None = None) -> list[dict[str, Any]]:
        """Return the rows of one read, times as times: the named columns and those of table `of`."""
        rows: list[dict[str, Any]] = msgspec.json.decode(self._found[name]) or []
        times = (*moments, *(() if of is None else _times(of)))
        return [timed(row, times) for row in rows]

    def pieces(self, name: str) -> list[bytes]:
        """Return the rows of one read as the bytes of their JSON, for what is made of a row by those alone."""
        pieces: list[msgspec.Raw] | None = msgspec.json.decode(self._found[name], type=list[msgspec.Raw] | None)
        return [bytes(piece) for piece in pieces or ()]


def timed(row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """Return the row with these columns as times."""
    for column in columns:
        if row[column] is not None:
            row[column] = datetime.fromisoformat(row[column])
    return row


def row_of(piece: bytes, table: Table) -> dict[str, Any]:
    """Return one piece as a row of a table."""
    row: dict[str, Any] = msgspec.json.decode(piece)
    return timed(row, _times(table))


def _times(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if isinstance(column.type, TIMESTAMP))

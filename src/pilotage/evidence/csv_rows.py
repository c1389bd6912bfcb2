"""CSV files from outside as rows by column name.

Rule: the first line names the columns; a row may be shorter (what is missing is empty), never longer. Fail mode:
`Unreadable` with EV_MALFORMED for a quote left open or a row too long, EV_TOO_LARGE beyond the limit of rows.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping

from pilotage.evidence.limits import MAX_ELEMENTS
from pilotage.evidence.source import Content, Source, TextContent, Unreadable

_LONGEST_HEADER = 10_000


def header_of(content: Content) -> tuple[str, ...]:
    """Return the names in the first line in lower case; empty when the content is no text. Never raises."""
    if not isinstance(content, TextContent):
        return ()
    line = content.value[:_LONGEST_HEADER].lstrip().partition("\n")[0].strip()
    try:
        return tuple(cell.strip().lower() for cell in next(csv.reader([line]), []))
    except csv.Error:
        return ()


def has_columns(content: Content, *names: str) -> bool:
    """Tell whether the first line names all these columns."""
    return set(names) <= set(header_of(content))


def csv_rows(source: Source) -> Iterator[Mapping[str, str]]:
    """Yield each row by column name in lower case, empty lines left out."""
    names = header_of(source.content)
    if len(set(names)) != len(names):
        raise Unreadable("EV_MALFORMED", f"{source.name} names a column twice.")
    reader = csv.reader(io.StringIO(source.text.lstrip()), strict=True)
    try:
        next(reader, None)
        for row in reader:
            if len(row) > len(names):
                text = f"Line {reader.line_num} of {source.name} has {len(row)} cells under {len(names)} columns."
                raise Unreadable("EV_MALFORMED", text)
            if reader.line_num > MAX_ELEMENTS:
                raise Unreadable("EV_TOO_LARGE", "The file has too many rows.", limit=f"{MAX_ELEMENTS} rows")
            if row:
                yield dict(zip(names, [*row, *[""] * (len(names) - len(row))], strict=True))
    except csv.Error as error:
        raise Unreadable("EV_MALFORMED", f"Line {reader.line_num} of {source.name} is not CSV: {error}.") from None

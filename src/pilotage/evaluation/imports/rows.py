"""Rows of a JSON, JSON Lines or CSV file, bounded; a line that cannot be read is one case that is skipped."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from pilotage.core.canonical import CanonicalError, Json, parse_json
from pilotage.evaluation.imports.record import MAX_BYTES, MAX_DEPTH, Account, unreadable

_MAX_CELL = 1_000_000


def json_rows(data: bytes, form: str, account: Account) -> Iterator[Json]:
    """Yield the rows of a list, of one object, or of one JSON value a line."""
    _check_size(data, form)
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if text.startswith(b"["):
        try:
            found = parse_json(text, max_depth=MAX_DEPTH)
        except CanonicalError as error:
            raise unreadable(form, error.message, "Write one JSON list, or one JSON object a line.") from None
        assert isinstance(found, list | tuple)
        yield from found
        return
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield parse_json(line, max_depth=MAX_DEPTH)
        except CanonicalError as error:
            account.skip(f"line {number}", f"It is no JSON: {error.message}")


def csv_rows(data: bytes, form: str, account: Account) -> Iterator[dict[str, Json]]:
    """Yield the rows of a CSV file with a header; cells stay text."""
    _check_size(data, form)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise unreadable(form, "it is not UTF-8", "Save it as CSV in UTF-8.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    csv.field_size_limit(_MAX_CELL)
    number = 1
    try:
        for number, row in enumerate(reader, 2):
            if None in row or any(value is None for value in row.values()):
                account.skip(f"row {number}", "It has more or fewer cells than the header.")
            else:
                yield dict(row)
    except csv.Error as error:
        raise unreadable(form, f"row {number + 1}: {error}", "Quote cells that hold commas or quotes.") from None


def _check_size(data: bytes, form: str) -> None:
    if len(data) > MAX_BYTES:
        raise unreadable(form, f"it has {len(data):,} bytes", f"Split it into files of at most {MAX_BYTES:,} bytes.")

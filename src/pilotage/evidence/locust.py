"""Locust's `_stats.csv` (docs.locust.io, retrieving stats in CSV format).

Rule: the Aggregated row must be the sum of the others; percentiles are Locust's own, as nothing in the file can
recount them. Fail mode: EV_INCONSISTENT when it is not, EV_MALFORMED when it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

from pilotage.evidence.csv_rows import csv_rows, has_columns
from pilotage.evidence.json_values import number_in
from pilotage.evidence.load_samples import Totals, load_reading
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, Unreadable

_COUNTS = ("request count", "failure count")


def is_locust(content: Content) -> bool:
    """Tell whether the header is that of Locust's statistics."""
    return has_columns(content, "name", *_COUNTS)


def read_locust(source: Source, context: ReadContext) -> Reading:
    """Read Locust statistics for any `load.*` kind."""
    rows = list(csv_rows(source))
    whole = [row for row in rows if row["name"].strip() == "Aggregated"]
    if len(whole) != 1:
        raise Unreadable("EV_MALFORMED", f"There are {len(whole)} Aggregated rows; Locust writes one, at the end.")
    requests, failures = (_check_sum(rows, whole[0], column) for column in _COUNTS)
    per_second = number_in(whole[0].get("requests/s"))
    totals = Totals(
        requests=requests,
        errors=failures,
        latency={
            name: number_in(whole[0].get(column)) for name, column in (("p50", "50%"), ("p95", "95%"), ("p99", "99%"))
        },
        duration_s=requests / per_second if per_second else None,
    )
    return load_reading(source, context, totals, reader="locust")


def _check_sum(rows: list[Mapping[str, str]], whole: Mapping[str, str], column: str) -> int:
    total = sum(_count(row, column) for row in rows if row is not whole)
    stated = _count(whole, column)
    if total != stated:
        text = f"The Aggregated row states {stated:,} for {column}; the rows give {total:,}."
        raise Unreadable("EV_INCONSISTENT", text, observed=f"{total}", limit=f"{stated}")
    return stated


def _count(row: Mapping[str, str], column: str) -> int:
    value = number_in(row[column])
    if value is None or value < 0 or value != int(value):
        raise Unreadable("EV_MALFORMED", f"{row[column][:40]!r} is no {column}.")
    return int(value)

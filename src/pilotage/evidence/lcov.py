"""lcov tracefiles (`man geninfo`): SF, DA, LF, LH, BRF, BRH per record.

Rule: records of one file (one per test name) are one file. Fail mode: see `coverage_lines`.
"""

from __future__ import annotations

import re

from pilotage.evidence.coverage_lines import LineHits, Stated, coverage_reading, rate_of, total_of
from pilotage.evidence.json_values import number_in
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, TextContent, Unreadable

_SOURCE_FILE = re.compile(r"^SF:", re.MULTILINE)
_TOTALS = ("LF", "LH", "BRF", "BRH")


def is_lcov(content: Content) -> bool:
    """Tell whether the text is a tracefile."""
    return isinstance(content, TextContent) and bool(_SOURCE_FILE.search(content.value))


def read_lcov(source: Source, context: ReadContext) -> Reading:
    """Read an lcov tracefile; one without its last `end_of_record` was cut short."""
    lines = LineHits()
    totals: dict[str, dict[str, float]] = {name: {} for name in _TOTALS}
    file: str | None = None
    for row in source.text.splitlines():
        name, _, value = row.strip().partition(":")
        if name == "SF":
            file = lines.open(value)
        elif name == "end_of_record":
            file = None
        elif file is not None and name == "DA":
            _add_line(lines, file, value)
        elif file is not None and name in totals:
            totals[name][file] = max(totals[name].get(file, 0), _total(name, value))
    if file is not None:
        raise Unreadable("EV_MALFORMED", f"The record of {file[:200]} has no end_of_record.")
    valid = total_of(totals["LF"])
    stated = Stated(
        line_rate=rate_of(total_of(totals["LH"]), valid),
        lines_valid=valid,
        branch_rate=rate_of(total_of(totals["BRH"]), total_of(totals["BRF"])),
    )
    return coverage_reading(source, context, lines, stated, reader="lcov")


def _total(name: str, value: str) -> float:
    found = number_in(value)
    if found is None or found < 0:
        raise Unreadable("EV_MALFORMED", f"{name}:{value[:80]} is no count.")
    return found


def _add_line(lines: LineHits, file: str, value: str) -> None:
    number, _, rest = value.partition(",")
    line, hits = number_in(number), number_in(rest.partition(",")[0])
    if line is None or hits is None:
        raise Unreadable("EV_MALFORMED", f"DA:{value[:80]} is no line with its hits.")
    lines.add(file, int(line), hits)

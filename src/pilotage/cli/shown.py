"""How results look on a terminal: listings whose ids can be copied, and records as nested lines.

Rule: an id, a digest or a time is never cut in a listing; other columns fold. A record shows what is known: what is
None or empty is left out, and `--json` has every field.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}\b")
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d(?:\.\d+)?(?:Z|\+00:00)")

_GAP, _INDENT = 2, 4
# What a last column of sentences needs to be read.
_PROSE = 28


class Listing:
    """Rows under named columns; a column whose name ends in "!" is never cut nor folded.

    Where the terminal is too narrow for a table, a row is a line of its "!" columns with the others below.
    """

    def __init__(self, *columns: str) -> None:
        self._columns = [name.removesuffix("!") for name in columns]
        self._whole = [name.endswith("!") for name in columns]
        self._rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """Add a row of console markup, a cell for each column."""
        self._rows.append(cells)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._needed() <= options.max_width:
            yield self._table()
            return
        for row in self._rows:
            cells = list(zip(row, self._whole, strict=True))
            yield Text.from_markup("  ".join(cell for cell, whole in cells if whole))
            rest = "  ".join(cell for cell, whole in cells if not whole and cell and cell != "-")
            if rest:
                yield Padding(Text.from_markup(rest), (0, 0, 0, _INDENT))

    def _needed(self) -> int:
        """Return how wide the table has to be: as its cells are, save that the last column may fold."""
        widths = [cell_len(name) for name in self._columns]
        for row in self._rows:
            widths = [max(width, Text.from_markup(cell).cell_len) for width, cell in zip(widths, row, strict=True)]
        if not self._whole[-1]:
            widths[-1] = min(widths[-1], _PROSE)
        return sum(widths) + _GAP * (len(widths) - 1)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
        for name, whole in zip(self._columns, self._whole, strict=True):
            table.add_column(name, no_wrap=whole, overflow="fold")
        for row in self._rows:
            table.add_row(*row)
        return table


def minute(moment: str | None) -> str:
    """Return an ISO time in UTC to the minute, `2026-11-23 06:33`."""
    return "-" if moment is None else _MOMENT.sub(r"\1 \2", moment)


def short(text: str) -> str:
    """Return a text with its digests cut to twelve digits, as commands take them."""
    return _DIGEST.sub(r"\1", text)


def print_record(out: Console, record: Mapping[str, Any]) -> None:
    """Print a nested record, two spaces a level."""
    for line in _lines(record, 0):
        out.print(line, soft_wrap=True)


def _lines(record: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, value in record.items():
        name = f"{indent}[bold]{escape(str(key).replace('_', ' '))}[/bold]"
        if value is None or (isinstance(value, str | list | tuple | dict) and not value):
            continue
        if isinstance(value, Mapping):
            yield from _under(name, list(_lines(value, depth + 1)))
        elif isinstance(value, list | tuple):
            yield from _items(name, value, depth)
        else:
            yield f"{name}: {escape(_plain(value))}"


def _items(name: str, values: Collection[Any], depth: int) -> Iterator[str]:
    if not any(isinstance(one, Mapping | list | tuple) for one in values):
        yield f"{name}: {escape(', '.join(map(_plain, values)))}"
        return
    lines: list[str] = []
    for one in values:
        shown = list(_lines(one, 0)) if isinstance(one, Mapping) else [escape(_plain(one))]
        lines += [f"{'  ' * depth}{'  ' if number else '- '}{line}" for number, line in enumerate(shown)]
    yield from _under(name, lines)


def _under(name: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield a name with what stands under it; nothing where nothing does."""
    if lines:
        yield name
        yield from lines


def _plain(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case str():
            return minute(value)
        case _:
            return str(value)

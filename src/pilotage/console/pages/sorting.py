"""Sorted columns: the order stands in the address (`?sort=`), and each heading leads to the same list in another.

Rule: whoever sorts begins with the first page and keeps the filters. Fail mode: an order that is not offered is
ignored, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from pilotage.console.visit import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """The order of a list: `value` is a column, with a minus in front when it descends.

    `offered` are all orders, the default first; `filters` are what else the address says; `asked` is empty in
    the order that nobody asked for.
    """

    value: str
    path: str
    offered: Sequence[str]
    filters: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)

    def direction(self, column: str) -> str:
        """Return `ascending` or `descending` for the column that the list is sorted by, else nothing."""
        if self.value.removeprefix("-") != column:
            return ""
        return "descending" if self.value.startswith("-") else "ascending"

    def address(self, column: str) -> str:
        """Return where the list is sorted by this column, the other way round when it is already."""
        first = next(one for one in self.offered if one.removeprefix("-") == column)
        turned = {"ascending": f"-{column}", "descending": column}.get(self.direction(column), first)
        return f"{self.path}?{urlencode({**self.filters, 'sort': turned})}"


def sorting_of(visit: Visit, offered: Sequence[str], filters: Mapping[str, str]) -> tuple[Sorting, list[str]]:
    """Return the order that the address asks for, and what it asks that is not offered; the first holds by default."""
    wanted = visit.query.get("sort", "")
    is_known = wanted in offered
    found = Sorting(
        value=wanted if is_known else offered[0],
        path=visit.path,
        offered=offered,
        filters=filters,
        asked={"sort": wanted} if is_known else {},
    )
    return found, [f"sort {wanted[:60]}"] if wanted and not is_known else []

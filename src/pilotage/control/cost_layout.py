"""How a cost report stands on paper, page and terminal alike: every number of its facts, and none beside.

Rule: the layout is of the facts alone, so HTML, PDF and JSON cannot differ. Fail mode: what is unknown is the word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pilotage.core.canonical import Json
from pilotage.core.digest import digest_of_json
from pilotage.gate.pack_layout import Block, Grid, Heading, Layout, Note, Pairs

UNKNOWN: Final = "unknown"
_HEAD: Final = ("organisation", "workflow", "month", "as_of", "currency", "live_since")
_PLAN: Final = (
    ("all_phases", "all phases"),
    ("each_month", "each month, once every line has started"),
    ("this_month", "this month"),
    ("first_year", "first year after go-live"),
    ("first_year_and_phases", "first year and phases"),
)
_SPENT: Final = (
    ("people", "answers to people, in production"),
    ("other_traffic", "probes, drills and other traffic there"),
    ("shadow", "shadow and replay answers, as held against their cap"),
    ("evaluation_under_a_cap", "evaluation runs under a cost cap"),
    ("unpriced_answers", "answers without a price"),
)
_QUERY: Final = (
    ("requests", "requests that count"),
    ("answers", "of them answered"),
    ("left_out", "left out: rejected, or the asker left"),
    ("each_request", "cost of a request"),
    ("each_answer", "cost of an answer"),
)
_FORECAST: Final = (
    ("month_ends_at", "the month ends at"),
    ("low", "10th percentile"),
    ("high", "90th percentile"),
    ("how", "how"),
    ("days", "days known"),
    ("through", "through"),
)


def lay_out_costs(facts: Mapping[str, Any]) -> Layout:
    """Return the layout of a report's facts."""
    head = [(name.replace("_", " "), _text(facts[name])) for name in _HEAD]
    head += [("share of common lines", _text(facts["share_of_common_lines"])), ("report", digest_of_json(dict(facts)))]
    plan, lines = facts["plan"], facts["lines"]
    blocks: list[Block] = [Heading(level=1, text="Plan, of common lines this workflow's share"), *_planned(plan)]
    blocks += [Heading(level=1, text="Lines"), _lines(lines) if lines else Note(text="None.")]
    if "spent" in facts:
        blocks += [Heading(level=1, text=f"Spent in {facts['month']}"), _pairs(facts["spent"], _SPENT)]
        blocks += [Heading(level=1, text="What a question costs"), _pairs(facts["per_query"], _QUERY)]
        end = facts["forecast"]
        blocks += [Heading(level=1, text="Where the month ends"), _pairs(end, _FORECAST) if end else Note(text=UNKNOWN)]
    blocks.append(Heading(level=1, text="What is not known"))
    blocks += [Note(text=f"{one['what']}: {one['why']}") for one in facts["unknown"]] or [Note(text="Nothing.")]
    title = f"Costs of {facts['workflow']}, {facts['month']}"
    return Layout(title=title, head=Pairs(rows=tuple(head)), blocks=tuple(blocks))


def _planned(plan: Mapping[str, Any] | None) -> list[Block]:
    if plan is None:
        return [Note(text=UNKNOWN)]
    phases = tuple((one["phase"], one["amount"]) for one in plan["phases"])
    return [Grid(columns=("phase", "paid once"), rows=phases), _pairs(plan, _PLAN)]


def _pairs(values: Mapping[str, Json], names: Sequence[tuple[str, str]]) -> Pairs:
    return Pairs(rows=tuple((words, _text(values.get(name))) for name, words in names))


def _lines(lines: Sequence[Mapping[str, Json]]) -> Grid:
    columns = ("id", "class", "phase", "per", "space", "amount", "own_part", "actual")
    rows = []
    for line in lines:
        actual = line["actual"] if line["actual"] is not None else f"{UNKNOWN}: {line['why_unknown']}"
        place = line["space"] or "-"
        rows.append(
            tuple(_text(value) for value in ({**line, "actual": actual, "space": place}[name] for name in columns))
        )
    return Grid(columns=tuple(name.replace("_", " ") for name in columns), rows=tuple(rows))


def _text(value: Json) -> str:
    return UNKNOWN if value is None else str(value)

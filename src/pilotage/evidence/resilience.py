"""Failover and recovery drills, as our own YAML or JSON.

`drill: failover` (or `recovery`) and `runs: [{at, rto_s, rpo_s, lost_requests}, ...]`. Rule: the worst run counts, lost
requests add up. Fail mode: no run is EV_EMPTY; a number that one run lacks is absent from the claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pilotage.core.canonical import Json
from pilotage.evidence.json_values import as_number, as_text, maps_in
from pilotage.evidence.own_document import document_of, has_value
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, Unreadable
from pilotage.evidence.times import earliest, file_time

_CLAIMS: tuple[tuple[str, Callable[[Iterable[float]], float]], ...] = (
    ("rto_s", max),
    ("rpo_s", max),
    ("lost_requests", sum),
)


def is_failover(content: Content) -> bool:
    """Tell whether the file says `drill: failover`."""
    return has_value(content, "drill", "failover")


def is_recovery(content: Content) -> bool:
    """Tell whether the file says `drill: recovery`."""
    return has_value(content, "drill", "recovery")


def read_drill(source: Source, _context: ReadContext) -> Reading:
    """Read the runs of a failover or recovery drill."""
    document = document_of(source)
    runs = list(maps_in(document.get("runs")))
    if not runs:
        raise Unreadable("EV_EMPTY", "The drill lists no run.", observed="0 runs")
    claims: dict[str, float] = {"runs": len(runs)}
    for name, combine in _CLAIMS:
        values = _numbers([run.get(name) for run in runs], name)
        if len(values) == len(runs):
            claims[name] = combine(values)
    return Reading(
        kind=source.kind,
        reader="own-drill",
        claims=claims,
        summary=", ".join(f"{name} {value:g}" for name, value in claims.items()),
        produced_at=earliest(file_time(as_text(run.get("at"))) for run in runs),
    )


def _numbers(values: Sequence[Json], name: str) -> list[float]:
    found = [number for number in map(as_number, values) if number is not None]
    if any(number < 0 for number in found):
        raise Unreadable("EV_MALFORMED", f"A run has {name} below zero.")
    return found

"""Pilotage's own load format: every request, so that nothing has to be believed.

`{"format": "pilotage.load/1", "target_url": URL, "samples": [[start_ms, elapsed_ms, ok], ...]}`; `start_ms` counts from
1970. Rule and fail mode: see `load_samples`; a row of another shape is EV_MALFORMED.
"""

from __future__ import annotations

from pilotage.evidence.json_values import as_list, as_map, as_number, as_text
from pilotage.evidence.load_samples import Samples, load_reading, totals_of
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable

_FAMILY = "pilotage.load/"
_FORMAT = "pilotage.load/1"


def is_own_load(content: Content) -> bool:
    """Tell whether the JSON names our load format, in any version."""
    return isinstance(content, JsonContent) and as_text(as_map(content.value).get("format")).startswith(_FAMILY)


def read_own_load(source: Source, context: ReadContext) -> Reading:
    """Read our own load report for any `load.*` kind."""
    report = as_map(source.json)
    if report.get("format") != _FORMAT:
        raise Unreadable("EV_UNSUPPORTED", f"{as_text(report.get('format'))[:80]} is not {_FORMAT}.")
    url = as_text(report.get("target_url"))
    samples = Samples()
    for row in as_list(report.get("samples")):
        cells = as_list(row)
        start, elapsed = (as_number(cells[0]), as_number(cells[1])) if len(cells) == 3 else (None, None)
        if start is None or elapsed is None or not isinstance(cells[2], bool):
            raise Unreadable("EV_MALFORMED", f"{str(row)[:80]} is not [start_ms, elapsed_ms, ok].")
        samples.add(start_ms=start, elapsed_ms=elapsed, is_ok=cells[2], url=url)
    return load_reading(source, context, totals_of(samples), reader="own-load")

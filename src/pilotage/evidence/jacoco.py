"""JaCoCo XML coverage (www.jacoco.org/jacoco/trunk/coverage/report.dtd; the DTD is never fetched).

Rule: a line is covered when at least one of its instructions ran (`ci` > 0). Fail mode: a report made without debug
information has no lines and is EV_EMPTY.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from pilotage.evidence.coverage_lines import LineHits, Stated, coverage_reading, rate_of
from pilotage.evidence.json_values import number_in
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, XmlContent
from pilotage.evidence.times import earliest, from_epoch_ms
from pilotage.evidence.xml_tree import local


def is_jacoco(content: Content) -> bool:
    """Tell whether the root is JaCoCo's `report`."""
    if not isinstance(content, XmlContent) or local(content.root.tag) != "report":
        return False
    parts = {local(child.tag) for child in content.root}
    return "counter" in parts and not parts.isdisjoint({"package", "group", "sessioninfo"})


def read_jacoco(source: Source, context: ReadContext) -> Reading:
    """Read a JaCoCo report."""
    root = source.root
    lines = LineHits()
    for package in root.iter("package"):
        for element in package.findall("sourcefile"):
            file = lines.open(f"{package.get('name', '')}/{element.get('name', '')}".lstrip("/"))
            for line in element.findall("line"):
                number = number_in(line.get("nr"))
                if number is not None:
                    lines.add(file, int(number), number_in(line.get("ci")) or 0)
    covered, total = _counter(root, "LINE")
    branches_covered, branches = _counter(root, "BRANCH")
    stated = Stated(
        line_rate=rate_of(covered, total),
        lines_valid=total,
        branch_rate=rate_of(branches_covered, branches),
        produced_at=earliest(from_epoch_ms(number_in(one.get("dump"))) for one in root.findall("sessioninfo")),
    )
    return coverage_reading(source, context, lines, stated, reader="jacoco")


def _counter(root: Element, kind: str) -> tuple[float | None, float | None]:
    """Return `(covered, total)` of the report's own counter."""
    for counter in root.findall("counter"):
        covered, missed = number_in(counter.get("covered")), number_in(counter.get("missed"))
        if counter.get("type") == kind and covered is not None and missed is not None:
            return covered, covered + missed
    return None, None

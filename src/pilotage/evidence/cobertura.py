"""Cobertura XML coverage (cobertura.sourceforge.net/xml/coverage-04.dtd; the DTD is never fetched).

Rule: lines come from the classes, not from their methods, which repeat them. Fail mode: see `coverage_lines`.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from pilotage.evidence.coverage_lines import LineHits, Stated, coverage_reading, line_number
from pilotage.evidence.json_values import number_in
from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Content, Source, XmlContent
from pilotage.evidence.times import from_epoch_ms
from pilotage.evidence.xml_tree import local

_FIRST_MILLISECONDS = 1e11  # in seconds this is the year 5138, in milliseconds 1973


def is_cobertura(content: Content) -> bool:
    """Tell whether the root is Cobertura's: `coverage` with packages or a line rate, unlike Clover's."""
    if not isinstance(content, XmlContent) or local(content.root.tag) != "coverage":
        return False
    return "line-rate" in content.root.attrib or content.root.find("packages") is not None


def read_cobertura(source: Source, context: ReadContext) -> Reading:
    """Read a Cobertura report."""
    root = source.root
    lines = LineHits()
    for element in root.iter("class"):
        _add_class(lines, element)
    stated = Stated(
        line_rate=number_in(root.get("line-rate")),
        lines_valid=number_in(root.get("lines-valid")),
        branch_rate=number_in(root.get("branch-rate")),
        produced_at=from_epoch_ms(_milliseconds(root.get("timestamp"))),
    )
    return coverage_reading(source, context, lines, stated, reader="cobertura")


def _add_class(lines: LineHits, element: Element) -> None:
    file = lines.open(element.get("filename", ""))
    for block in element.findall("lines"):
        for line in block.findall("line"):
            lines.add(file, line_number(line.get("number"), file), number_in(line.get("hits")) or 0)


def _milliseconds(text: str | None) -> float | None:
    value = number_in(text)
    if value is None:
        return None
    return value if value >= _FIRST_MILLISECONDS else value * 1000

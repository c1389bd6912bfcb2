"""ZAP's XML report, traditional and with requests and responses (gates.md 2.6).

Rule: each alert counts once per request it was seen on; confidence `false positive` hides nothing. Fail mode: no site
is EV_EMPTY; sites without any alert are unproven clean, because the report does not list the pages it visited.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element  # only the record type; parsing is ours (xml_tree.py)

from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.scan_result import ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.severity import ZAP_RISKS, of_word
from pilotage.evidence.source import Content, Source, XmlContent
from pilotage.evidence.times import file_time

READER = "ZAP"
_FALSE_POSITIVE = "0"


def is_zap(content: Content) -> bool:
    """Tell ZAP's report by its root element."""
    return isinstance(content, XmlContent) and content.root.tag == "OWASPZAPReport"


def read_zap(source: Source, context: ReadContext) -> Reading:
    """Return the findings of all sites; raise Unreadable as the module says."""
    del context
    root = source.root
    sites = root.findall(".//site")
    if not sites:
        raise nothing_scanned(READER, "site")
    target = (sites[0].get("name") or "").strip()
    result = ScanResult(
        tools=(READER,),
        findings=tuple(finding for site in sites for finding in _findings(site)),
        targets=len(sites),
        is_proven=False,
        produced_at=file_time(root.get("generated")),
        refs={"target_url": target[:500]} if target else {},
    )
    return scan_reading(source.kind, READER, result)


def _findings(site: Element) -> Iterator[ToolFinding]:
    for alert in site.iter("alertitem"):
        places = [_place(instance) for instance in alert.iter("instance")] or [_text(alert, "uri")]
        for place in dict.fromkeys(places):
            yield ToolFinding(
                rule=_text(alert, "pluginid") or "no plugin",
                severity=of_word(_text(alert, "riskcode"), ZAP_RISKS) or Severity.UNKNOWN,
                title=(_text(alert, "name") or _text(alert, "alert"))[:500],
                component=(site.get("name") or "").strip(),
                location=place[:500],
                suppressed=_text(alert, "confidence") == _FALSE_POSITIVE,
            )


def _place(instance: Element) -> str:
    return " ".join(part for part in (_text(instance, name) for name in ("method", "uri", "param")) if part)


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()

"""Our own search for secrets over all parts of a release, and the reader of what it wrote (gates.md 2.3).

The file is JSON: `{"pilotage": "secrets/1", "release", "at", "files_scanned", "findings": [{"part", "path", "line",
"type", "verified"}]}`. It never holds a value that was found. Rule: every text part is searched, by the
recognisers the guards use; the first 1,000 findings are listed. Fail mode: parts that are no text are not counted as
scanned; a file without a scanned part is EV_EMPTY.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.evidence.json_values import as_map, as_text
from pilotage.evidence.records import ReadContext, Reading, Severity, ToolFinding
from pilotage.evidence.scan_result import SECRETS, ScanResult, nothing_scanned, scan_reading
from pilotage.evidence.shapes import count_of, objects
from pilotage.evidence.source import Content, JsonContent, Source, Unreadable
from pilotage.evidence.times import file_time
from pilotage.guard.secrets import has_secret

READER = "Pilotage secrets"
FORMAT = "secrets/1"
MOST_LISTED: Final = 1_000


def search_parts(parts: Mapping[str, Mapping[str, bytes]], *, release: Digest, at: datetime) -> dict[str, Json]:
    """Return the report over `parts`: part name -> path in the part -> content."""
    scanned = 0
    findings: list[Json] = []
    for part, files in sorted(parts.items()):
        for path, data in sorted(files.items()):
            text = _text(data)
            if text is None:
                continue
            scanned += 1
            findings += [
                {"part": part, "path": path, "line": line, "type": "SECRET", "verified": False}
                for line in _lines_with_secrets(text)
            ]
    return {
        "pilotage": FORMAT,
        "release": release,
        "at": to_text(at),
        "files_scanned": scanned,
        "findings": findings[:MOST_LISTED],
    }


def secrets_reading(report: Mapping[str, Json]) -> Reading:
    """Return what the readers make of a report of `search_parts` over at least one text file."""
    source = Source(data=b"", name="sealed parts", kind=SECRETS, content=JsonContent(value=report))
    return read_own_secrets(source, ReadContext())


def is_own_secrets(content: Content) -> bool:
    """Tell our own report by its format mark."""
    return isinstance(content, JsonContent) and as_text(as_map(content.value).get("pilotage")).startswith("secrets/")


def read_own_secrets(source: Source, context: ReadContext) -> Reading:
    """Return what the search found; raise Unreadable as the module says."""
    del context
    report = as_map(source.json)
    if report.get("pilotage") != FORMAT:
        raise Unreadable("EV_UNSUPPORTED", "This version of the report is not read.", limit=FORMAT)
    scanned = count_of(report.get("files_scanned"), "files_scanned")
    if not scanned:
        raise nothing_scanned(READER, "scanned file")
    listed = objects(report.get("findings"), "findings")
    findings = [_finding(one) for one in listed]
    release = as_text(report.get("release"))
    result = ScanResult(
        tools=(READER,),
        findings=tuple(findings),
        targets=scanned,
        verified=frozenset(
            finding.key for one, finding in zip(listed, findings, strict=True) if one.get("verified") is True
        ),
        produced_at=file_time(as_text(report.get("at"))),
        refs={"release": release} if release else {},
    )
    return scan_reading(source.kind, READER, result)


def _finding(one: Mapping[str, Json]) -> ToolFinding:
    kind = as_text(one.get("type")) or "SECRET"
    return ToolFinding(
        rule=kind,
        severity=Severity.CRITICAL,
        title=f"A value that looks like a {kind.lower()}",
        component=as_text(one.get("part")),
        location=f"{as_text(one.get('path'))}:{one.get('line')}",
    )


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _lines_with_secrets(text: str) -> Sequence[int]:
    if not has_secret(text):
        return ()
    found = [number for number, line in enumerate(text.splitlines(), start=1) if has_secret(line)]
    # A secret over several lines (a private key) is in the text and in no single line of it.
    return found or [1]

"""The single door: bytes in, a `Reading` or a refusal out (gates.md 2.2, 2.3).

Rule: content decides the format, the table decides which kinds it can be, and claims leave only as finite numbers of
their kind. Fail mode: a `ReadRefusal` with an EV_ code; a file no reader knows is EV_KIND_MISMATCH, never a pass.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from pilotage.core.located import nearest
from pilotage.core.reason import Reason
from pilotage.evidence.limits import MAX_FINDINGS, MAX_NAMES
from pilotage.evidence.opening import open_bytes
from pilotage.evidence.records import ReadContext, Reading, ReadRefusal
from pilotage.evidence.report_table import LAST_FORMATS, REPORT_FORMATS
from pilotage.evidence.scan_table import SCAN_FORMATS
from pilotage.evidence.source import Content, Format, Source, TextOf, Unreadable, no_text
from pilotage.workspace.evidence_kinds import KINDS

FORMATS: tuple[Format, ...] = (*REPORT_FORMATS, *SCAN_FORMATS, *LAST_FORMATS)
"""Every format, first match wins."""

READ_BY: Final = "read_by"
"""Reference of a reading: which reader of which version made it."""

DOCUMENT_CLAIMS = frozenset({"complete", "missing_sections", "placeholders", "words", "valid_days"})


def read_evidence(
    data: bytes, *, kind: str | None, name: str, context: ReadContext, text_of: TextOf = no_text
) -> Reading | ReadRefusal:
    """Return what a file says, or why it cannot count.

    `kind` as the uploader named it, None to detect it; `name` is for messages only; `text_of` extracts the text of a
    PDF or Word document. Never raises for anything in `data`.
    """
    try:
        return _read(data, kind=kind, name=name, context=context, text_of=text_of)
    except Unreadable as refused:
        return ReadRefusal(reason=replace(refused.reason, where=name))
    except RecursionError:
        return ReadRefusal(reason=Reason(code="EV_TOO_LARGE", text="The file is nested too deeply.", where=name))


def _read(data: bytes, *, kind: str | None, name: str, context: ReadContext, text_of: TextOf) -> Reading:
    if kind is not None and kind not in KINDS and not kind.startswith("document."):
        meant = nearest(kind, KINDS)
        instead = f"Write {meant}." if meant else f"Write one of {', '.join(sorted(KINDS))} or document.TYPE."
        raise Unreadable("EV_KIND_MISMATCH", f"There is no evidence kind {kind!r}. {instead}", observed=kind)
    content = open_bytes(data, kind=kind)
    found = _format(content, kind, name)
    decided = kind if kind is not None else found.detected_kind
    if decided is None:
        listed = ", ".join(found.kinds)
        example = found.kinds[0].replace("*", "TYPE")
        text = f"{name} is read as {found.id}, which can be {listed}. Name its kind: --kind {example}, say."
        raise Unreadable("EV_KIND_MISMATCH", text)
    source = Source(data=data, name=name, kind=decided, content=content, text_of=text_of)
    reading = found.read(source, context)
    return replace(
        reading,
        claims=_own_claims(reading),
        findings=reading.findings[:MAX_FINDINGS],
        refs={**reading.refs, READ_BY: found.named},
        names={purpose: listed[:MAX_NAMES] for purpose, listed in reading.names.items()},
    )


def _format(content: Content, kind: str | None, name: str) -> Format:
    alike = [candidate for candidate in FORMATS if candidate.looks_like(content)]
    if not alike:
        raise Unreadable("EV_KIND_MISMATCH", f"No reader knows the format of {name}.", observed=type(content).__name__)
    for candidate in alike:
        if kind is None or any(fnmatchcase(kind, pattern) for pattern in candidate.kinds):
            return candidate
    seen = ", ".join(candidate.id for candidate in alike)
    raise Unreadable("EV_KIND_MISMATCH", f"{name} is {seen}, which is no {kind} evidence.", observed=seen, limit=kind)


def _own_claims(reading: Reading) -> dict[str, float]:
    """Keep the finite claims that the kind knows: a NaN or an unknown name is absent, and absent is inconclusive."""
    known = DOCUMENT_CLAIMS if reading.kind.startswith("document.") else KINDS.get(reading.kind, frozenset())
    return {name: value for name, value in reading.claims.items() if name in known and math.isfinite(value)}

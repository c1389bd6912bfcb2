"""`pilotage evidence open`: the file behind an item, as it was handed in; a document is marked as opened by the person.

Rule: whoever may read evidence gets its bytes, never rendered; what was refused is not handed out. The mark is of the
bytes, so a changed document is unread again; it changes no right. Fail mode: a Refusal; IntegrityError for altered
bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pilotage.control.instance import Instance
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason, Refusal
from pilotage.evidence.limits import MAX_BYTES
from pilotage.evidence.records import Evidence, EvidenceState
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.store.evidence import evidence_by_id
from pilotage.store.evidence_files import first_bytes, mark_opened, pieces

DOCUMENT: Final = "document."
_ENDINGS: Final = ((b"%PDF-", "pdf"), (b"PK", "docx"), (b"<", "xml"), (b"{", "json"), (b"[", "json"))
"""How a file's first bytes name it; anything else is text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """A file to keep. `pieces` reads it once, in order; `size` is in bytes."""

    evidence: str
    sha256: Digest
    size: int
    name: str
    pieces: Callable[[], Iterator[bytes]]


def open_evidence(
    instance: Instance, *, actor: Principal, evidence: str, is_look: bool = False
) -> EvidenceFile | Refusal:
    """Return the file of an item; raise NotFound. `is_look`: only what it is, so that nothing is marked."""
    with instance.engine.begin() as connection:
        item = evidence_by_id(connection, evidence)
        refusal = _not_given(item)
        if refusal is not None:
            return refusal
        head = first_bytes(connection, item.sha256, item.size)
        if head is None:
            return _no("EVIDENCE_ERASED", f"The file of {evidence} is not kept any more; its numbers are.", evidence)
        is_person = actor.kind is PrincipalKind.PERSON and not is_look
        if is_person and item.kind.startswith(DOCUMENT):
            mark_opened(connection, str(actor.person or actor.id), item.sha256, instance.clock.now())
    return EvidenceFile(
        evidence=item.id,
        sha256=item.sha256,
        size=item.size,
        name=f"{item.kind}-{item.id}.{_ending(head)}",
        pieces=lambda: pieces(instance.engine, item.sha256, item.size),
    )


def _ending(head: bytes) -> str:
    return next((name for start, name in _ENDINGS if head.lstrip().startswith(start)), "txt")


def _not_given(item: Evidence) -> Refusal | None:
    if item.state is EvidenceState.REJECTED:
        why = "" if item.reason is None else f" {item.reason.text}"
        return _no("EVIDENCE_REJECTED", f"The file was refused when it came and is not handed out.{why}", item.id)
    if item.size > MAX_BYTES:
        text = f"The file has {item.size:,} bytes; at most {MAX_BYTES:,} are handed out."
        return _no("EV_TOO_LARGE", text, item.id)
    return None


def _no(code: str, text: str, evidence: str) -> Refusal:
    return Refusal(reasons=(Reason(code=code, text=text, where=evidence),))

"""Evidence: what one item says, its file to keep, and how one is brought in the browser, bound to the page's release.

Rule: whoever brings it is a person, so it is `claimed`; the file's content decides what it is, not its name. Fail mode:
a file that cannot be read is kept as rejected evidence, and the page says why.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilotage.console.reply import File, Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.attach_evidence import OWN_KINDS, Bringer, Upload, attach_evidence
from pilotage.control.evidence_reports import show_evidence
from pilotage.control.evidence_text import text_of
from pilotage.control.open_evidence import open_evidence
from pilotage.core.errors import UsageError
from pilotage.core.reason import Refusal
from pilotage.workspace.gate import Gate


def show(visit: Visit) -> Page:
    """Show one item as its reader understood it: claims, findings, and what stands behind it."""
    found = show_evidence(visit.reading, visit.params["evidence"])
    return Page(
        template="evidence.html", title=f"Evidence {found['kind']}", about=str(found["id"]), values={"found": found}
    )


def download(visit: Visit) -> Reply | Refusal:
    """Hand out the file as it was brought; a document counts as opened by the person from then on."""
    is_look = visit.method == "HEAD"
    found = open_evidence(visit.instance, actor=visit.actor, evidence=visit.params["evidence"], is_look=is_look)
    return found if isinstance(found, Refusal) else File(pieces=found.pieces, size=found.size, filename=found.name)


def bring(visit: Visit) -> Reply | Refusal:
    """Read the file and bind it to the release."""
    digest, sent = visit.params["digest"], visit.files.get("file")
    if sent is None:
        raise UsageError("FILE_MISSING", "Choose the file to bring.")
    bringer = Bringer(actor=visit.actor, space=visit.typed("space") or None, text_of=text_of)
    upload = Upload(
        name=sent.filename or "", data=sent.data, kind=visit.typed("kind") or None, suite=visit.typed("suite").strip()
    )
    done = attach_evidence(visit.instance, bringer=bringer, release=digest, uploads=[upload])
    return done if isinstance(done, Refusal) else Redirect(to=f"/releases/{digest}?brought={done[0].id}#evidence")


def asked_kinds(gates: Sequence[Gate]) -> list[str]:
    """Return the kinds of evidence that these gates ask of people and their tools, each once, in order."""
    halves = [half for gate in gates for half in (gate.pre, gate.post) if half is not None]
    kinds = {kind for half in halves for criterion in half.criteria for kind in criterion.of}
    kinds |= {f"document.{name}" for half in halves for name in half.documents}
    return sorted(kind for kind in kinds if kind not in OWN_KINDS and not kind.startswith("fact."))

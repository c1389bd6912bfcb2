"""Seal: what would this workflow be as a release, and do I seal it? One form, bound to the digest that is shown.

Rule: the page shows the draft that sealing itself would make; when anything of it moved since, nothing is sealed (409).
Fail mode: a draft that may not be sealed says every reason, and its control is disabled.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.console.pages.release import PART_WORDS
from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.control.draft_release import Draft, view_draft
from pilotage.control.seal_release import seal_release
from pilotage.core.digest import Digest, short
from pilotage.core.errors import UsageError
from pilotage.core.ids import WorkflowName
from pilotage.core.reason import Reason, Refusal
from pilotage.release.manifest import PartKind, read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftPart:
    """One part of the draft. `is_changed` None: there is no release before it."""

    word: str
    digest: Digest
    is_changed: bool | None


def show_seal(visit: Visit) -> Page:
    """Show what would be sealed, and the form that seals it."""
    name = visit.params["workflow"]
    found, may_not = view_draft(visit.reading, actor=visit.actor, workflow=name)
    draft = None if isinstance(found, Refusal) else found
    against: tuple[Reason, ...] = found.reasons
    return Page(
        template="seal.html",
        title=f"Seal {name}",
        values={
            "workflow": visit.instance.workspace.workflows[WorkflowName(name)],
            "draft": draft,
            "parts": () if draft is None else _parts(draft),
            "against": against,
            "may_not_seal": () if may_not is None else may_not.reasons,
        },
    )


def _parts(draft: Draft) -> list[DraftPart]:
    head = draft.head
    before = None if head is None else read_manifest(head.manifest, digest=head.digest).parts
    now = draft.manifest.parts
    return [
        DraftPart(
            word=PART_WORDS[kind], digest=now[kind], is_changed=None if before is None else before[kind] != now[kind]
        )
        for kind in PartKind
    ]


def seal(visit: Visit) -> Reply | Refusal:
    """Seal what the page showed."""
    if not visit.typed("expects"):
        raise UsageError("EXPECTS_MISSING", "The form does not say what it seals. Open the page again.")
    done = seal_release(
        visit.instance,
        actor=visit.actor,
        workflow=visit.params["workflow"],
        note=visit.typed("note").strip(),
        expects=visit.typed("expects"),
    )
    return done if isinstance(done, Refusal) else Redirect(to=f"/releases/{short(done.digest)}")

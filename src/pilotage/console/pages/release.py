"""Release: what is this, and may it move? Also what changed since another release, and its verification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pilotage.console.pages.evidence import asked_kinds
from pilotage.console.reply import Page, Redirect, Reply
from pilotage.console.visit import Visit
from pilotage.console.words import Status
from pilotage.console.words import gate_status as gate_word
from pilotage.control.attach_evidence import bringing_refused
from pilotage.control.change_mitigation import MitigationChange, change_mitigation
from pilotage.control.decided_gates import Decided
from pilotage.control.evaluate_release import EvaluationRequest, start_evaluation
from pilotage.control.promote_release import promote_release
from pilotage.control.release_reports import diff_named
from pilotage.control.space_diff import Entering, changes_ahead
from pilotage.control.verify_release import verify_release
from pilotage.control.view_release import view_release
from pilotage.core.digest import Digest, short
from pilotage.core.errors import NotFound
from pilotage.core.reason import Reason, Refusal
from pilotage.evaluation.run import EvaluationRun
from pilotage.gate.pack_layout import text_of
from pilotage.identity.roles import Action, may
from pilotage.release.authorship import Author
from pilotage.release.manifest import PartKind
from pilotage.space.settings import Tier
from pilotage.store.evaluation_runs import find_run
from pilotage.store.lineage import Ancestor
from pilotage.store.releases import named_release
from pilotage.store.served import Served

PART_WORDS = {
    PartKind.PROMPT: "Prompt",
    PartKind.MODEL: "Model",
    PartKind.RETRIEVAL: "Retrieval settings",
    PartKind.CORPUS: "Corpus version",
    PartKind.GUARD: "Guard policy",
    PartKind.TOOLS: "Tool policy",
    PartKind.EGRESS: "Egress policy",
    PartKind.GOLDEN: "Golden set",
}


_PPM: Final = 10_000
"""Millionths in a percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """One part. `version` counts its distinct digests in the lineage; `is_changed` None: there is no parent."""

    kind: str
    word: str
    digest: Digest
    version: int
    is_changed: bool | None
    authors: Sequence[Author]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One release of the lineage and the parts it changed."""

    ancestor: Ancestor
    changed: Sequence[str]


def show_release(visit: Visit) -> Page:
    """Show one release with parts, lineage and where it takes traffic."""
    view = view_release(visit.reading, visit.params["digest"])
    stored, workspace = view.release, visit.instance.workspace
    served = {route.space: route for route in view.served if route.workflow == stored.workflow}
    refusal = bringing_refused(visit.actor)
    return Page(
        template="release.html",
        title=f"{stored.workflow} {short(stored.digest)}",
        about=stored.digest,
        values={
            "release": stored,
            "workflow": workspace.workflows.get(stored.workflow),
            "parts": _parts(view.line, view.authors),
            "steps": _steps(view.line),
            "gates": [
                (report, gate_word(report.status.value), _was(view.decided.get(report.gate, ())))
                for report in view.reports
            ],
            "live": live_in(view.served, stored.digest),
            "stopping": next((report for report in view.reports if not report.status.is_approved), None),
            "ahead": view.ahead,
            "evidence": sorted(view.evidence, key=lambda item: item.received_at, reverse=True),
            "brought": next((item for item in view.evidence if item.id == visit.query.get("brought")), None),
            "kinds": asked_kinds(list(workspace.gates.values())),
            "may_not_bring": () if refusal is None else refusal.reasons,
            "run": _run(visit, stored.digest),
            "may_not_evaluate": _why_not(visit, Action.ATTACH_CLAIMED),
            "mitigations": [(one, one.state(visit.instance.clock.now()).value) for one in view.mitigations],
            "may_not_mitigate": _why_not(visit, Action.MITIGATE),
            "may_not_promote": _may_nowhere(visit, Action.PROMOTE),
            "may_not_roll_out": _may_nowhere(visit, Action.ROLLOUT_UP),
            "changes_ahead": [_changing(one) for name, one in changes_ahead(workspace).items() if name not in served],
            "spaces": [(workspace.spaces[name], served.get(name)) for name in workspace.order],
        },
    )


def live_in(served: Sequence[Served], release: Digest) -> list[str]:
    """Return where this release answers people; as a candidate, how much of the step's cohort meets it."""
    found = []
    for route in served:
        name = route.space.replace("-space", "")
        if route.stable == release:
            found.append(name)
        elif route.candidate == release and route.fraction_ppm:
            found.append(f"{name} (candidate, {route.fraction_ppm / _PPM:g} % of its cohort)")
    return found


def _changing(one: Entering) -> tuple[str, Entering, Sequence[tuple[str, str, str]]]:
    return one.space, one, [(of.key, text_of(of.before), text_of(of.after)) for of in one.changes]


def _was(decided: Sequence[Decided]) -> tuple[Decided, Status] | None:
    """Return what was decided at a gate last, with its word."""
    return (decided[0], gate_word(decided[0].status.value)) if decided else None


def _may_nowhere(visit: Visit, action: Action) -> tuple[Reason, ...]:
    """Return why the person may do this in no tier at all; () when some tier is open to them."""
    refusals = [may(visit.actor.roles, action, within=tier.value) for tier in Tier]
    missing = [refusal for refusal in refusals if refusal is not None]
    return missing[-1].reasons if len(missing) == len(refusals) else ()


def _run(visit: Visit, release: Digest) -> EvaluationRun | None:
    """Return the run that was just asked for, when it is one of this release."""
    name = visit.query.get("run")
    if name is None:
        return None
    with visit.reading.engine.connect() as connection:
        found = find_run(connection, name)
    return found if found is not None and found.release == release else None


def _why_not(visit: Visit, action: Action) -> tuple[Reason, ...]:
    refusal = may(visit.actor.roles, action)
    return () if refusal is None else refusal.reasons


def promote(visit: Visit) -> Reply | Refusal:
    """Let the release into a space."""
    digest = visit.params["digest"]
    done = promote_release(visit.instance, actor=visit.actor, release=digest, space=visit.typed("space"))
    return done if isinstance(done, Refusal) else Redirect(to=f"/releases/{digest}")


def change_mitigated(visit: Visit) -> Reply | Refusal:
    """Give a mitigation another owner or day."""
    change = MitigationChange(
        reason=visit.typed("reason"),
        owner=visit.typed("owner").strip() or None,
        due=visit.typed("due").strip() or None,
    )
    done = change_mitigation(visit.instance, actor=visit.actor, name=visit.typed("mitigation"), change=change)
    return done if isinstance(done, Refusal) else Redirect(to=f"/releases/{visit.params['digest']}#mitigations")


def evaluate(visit: Visit) -> Reply | Refusal:
    """Ask the release its golden set; a worker drives the run, and its result comes as evidence."""
    digest = visit.params["digest"]
    request = EvaluationRequest(
        release=digest, space=visit.typed("space") or None, baseline=visit.typed("baseline").strip() or None
    )
    done = start_evaluation(visit.instance, actor=visit.actor, request=request)
    return done if isinstance(done, Refusal) else Redirect(to=f"/releases/{digest}?run={done.id}#evaluate")


def _parts(line: Sequence[Ancestor], authors: Mapping[Digest, Sequence[Author]]) -> list[PartRow]:
    this = line[0].manifest
    parent = line[1].manifest if len(line) > 1 else None
    return [
        PartRow(
            kind=str(kind),
            word=PART_WORDS[kind],
            digest=this.parts[kind],
            version=len({one.manifest.parts[kind] for one in line}),
            is_changed=None if parent is None else parent.parts[kind] != this.parts[kind],
            authors=authors.get(this.parts[kind], ()),
        )
        for kind in PartKind
    ]


def _steps(line: Sequence[Ancestor]) -> list[Step]:
    """Return the line from the first release on."""
    found: list[Step] = []
    for place, one in enumerate(line):
        before = line[place + 1].manifest if place + 1 < len(line) else None
        changed = [
            PART_WORDS[kind]
            for kind in PartKind
            if before is not None and before.parts[kind] != one.manifest.parts[kind]
        ]
        found.append(Step(ancestor=one, changed=changed))
    return found[::-1]


def show_changes(visit: Visit) -> Page:
    """Show what changed since the parent, or since the release named in `since`."""
    name = visit.params["digest"]
    with visit.reading.engine.connect() as connection:
        stored = named_release(connection, name)
        since = visit.query.get("since") or stored.parent
    if since is None:
        message = f"Release {name} has no parent: it is the first of {stored.workflow}."
        raise NotFound("RELEASE_FIRST", message, hint="Open it to see its parts.")
    diff = diff_named(visit.reading, since, stored.digest)
    return Page(
        template="changes.html",
        title=f"Changes in {short(stored.digest)}",
        about=stored.digest,
        values={"release": stored, "diff": diff, "words": {str(kind): word for kind, word in PART_WORDS.items()}},
    )


def show_verification(visit: Visit) -> Page:
    """Recompute every digest, the signature and the ledger inclusion, and show each check."""
    found = verify_release(visit.reading, visit.params["digest"])
    return Page(template="verification.html", title="Verification of a release", values={"found": found})

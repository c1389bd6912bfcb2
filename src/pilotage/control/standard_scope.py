"""Whether a release may go by a template now: how it differs from the one before, and what our own runs found.

Rule: asked anew whenever its gates are decided, so that a permission widened or a leak found later ends it; a template
lets nothing by that one of its approvers made or sealed. Fail mode: what is not known is outside the template, and the
gates ask for people again.
"""

from __future__ import annotations

from pilotage.control.gate_case import Chain
from pilotage.control.release_diffs import diffs_of
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.evidence.fresh import age_of, window_of
from pilotage.evidence.records import EvidenceState
from pilotage.gate.eligibility import maker_problem
from pilotage.gate.standard import Moved, Standing, approval_of, board_gate, scope_problems
from pilotage.release.diff import Flag
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.acl_changes import Span
from pilotage.store.acl_changes import moved as corpus_moves
from pilotage.store.releases import find_release, load_release
from pilotage.store.standards import came_by_its_gates, find_template
from pilotage.workspace.gate import Trust


def standing_of(chain: Chain) -> Standing | None:
    """Return by which template a release goes now, or why it no longer does; None when it never was to.

    Judged once a chain. With several templates the one that holds counts, else the newest says why not.
    """
    if chain.standard is None and chain.changes:
        judged = [Standing(change=one, against=against_template(chain, one.template)) for one in chain.changes]
        chain.standard = next((one for one in judged if one.holds), judged[0])
    return chain.standard


def against_template(chain: Chain, name: str) -> tuple[Reason, ...]:
    """Return everything that stands between a release and a template; nothing means it may go by it."""
    template = chain.templates.get(name) or find_template(chain.connection, name)
    board = board_gate(chain.instance.workspace.gates.values())
    if template is None or board is None:
        text = f"There is no template {name!r}, or no gate has a board."
        return (Reason(code="STANDARD_OUT_OF_SCOPE", text=text, where=name),)
    if template.workflow != chain.stored.workflow:
        text = f"Template {name} is of {template.workflow}, not of {chain.stored.workflow}."
        return (Reason(code="STANDARD_OUT_OF_SCOPE", text=text, where=name),)
    approval = approval_of(template, board, chain.roster, chain.now)
    made = (maker_problem(person, chain.release) for person in approval.by)
    return (
        *approval.missing,
        *(reason for reason in made if reason is not None),
        *scope_problems(template, moved_since_parent(chain)),
    )


def moved_since_parent(chain: Chain) -> Moved:
    """Return how the release differs from its parent, which must have come into production by its gates."""
    connection, stored = chain.connection, chain.stored
    regressions, leaks = _worst(chain, "evaluation", "regressions"), _worst(chain, "permissions", "leaks")
    parent = None if stored.parent is None else find_release(connection, stored.parent)
    if parent is None:
        return Moved(is_from_production=False, regressions=regressions, leaks=leaks)
    spaces = chain.instance.workspace.production_spaces
    before = read_manifest(parent.manifest, digest=parent.digest)
    (diff,) = diffs_of(connection, [(before, chain.manifest)])
    changes = diff.corpus.values()
    is_other_corpus = any(part.kind is PartKind.CORPUS and not part.is_same for part in diff.parts)
    is_known = all(one.documents_before for one in changes)
    flags = {str(flag) for flag in diff.flags}
    if any(corpus_moves(connection, (), _spans(chain, parent.digest))[1].values()):
        flags.add(str(Flag.ACL_WIDENED))
    return Moved(
        is_from_production=came_by_its_gates(connection, parent.digest, spaces),
        parts=frozenset(str(part.kind) for part in diff.parts if not part.is_same),
        documents=max((one.documents for one in changes), default=None if is_other_corpus else 0),
        documents_before=min((one.documents_before for one in changes), default=0) if is_known else None,
        flags=tuple(sorted(flags)),
        regressions=regressions,
        leaks=leaks,
    )


def _spans(chain: Chain, since: Digest) -> list[Span]:
    """Return the release's corpora from the parent's seal until now: permissions move without a release."""
    content = load_release(chain.connection, chain.stored.digest)
    return [(pin.name, since, None) for pin in content.corpora.values()]


def _worst(chain: Chain, kind: str, claim: str) -> float | None:
    """Return the worst of a claim over our own runs of a kind on this release that are in time; None without one."""
    runs = [
        item.claims.get(claim)
        for item in chain.evidence
        if item.kind == kind
        and item.state is EvidenceState.ACCEPTED
        and item.trust is Trust.ATTESTED
        and age_of(item, chain.now) <= window_of(item.kind)
    ]
    if not runs or None in runs:
        return None
    return max(value for value in runs if value is not None)

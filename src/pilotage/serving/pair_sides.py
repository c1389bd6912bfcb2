"""One side of a pair: what a release said to a question, as a scorer may see it and as it is kept.

Rule: only redacted text is taken, and every document behind it is named, so that a takedown finds it. Fail mode: an
answer that cannot be compared fairly (its asker left, permissions moved, the server was full) names why, and the pair
is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pilotage.evaluation.pair_scorer import Shown, both_failed
from pilotage.release.model import Provider
from pilotage.serving.context import Checked, Guarded, Received, Retrieved
from pilotage.serving.headless import Walked
from pilotage.serving.outcome import RequestOutcome, outcome_of_content
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.run import Finished
from pilotage.workspace.records import Workspace

_UNFAIR: Final = {
    Code.PERMISSION_CHANGED: "permissions_moved",
    Code.RECORDER_SATURATED: "saturated",
    Code.SPACE_PAUSED: "paused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """`documents` are `<corpus>/<document>` of every passage shown; `acl` the permission state it was decided under.

    `cost_nano` None: what the answer cost is unknown. `lost`: why it cannot be compared.
    """

    shown: Shown
    documents: frozenset[str] = frozenset()
    acl: tuple[str, int] | None = None
    cost_nano: int | None = 0
    lost: str | None = None


def stable_side(finished: Finished, workspace: Workspace) -> Side:
    """Return the side of the release that answered the asker."""
    if finished.result is None:
        return Side(shown=Shown(question="", text=None), lost="client_gone")
    refusal = finished.result if isinstance(finished.result, Refusal) else None
    return _side(finished.context, refusal, workspace)


def walked_side(walked: Walked, workspace: Workspace) -> Side:
    """Return the side of a release that was asked unseen."""
    return _side(walked.context, walked.refusal, workspace)


def moved_between(first: Side, second: Side) -> str | None:
    """Return why two sides cannot be compared: one is lost, both failed, or permissions moved between them."""
    lost = first.lost or second.lost or both_failed(first.shown, second.shown)
    if lost is not None or first.acl is None or second.acl is None:
        return lost
    is_same_corpus = first.acl[0] == second.acl[0]
    return "permissions_moved" if is_same_corpus and first.acl[1] != second.acl[1] else None


def _side(context: Received, refusal: Refusal | None, workspace: Workspace) -> Side:
    question = context.question.stored if isinstance(context, Guarded) else ""
    documents, acl = _seen(context)
    if refusal is not None or not isinstance(context, Checked) or _is_broken(context):
        failed = Shown(question=question, text=None)
        lost = None if refusal is None else _UNFAIR.get(refusal.code)
        return Side(shown=failed, documents=documents, acl=acl, lost=lost, cost_nano=_cost(context, workspace))
    verdict, found = context.verdict, context.retrieval.found
    shown = Shown(
        question=question,
        text=verdict.stored,
        refusal=verdict.refusal,
        sources={one.passage.marker: f"{one.passage.heading}\n{one.passage.text}" for one in found},
        language=_language(context, workspace),
    )
    return Side(shown=shown, documents=documents, acl=acl, cost_nano=_cost(context, workspace))


def _seen(context: Received) -> tuple[frozenset[str], tuple[str, int] | None]:
    if not isinstance(context, Retrieved):
        return frozenset(), None
    retrieval = context.retrieval
    documents = frozenset(f"{one.corpus}/{one.passage.document}" for one in retrieval.found)
    return documents, None if retrieval.corpus is None else (retrieval.corpus, retrieval.acl_generation)


def _is_broken(context: Checked) -> bool:
    findings = (*context.question.findings, *context.retrieval.findings, *context.verdict.findings)
    return outcome_of_content(context.verdict.refusal, findings) is RequestOutcome.ERROR_GUARD


def _cost(context: Received, workspace: Workspace) -> int | None:
    """Return what the answer cost; the built-in and an unmetered model cost nothing."""
    if not isinstance(context, Checked) or context.release.content.model.provider is Provider.EXTRACTIVE:
        return 0
    workflow = workspace.workflows.get(context.asked.workflow)
    prices = context.release.content.prices_by(None if workflow is None else workflow.model)
    known = context.generation.cost_nano
    return known or 0 if prices is not None and prices.unmetered is not None else known


def _language(context: Checked, workspace: Workspace) -> str:
    corpus = context.release.content.corpora.get(context.place.space.data_stage)
    settings = None if corpus is None else workspace.corpora.get(corpus.name)
    return "en" if settings is None else settings.language

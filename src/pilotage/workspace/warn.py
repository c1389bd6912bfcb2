"""Warnings about a valid workspace: what is allowed, and will hurt later.

Rule: a warning names what will happen, not a style. Fail mode: none; warnings never block.
"""

from __future__ import annotations

from datetime import timedelta

from pilotage.core.durations import format_duration
from pilotage.core.located import Located, Problems
from pilotage.core.pins import PinKind
from pilotage.core.urls import place_of
from pilotage.corpus.cadence import longest_gap, parse_cadence
from pilotage.corpus.settings import CorpusSettings, ancestry
from pilotage.guard.policy import Action, unlisted_model
from pilotage.release.model import Provider
from pilotage.release.residency import embedding_host, fits_embedding, fits_model, unlisted_providers
from pilotage.release.subprocessors import DOCUMENT, listed_subprocessors
from pilotage.space.settings import Tier
from pilotage.workspace.gate import Gate
from pilotage.workspace.people import IdentityMode
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Workflow


def warn_workspace(workspace: Workspace, top: Located, problems: Problems) -> None:
    """Add every warning that needs more than one file."""
    _warn_local_production(workspace, top, problems)
    _warn_unguarded(workspace, problems)
    for workflow in workspace.workflows.values():
        _warn_workflow(workflow, workspace, problems)
    for gate in workspace.gates.values():
        _warn_gate(gate, workspace, problems)
    _warn_corpora(workspace, problems)


def _at(file: str) -> Located:
    return Located(file=file, line=0, path="", node=None)


def _warn_local_production(workspace: Workspace, top: Located, problems: Problems) -> None:
    production = sorted(space.name for space in workspace.spaces.values() if space.tier is Tier.PRODUCTION)
    if production and workspace.identity.mode is IdentityMode.LOCAL:
        what = f"Production spaces ({', '.join(production)}) are served with local identity, and marked so"
        problems.warn(top, what, "Configure identity: oidc before real use.")


def _warn_unguarded(workspace: Workspace, problems: Problems) -> None:
    guarded = {gate.guards for gate in workspace.gates.values()}
    for space in workspace.spaces.values():
        is_open = space.tier is not Tier.SANDBOX and space.name not in guarded
        if is_open and not (space.tier is Tier.PRODUCTION and "production" in guarded):
            what = f"No gate guards the space {space.name!r}"
            problems.warn(_at(f"spaces/{space.name}.yaml"), what, "Write a gate with guards: its name.")


def _warn_workflow(workflow: Workflow, workspace: Workspace, problems: Problems) -> None:
    folder = f"workflows/{workflow.name}/"
    for check in workflow.guard.checks:
        if check.id == "grounding" and check.action is Action.BLOCK:
            what = "The embedded grounding score is a signal and its action is block"
            problems.warn(_at(f"{folder}guard.yaml"), what, "Write action: flag, unless a model scorer is configured.")
    if not workflow.golden:
        what = "The workflow has no golden case, so its release cannot be sealed"
        problems.warn(_at(f"{folder}golden"), what, "Write golden/NAME.jsonl.")
    for space in workspace.spaces.values():
        if space.data_stage not in workflow.retrieval.corpora:
            what = f"The space {space.name!r} reads {space.data_stage} data and this workflow names no such corpus"
            hint = f"Write corpus: {{{space.data_stage}: NAME}}; until then it cannot be served there."
            problems.warn(_at(f"{folder}retrieval.yaml"), what, hint)
        region = workflow.model.region
        if space.tier is Tier.PRODUCTION and region is not None and not fits_model(workflow.model, space):
            what = f"The model stands in {region!r}, which is not a region of {space.name!r}"
            problems.warn(_at(f"{folder}model.yaml"), what, "Promotion there will be refused: RESIDENCY.")
        aim = space.scaling.target_latency_ms
        if space.tier is Tier.PRODUCTION and aim is not None and aim >= workflow.sla_p95_ms:
            what = f"target_latency_ms {aim:,} of {space.name!r} is not below sla.p95_ms {workflow.sla_p95_ms:,}"
            problems.warn(_at(f"spaces/{space.name}.yaml"), what, "The space would scale only after the SLA is missed.")
    _warn_embedding(workflow, workspace, problems)
    _warn_egress(workflow, problems)
    _warn_subprocessor(workflow, problems)
    if workflow.model.provider is not Provider.EXTRACTIVE and workflow.model.region is None:
        what = f"The model {workflow.model.model!r} has no region, so residency cannot be checked"
        problems.warn(_at(f"{folder}model.yaml"), what, "Write region.")


def _warn_embedding(workflow: Workflow, workspace: Workspace, problems: Problems) -> None:
    embedding, place = workflow.retrieval.embedding, _at(f"workflows/{workflow.name}/retrieval.yaml")
    if embedding is None:
        return
    if embedding.pin_kind is PinKind.FLOATING:
        what = f"The embedding model {embedding.model!r} is a floating alias that can change under you"
        hint = "It will be refused from staging on; write pin: {kind: dated, id: VERSION}, a revision or weights."
        problems.warn(place, what, hint)
    prices = workflow.model.prices
    if embedding_host(embedding) is not None and (prices is None or prices.embedding_nano is None):
        what = f"The embedding model {embedding.model!r} has no price, so no cost of an answer is known"
        problems.warn(place, what, "Write prices: {currency, input, output, embedding} in model.yaml.")
    where = "an unknown region" if embedding.region is None else repr(embedding.region)
    for space in workspace.spaces.values():
        if space.tier is Tier.PRODUCTION and not fits_embedding(embedding, space):
            what = f"The embedding model stands in {where}, which is not a region of {space.name!r}"
            problems.warn(place, what, "Promotion there will be refused: RESIDENCY.")


def _warn_egress(workflow: Workflow, problems: Problems) -> None:
    embedding = workflow.retrieval.embedding
    endpoint = None if embedding is None or embedding.path is not None else embedding.endpoint
    places = {"model": workflow.model.base_url, "embedding model": endpoint}
    for what, address in places.items():
        if address is None:
            continue
        unlisted = unlisted_model(workflow.guard.egress, *place_of(address), what=what)
        if unlisted is not None:
            problems.warn(_at(f"workflows/{workflow.name}/guard.yaml"), *unlisted)


def _warn_subprocessor(workflow: Workflow, problems: Problems) -> None:
    document = workflow.documents.get(DOCUMENT)
    if document is None:
        return
    place = _at(f"workflows/{workflow.name}/{document.file}")
    try:
        listed = listed_subprocessors(document.notes)
    except ValueError as error:
        problems.warn(place, "The list of subprocessors cannot be read", str(error))
        return
    for problem in unlisted_providers(workflow.model, workflow.retrieval.embedding, listed):
        what = f"Of the models of this workflow: {problem}"
        problems.warn(place, what, "List it under subprocessors; until then promotion is refused: RESIDENCY.")


def _warn_gate(gate: Gate, workspace: Workspace, problems: Problems) -> None:
    halves = [half for half in (gate.pre, gate.post) if half is not None]
    needed = {signoff.role: signoff.count for half in halves for signoff in half.signoffs}
    for role, count in needed.items():
        held = len(workspace.roster.get(role, ()))
        if held < count:
            what = f"The gate {gate.name!r} needs {count} of {role.value!r} and the roster has {held}"
            problems.warn(_at("pilotage.yaml"), what, "Give the role to more people; the gate cannot be approved.")
    seated = {seat.role for seat in workspace.seats}
    for half in halves:
        for role in half.board.seats if half.board is not None else ():
            if role not in seated:
                what = f"The seat {role.value!r} of the gate {gate.name!r} has no holder"
                problems.warn(_at("pilotage.yaml"), what, "Name a holder under board: seats; an empty seat blocks.")
    for workflow in workspace.workflows.values():
        _warn_targets(gate, workflow, problems)


def _warn_targets(gate: Gate, workflow: Workflow, problems: Problems) -> None:
    prefix = "workflow.targets."
    halves = [half for half in (gate.pre, gate.post) if half is not None]
    conditions = [condition for half in halves for criterion in half.criteria for condition in criterion.all]
    for path in sorted({condition.path or "" for condition in conditions}):
        metric = path.removeprefix(prefix) if path.startswith(prefix) else ""
        if metric and metric not in workflow.targets:
            what = f"The gate {gate.name!r} compares with targets.{metric}, which this workflow does not set"
            hint = "Write it; until then the criterion is inconclusive, which blocks."
            problems.warn(_at(f"workflows/{workflow.name}/workflow.yaml"), what, hint)


def _warn_corpora(workspace: Workspace, problems: Problems) -> None:
    for corpus in workspace.corpora.values():
        place = _at(f"corpora/{corpus.name}/corpus.yaml")
        is_silent = not corpus.acl and not corpus.acl_rules and "acl" not in corpus.fields
        if is_silent and corpus.derived_from is None:  # a derived corpus inherits the ACLs of its source
            what = f"The corpus {corpus.name!r} has no ACL: only rows that bring their own are readable"
            problems.warn(place, what, "Write acl, acl_rules or acl.yaml.")
        if corpus.retention_days is None:
            what = f"The corpus {corpus.name!r} has no retention, which the compliance gate asks for"
            problems.warn(place, what, "Write retention: 2557d or the like.")
        _warn_acl_age(corpus, workspace, problems)


def _warn_acl_age(corpus: CorpusSettings, workspace: Workspace, problems: Problems) -> None:
    """Warn where refreshes cannot confirm ACLs as often as `acl_max_age` promises; a derived corpus waits for both."""
    if corpus.acl_max_age is None:
        return
    place = _at(f"corpora/{corpus.name}/corpus.yaml")
    limit = format_duration(corpus.acl_max_age)
    gaps = [longest_gap(parse_cadence(one.cadence)) for one in ancestry(corpus, workspace.corpora) if one.cadence]
    if corpus.cadence is None:
        what = f"ACLs of {corpus.name!r} go stale {limit} after each refresh, and nothing refreshes it by itself"
        problems.warn(place, what, "Write a cadence; until then all its documents vanish that long after a refresh.")
    elif corpus.acl_max_age <= sum(gaps, timedelta()):
        gap = format_duration(sum(gaps, timedelta()))
        what = f"ACLs of {corpus.name!r} go stale after {limit}, and up to {gap} lie between two confirmations"
        problems.warn(
            place, what, "In between all its documents vanish. Write a longer acl_max_age or a closer cadence."
        )

"""Step 3, route: which release answers (serving.md 4, rollouts.md 3).

Pins, cohort and sticky hash choose the arm; who comes from an unhealthy space meets stable; a candidate that is not
loaded or was withdrawn leaves its askers with stable. Provider and corpus must stand where the space allows. Fail mode:
stable not loaded answers nobody (`no_release_loaded`), withdrawn answers nobody (`release_withdrawn`).
"""

from __future__ import annotations

from pilotage.release.residency import fits_documents, fits_embedding, fits_model
from pilotage.release.stages import stage_problem
from pilotage.rollout.assignment import assign
from pilotage.serving.context import Admitted, Routed
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.refusal import Code, Refusal
from pilotage.serving.routing import Arm, Release, RoutingRow, effective_split, shadowed_for
from pilotage.serving.service import Serving
from pilotage.serving.steps.extend import extend


async def route(context: Admitted, serving: Serving) -> Routed | Refusal:
    """Pick the release by the row the request was admitted with."""
    table, row, principal = serving.routing, context.place.row, context.asker.principal
    if row.evicted:
        message = "This process does not hold what was approved, so it answers nobody here. Another one may."
        return Refusal(code=Code.NO_RELEASE_LOADED, message=message, retry_after_s=1)
    split = effective_split(row, confirmed_s_ago=serving.monotonic() - table.confirmed_at)
    arm = assign(split, principal=principal.id, groups=principal.groups)
    if context.admission.failover_from is not None:
        arm = Arm.STABLE
    digest = row.candidate if arm is Arm.CANDIDATE else row.stable
    if arm is Arm.CANDIDATE and not table.is_serving(digest):
        arm, digest = Arm.STABLE, row.stable
    if digest is not None and digest in table.withdrawn:
        return Refusal(
            code=Code.RELEASE_WITHDRAWN, message="The release that served this model was withdrawn.", retry_after_s=30
        )
    if digest is None and row.closed is not None:
        return _closed(row, serving)
    if digest is None or digest not in table.releases:
        return Refusal(
            code=Code.NO_RELEASE_LOADED, message="No release of this model is loaded here yet.", retry_after_s=5
        )
    release = table.releases[digest]
    refusal = _residency(context, release, serving)
    if refusal is not None:
        return refusal
    counts = context.asker.kind is TrafficKind.USER and principal.id not in row.split.pins
    if counts and arm is Arm.CANDIDATE:
        serving.admissions.count(row.space, row.workflow, digest)
    sampled = None
    if counts and arm is Arm.STABLE and serving.has_shadow:
        sampled = shadowed_for(row, context.interaction, confirmed_s_ago=serving.monotonic() - table.confirmed_at)
    return extend(context, Routed, release=release, arm=arm, shadowed_for=sampled)


def _closed(row: RoutingRow, serving: Serving) -> Refusal:
    workflow = serving.workspace.workflows.get(row.workflow)
    owner = None if workflow is None else serving.workspace.people.get(workflow.owner)
    whom = "its owner" if owner is None else f"its owner {owner.name}"
    why = "is not released here yet" if row.closed == "not_released" else "is closed for maintenance"
    return Refusal(
        code=Code.NO_AUTHORISED_RELEASE,
        message=f"{row.workflow} {why}; ask {whom}.",
        retry_after_s=30,
    )


def _residency(context: Admitted, release: Release, serving: Serving) -> Refusal | None:
    space, content = context.place.space, release.content
    if not fits_model(content.model, space) or not fits_embedding(content.retrieval.embedding, space):
        return Refusal(
            code=Code.RESIDENCY_MISMATCH, message="The model of this release may not be used in this space's region."
        )
    corpora = serving.workspace.corpora
    problem = stage_problem(content, space, corpora)
    if problem is not None:
        return Refusal(code=Code.NO_RELEASE_LOADED, message=problem, retry_after_s=30)
    pin = content.corpora.get(space.data_stage)
    if pin is not None and not fits_documents(pin, space, corpora):
        return Refusal(
            code=Code.RESIDENCY_MISMATCH,
            message="The documents of this release may not be used in this space's region.",
        )
    return None

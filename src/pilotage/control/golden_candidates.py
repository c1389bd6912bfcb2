"""From feedback to a candidate of the golden set, and the list of what waits for a steward (evaluation.md 2.6).

Rule: a candidate holds no person: question and correction are redacted, the asker is the persona that may see exactly
the same revisions. Fail mode: no such persona blocks the candidate; a question whose text is gone makes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection

from pilotage.control.instance import Instance
from pilotage.control.permission_suite import fingerprint_of
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName, WorkflowName, new_ulid
from pilotage.core.located import did_you_mean
from pilotage.core.reason import Refusal
from pilotage.evaluation.candidate import NO_PERSONA, Candidate, CandidateState, Origin, equal_persona
from pilotage.evaluation.twins import Twins
from pilotage.identity.principal import Principal, acl_names
from pilotage.identity.roles import Action, may
from pilotage.store.evaluation_facts import version_facts
from pilotage.store.feedback import StoredFeedback
from pilotage.store.golden_candidates import (
    UNDECIDED,
    add_candidate,
    join_candidate,
    list_candidates,
    lock_golden,
)
from pilotage.store.interactions import StoredInteraction, interaction_by_id
from pilotage.workspace.principals import persona_principal
from pilotage.workspace.workflow import Workflow


def propose_from_feedback(
    instance: Instance, connection: Connection, feedback: StoredFeedback, found: StoredInteraction
) -> str | None:
    """Make a candidate of a correction, or join the one that asks the same; return its id, None for neither."""
    if not feedback.correction or not found.question:
        return None
    workflow = instance.workspace.workflows.get(WorkflowName(found.workflow))
    if workflow is None:
        return None
    asker = persona_for(connection, workflow, found)
    people = tuple(dict.fromkeys((found.principal, feedback.principal)))
    identifier = new_ulid(feedback.at)
    row: dict[str, Json] = {
        "id": f"feedback-{identifier.lower()}",
        "question": found.question,
        "as": asker,
        "expect": {"answer": feedback.correction},
        "cluster": _conversation(found),
        "provenance": {
            "origin": Origin.FEEDBACK.value,
            "source": found.id,
            "date": feedback.at.date().isoformat(),
        },
    }
    candidate = Candidate(
        id=identifier,
        workflow=workflow.name,
        state=CandidateState.BLOCKED if asker is None else CandidateState.OPEN,
        origin=Origin.FEEDBACK,
        row=row,
        sources=(found.id,),
        asked_by=people,
        blocked_by=NO_PERSONA if asker is None else "",
        at=feedback.at,
    )
    lock_golden(connection, workflow.name)
    twin = Twins(list_candidates(connection, workflow.name, UNDECIDED)).find(candidate)
    if twin is not None:
        join_candidate(connection, twin, source=found.id, asked_by=people)
        return twin.id
    add_candidate(connection, candidate)
    return identifier


def persona_for(connection: Connection, workflow: Workflow, found: StoredInteraction) -> str | None:
    """Return the persona whose allowed set is the one the interaction was answered with; None for none."""
    personas = sorted(workflow.evaluation.personas)
    if found.corpus is None or found.corpus_version is None:
        return personas[0] if personas else None  # nothing was to be seen, so everybody sees the same
    facts = version_facts(connection, CorpusName(found.corpus), found.corpus_version)
    day: date = found.as_of or found.at.date()
    seen = {
        name: fingerprint_of(facts.readable_revisions(acl_names(persona_principal(workflow, name)), day))
        for name in personas
    }
    return equal_persona(str(found.detail.get("allowed_fingerprint") or ""), seen)


def persona_now(connection: Connection, workflow: Workflow, candidate: Candidate) -> str | None:
    """Look again for the persona of a blocked candidate, by the interaction it came from."""
    found = interaction_by_id(connection, candidate.sources[0]) if candidate.origin is Origin.FEEDBACK else None
    return None if found is None else persona_for(connection, workflow, found)


def _conversation(found: StoredInteraction) -> str:
    return str(found.detail.get("conversation") or found.id)


def known_workflow(instance: Instance, name: str) -> Workflow:
    """Return a declared workflow; raise NotFound with the nearest known name."""
    found = instance.workspace.workflows.get(WorkflowName(name))
    if found is None:
        hint = did_you_mean(name, sorted(map(str, instance.workspace.workflows)), instead="Declared workflows")
        raise NotFound("WORKFLOW_UNKNOWN", f"There is no workflow {name[:80]!r}.", hint=hint)
    return found


def candidates_of(
    instance: Instance, *, actor: Principal, workflow: str | None = None, decided: bool = False
) -> dict[str, Any] | Refusal:
    """Return the candidates that wait for a decision, oldest first; `decided` returns the others."""
    refusal = may(actor.roles, Action.EDIT_GOLDEN)
    if refusal is not None and may(actor.roles, Action.TRIAGE) is not None:
        return refusal
    name = None if workflow is None else known_workflow(instance, workflow).name
    states: Sequence[CandidateState] = (CandidateState.ACCEPTED, CandidateState.REJECTED) if decided else UNDECIDED
    with instance.engine.connect() as connection:
        found = list_candidates(connection, name, states)
    now = instance.clock.now()
    return {"candidates": [candidate_record(one) | {"overdue": one.is_overdue(now)} for one in found]}


def candidate_record(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as CLI and API show it; nobody who asked is in it."""
    row: Mapping[str, Json] = candidate.row
    return {
        "candidate": candidate.id,
        "workflow": candidate.workflow,
        "state": candidate.state.value,
        "origin": candidate.origin.value,
        "row": dict(row),
        "asked": len(candidate.sources),
        "blocked_by": candidate.blocked_by,
        "at": to_text(candidate.at),
        "decided_at": None if candidate.decided_at is None else to_text(candidate.decided_at),
        "reason": candidate.reason,
        "golden": candidate.golden,
    }

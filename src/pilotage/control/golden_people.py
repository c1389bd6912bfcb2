"""Who may propose and decide cases of golden sets (evaluation.md 2.6).

Rule: a declared person only, so that all their accounts are known; a steward of the files that are meant, where none is
named whoever may edit golden sets; never who asked or brought the candidate, and never an author of the workflow's
prompt. Fail mode: a Refusal with every reason; an author nobody knows lets nobody decide.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from pilotage.control.declared_person import person_problem
from pilotage.control.instance import Instance
from pilotage.core.ids import WorkflowName
from pilotage.core.reason import Reason, Refusal
from pilotage.evaluation.candidate import Candidate
from pilotage.identity.principal import Principal, local_principal_id
from pilotage.identity.roles import Action, may
from pilotage.release.authorship import persons
from pilotage.release.manifest import PartKind, read_manifest
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.releases import authors_of_parts, releases_of

UNKNOWN_AUTHOR: Final = "unknown"


def undeclared(actor: Principal) -> Refusal | None:
    """Refuse an account that belongs to no declared person: nobody could tell what else they did under another."""
    problem = person_problem(actor, "brings or decides a case")
    return None if problem is None else Refusal(reasons=(problem,))


def may_decide(
    instance: Instance, connection: Connection, actor: Principal, candidate: Candidate, stewards: frozenset[str]
) -> Refusal | None:
    """Return None when the actor may decide about the candidate, else every reason why not.

    `stewards` are those named for the files that the case could join.
    """
    nobody = undeclared(actor)
    if nobody is not None:
        return nobody
    me = actor.person
    reasons: list[Reason] = []
    refusal = may(actor.roles, Action.EDIT_GOLDEN)
    if stewards and me not in stewards:
        named = ", ".join(sorted(stewards))
        text = f"The golden set has its stewards; only they decide about its cases: {named}."
        reasons.append(Reason(code="NOT_STEWARD", text=text, observed=str(me), limit=named))
    elif not stewards and refusal is not None:
        reasons += refusal.reasons
    if _names_of(instance, connection, actor) & set(candidate.asked_by):
        text = "You asked the question or brought the case; somebody else decides about it."
        reasons.append(Reason(code="OWN_CANDIDATE", text=text, where=candidate.id))
    authors = _prompt_authors(connection, candidate.workflow)
    if me in authors:
        text = "You are an author of this workflow's prompt; whoever writes it does not choose what it is measured by."
        reasons.append(Reason(code="PROMPT_AUTHOR", text=text, where=candidate.workflow, observed=str(me)))
    elif UNKNOWN_AUTHOR in authors:
        text = "A prompt of this workflow has an author whose address belongs to nobody here."
        hint = "Add the address to that person in pilotage.yaml and seal again."
        reasons.append(Reason(code="PROMPT_AUTHOR_UNKNOWN", text=f"{text} {hint}", where=candidate.workflow))
    return Refusal(reasons=tuple(reasons)) if reasons else None


def _names_of(instance: Instance, connection: Connection, actor: Principal) -> set[str]:
    """Return every pseudonym of a person: that of each account they have."""
    accounts = {str(actor.id)}
    declared = instance.workspace.people.get(actor.person) if actor.person is not None else None
    if declared is not None:
        accounts |= {str(local_principal_id(declared.id)), *map(str, declared.accounts)}
    return {pseudonym_of(connection, one) for one in sorted(accounts)}


def _prompt_authors(connection: Connection, workflow: WorkflowName) -> frozenset[str]:
    prompts = {
        read_manifest(one.manifest, digest=one.digest).parts[PartKind.PROMPT]
        for one in releases_of(connection, workflow)
    }
    found = authors_of_parts(connection, sorted(prompts))
    return frozenset(str(person) for authors in found.values() for person in persons(authors))

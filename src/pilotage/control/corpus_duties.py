"""Who may refresh and decide about a corpus: its steward and owner by corpus.yaml, and who builds its releases.

Rule: with `review: two_person` nobody accepts a version they triggered; `single` lets the steward do both, which the
record shows. Fail mode: a Refusal naming who may; edges turn it into exit code 3.
"""

from __future__ import annotations

from pilotage.control.corpus_entries import person_of
from pilotage.control.instance import Instance
from pilotage.core.errors import NotFound
from pilotage.core.ids import CorpusName
from pilotage.core.reason import Reason, Refusal
from pilotage.corpus.settings import CorpusSettings, Review
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, Role, may

NOT_PERMITTED = frozenset({"NOT_PERMITTED", "NOT_STEWARD", "SECOND_PERSON_NEEDED"})
"""Codes of refusals about the person, not about the version."""


def settings_of(instance: Instance, corpus: CorpusName) -> CorpusSettings:
    """Return the corpus's settings; raise NotFound naming those that exist."""
    found = instance.workspace.corpora.get(corpus)
    if found is None:
        known = ", ".join(sorted(instance.workspace.corpora)) or "none"
        message = f"There is no corpus {corpus!r}."
        raise NotFound("CORPUS_UNKNOWN", message, hint=f"Declared in corpora/: {known}.")
    return found


def corpus_roles(settings: CorpusSettings, actor: Principal) -> frozenset[Role]:
    """Return the actor's roles, with the one that owner and steward of this corpus hold."""
    derived = {Role.CORPUS_STEWARD} if actor.person in {settings.owner, settings.steward} else set()
    return actor.roles | derived


def may_refresh(settings: CorpusSettings, actor: Principal | None) -> Refusal | None:
    """Return None when the actor may trigger a refresh: owner, steward, who edits parts, or the schedule (None)."""
    if actor is None:
        return None
    roles = corpus_roles(settings, actor)
    if Role.CORPUS_STEWARD in roles or may(roles, Action.EDIT_PARTS) is None:
        return None
    return _no(
        "NOT_PERMITTED",
        f"Refreshing {settings.name} takes its owner {settings.owner}, its steward {settings.steward}, or a builder.",
    )


def may_decide(settings: CorpusSettings, actor: Principal) -> Refusal | None:
    """Return None when the actor is owner or steward of this corpus."""
    return may(corpus_roles(settings, actor), Action.ACCEPT_VERSION)


def may_accept(settings: CorpusSettings, actor: Principal | None, *, triggered_by: str) -> Refusal | None:
    """Return None when the actor may accept a version that `triggered_by` made."""
    if actor is None:
        return _no("NOT_STEWARD", "The schedule proposes versions; a person accepts them.")
    refusal = may_decide(settings, actor)
    if refusal is not None:
        return refusal
    if triggered_by != person_of(actor):
        return None
    if settings.review is Review.TWO_PERSON:
        return _no(
            "SECOND_PERSON_NEEDED",
            f"{settings.name} is reviewed by two people and you triggered this refresh; "
            f"ask {settings.owner if actor.person == settings.steward else settings.steward}.",
        )
    if actor.person != settings.steward:
        return _no("NOT_STEWARD", f"Only the steward {settings.steward} may accept a refresh of their own.")
    return None


def _no(code: str, text: str) -> Refusal:
    return Refusal(reasons=(Reason(code=code, text=text),))

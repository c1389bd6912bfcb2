"""`pilotage gate standard-propose | standard-sign | standard`: small changes that the board approved in advance.

Rule: who edits policy proposes a template, every seat and then the sponsor approve it, none of them its proposer or an
editor of the rules; who may promote into staging, and made nothing of the release, declares that it goes by one. Scope
is judged here and again whenever its gates are decided. Fail mode: a Refusal with every reason; nothing changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.control.declared_person import person_problem
from pilotage.control.gate_case import open_chain
from pilotage.control.gate_entries import change_data, template_data, template_vote_data
from pilotage.control.gate_roster import EDITOR_SPAN, notice_changes, roster_of
from pilotage.control.instance import Instance
from pilotage.control.record_entry import record
from pilotage.control.sign_gate import parse_decision, vote_refusal
from pilotage.control.standard_scope import against_template
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.errors import NotFound
from pilotage.core.ids import PersonId, WorkflowName, new_ulid
from pilotage.core.reason import Reason, Refusal
from pilotage.gate.eligibility import MIN_COMMENT, editor_problem, login_problem
from pilotage.gate.emergency import person_problems
from pilotage.gate.records import Login, Roster
from pilotage.gate.standard import (
    DEFAULT_PARTS,
    MAX_DOCUMENTS,
    MAX_SHARE,
    Approval,
    StandardChange,
    StandardTemplate,
    TemplateVote,
    approval_of,
    approver_problem,
    board_gate,
    template_json,
    template_problems,
)
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.principal import Principal
from pilotage.identity.roles import Action, may, parse_role
from pilotage.ledger.entry import EntryKind
from pilotage.space.settings import Tier
from pilotage.store.gate_people import delegations, editors, tenures
from pilotage.store.releases import named_release
from pilotage.store.standards import (
    add_change,
    add_template,
    add_template_vote,
    changes_of,
    find_template,
    list_templates,
)
from pilotage.workspace.gate import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRequest:
    """What a template is to allow, and why such changes need nobody."""

    reason: str
    parts: tuple[str, ...] = DEFAULT_PARTS
    max_share: float = MAX_SHARE
    max_documents: int = MAX_DOCUMENTS


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateBallot:
    """One seat's decision about a template."""

    role: str
    decision: str
    comment: str = ""
    login: Login | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A template and where it stands."""

    template: StandardTemplate
    approval: Approval

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return template_json(self.template, self.approval)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A release that goes by a template. `until`: when the template's approval ends."""

    change: StandardChange
    until: datetime
    created: bool = True

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "change": self.change.id,
            "release": self.change.release,
            "template": self.change.template,
            "declared_by": self.change.declared_by,
            "declared_at": to_text(self.change.declared_at),
            "until": to_text(self.until),
            "created": self.created,
        }


def propose_template(
    instance: Instance, *, actor: Principal, workflow: str, request: TemplateRequest
) -> Proposed | Refusal:
    """Put a template before the board."""
    refusal = may(actor.roles, Action.EDIT_POLICY)
    if refusal is not None:
        return refusal
    if WorkflowName(workflow) not in instance.workspace.workflows:
        known = ", ".join(sorted(instance.workspace.workflows))
        raise NotFound("WORKFLOW_UNKNOWN", f"There is no workflow {workflow!r}.", hint=f"Declared: {known}.")
    parts = tuple(sorted(set(request.parts)))
    reasons = (
        *_nobody(actor),
        *_too_short(request.reason, "--reason"),
        *template_problems(parts, max_share=request.max_share, max_documents=request.max_documents),
    )
    if reasons:
        return Refusal(reasons=reasons)
    gate = _board(instance)
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        one = StandardTemplate(
            id=new_ulid(now),
            workflow=WorkflowName(workflow),
            parts=parts,
            max_share=request.max_share,
            max_documents=request.max_documents,
            reason=request.reason.strip(),
            proposed_by=PersonId(str(actor.person)),
            proposed_at=now,
        )
        add_template(connection, one)
        data, opened = template_data(one), {"reason": one.reason, "person": one.proposed_by}
        record(
            connection, EntryKind.GATE_STANDARD_PROPOSED, actor=actor, at=now, subject=one.id, data=data, opened=opened
        )
        return Proposed(template=one, approval=approval_of(one, gate, _roster(connection, instance), now))


def sign_template(instance: Instance, *, actor: Principal, name: str, ballot: TemplateBallot) -> Proposed | Refusal:
    """Record a seat's decision about a template."""
    role, decision, gate = parse_role(ballot.role), parse_decision(ballot.decision), _board(instance)
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        notice_changes(connection, instance, now)
        one = find_template(connection, name, lock=True)
        if one is None:
            raise _no_template(name)
        roster = _roster(connection, instance)
        vote = TemplateVote(
            id=new_ulid(now), person=PersonId(str(actor.person or actor.id)), role=role, decision=decision, at=now
        )
        refusal = vote_refusal(actor.roles, gate.name)
        about = (
            *_nobody(actor),
            *(() if refusal is None else refusal.reasons),
            approver_problem(vote.person, role, gate, roster, now),
            editor_problem(vote.person, editors(connection, since=now - EDITOR_SPAN), now),
        )
        reasons = _vote_reasons(instance, actor, one, vote, ballot, about)
        if reasons:
            return Refusal(reasons=reasons)
        add_template_vote(connection, one.id, vote)
        data, opened = template_vote_data(one.id, vote), {"comment": ballot.comment.strip(), "person": vote.person}
        record(
            connection, EntryKind.GATE_STANDARD_SIGNED, actor=actor, at=now, subject=vote.id, data=data, opened=opened
        )
        after = find_template(connection, name)
        if after is None:
            raise _no_template(name)
        return Proposed(template=after, approval=approval_of(after, gate, roster, now))


def _vote_reasons(
    instance: Instance,
    actor: Principal,
    one: StandardTemplate,
    vote: TemplateVote,
    ballot: TemplateBallot,
    about: tuple[Reason | None, ...],
) -> tuple[Reason, ...]:
    found = [one for one in about if one is not None]
    if vote.person == one.proposed_by:
        text = f"{vote.person} proposed this template. Somebody else must approve it."
        found.append(Reason(code="SOD_CONFLICT", text=text, where="proposer"))
    for before in one.votes:
        if before.person == vote.person and before.role is not vote.role:
            text = f"{vote.person} already spoke as {before.role.value}; one person fills one seat."
            found.append(Reason(code="SEAT_DUPLICATE", text=text, where=before.role.value))
        elif before.person == vote.person and before.decision is VoteDecision.REJECT:
            text = "A rejected template is not voted over. Propose another."
            found.append(Reason(code="REVOTE_NO_NEW_EVIDENCE", text=text, where=before.id))
    if vote.decision is not VoteDecision.APPROVE:
        found += _too_short(ballot.comment, "--comment")
    login = ballot.login or Login(method=actor.via, at=vote.at)
    problem = login_problem(login, vote.at, is_local_demo=instance.workspace.identity.local_demo)
    return (*found, *([] if problem is None else [problem]))


def declare_standard(instance: Instance, *, actor: Principal, release: str, template: str) -> Declared | Refusal:
    """Let a release go by a template instead of by the sign-offs of uat and the board."""
    refusal = may(actor.roles, Action.PROMOTE, within=Tier.STAGING.value)
    if refusal is not None:
        return refusal
    gate = _board(instance)
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        notice_changes(connection, instance, now)
        stored = named_release(connection, release)
        one = find_template(connection, template)
        if one is None:
            raise _no_template(template)
        chain = open_chain(connection, instance, stored, now)
        who = PersonId(str(actor.person or actor.id))
        against = (*_nobody(actor), *person_problems(who, chain.release), *against_template(chain, template))
        until = approval_of(one, gate, chain.roster, now).until
        if against or until is None:
            return Refusal(reasons=against)
        known = next((was for was in chain.changes if was.template == template), None)
        if known is not None:
            return Declared(change=known, until=until, created=False)
        change = StandardChange(
            id=new_ulid(now), release=stored.digest, template=template, declared_by=who, declared_at=now
        )
        if not add_change(connection, change):
            return Declared(
                change=changes_of(connection, [stored.digest])[stored.digest][0], until=until, created=False
            )
        data, opened = change_data(change, stored.workflow), {"person": who}
        record(
            connection,
            EntryKind.GATE_STANDARD_DECLARED,
            actor=actor,
            at=now,
            subject=change.id,
            data=data,
            opened=opened,
        )
        return Declared(change=change, until=until)


def standard_templates(instance: Instance, *, workflow: str | None = None) -> tuple[Proposed, ...]:
    """Return the templates of a workflow, or all, newest first, as they stand now."""
    gate = _board(instance)
    with instance.engine.connect() as connection:
        now = instance.clock.now()
        roster = _roster(connection, instance)
        found = list_templates(connection, workflow)
    return tuple(Proposed(template=one, approval=approval_of(one, gate, roster, now)) for one in reversed(found))


def _board(instance: Instance) -> Gate:
    found = board_gate(instance.workspace.gates.values())
    if found is None:
        raise NotFound("BOARD_UNKNOWN", "No gate of gates/ has a board, and a board approves templates.")
    return found


def _roster(connection: Connection, instance: Instance) -> Roster:
    return roster_of(instance.workspace, tenures(connection), delegations(connection))


def _nobody(actor: Principal) -> tuple[Reason, ...]:
    problem = person_problem(actor, "proposes, approves or declares a standard change")
    return () if problem is None else (problem,)


def _too_short(words: str, option: str) -> tuple[Reason, ...]:
    if len(words.strip()) >= MIN_COMMENT:
        return ()
    text = f"Say why in at least {MIN_COMMENT} characters: {option}."
    return (Reason(code="REASON_NEEDED", text=text),)


def _no_template(name: str) -> NotFound:
    return NotFound("TEMPLATE_UNKNOWN", f"There is no template {name!r}.", hint="See `pilotage gate standards`.")

"""Standard change (gates.md 4.8): a template the board approved once stands in for the sign-offs of small changes.

Rule: pure. The template names the parts that may change and how many documents; every seat approves it and the sponsor
after them, and each approval lasts 90 days. It replaces the sign-offs of the board's gate and of the gate into it; all
criteria and go-live stay. Fail mode: what is not known of a release is outside every template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, WorkflowName
from pilotage.core.reason import Reason
from pilotage.gate.eligibility import SEAT_TENURE, holders
from pilotage.gate.records import Roster
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Gate

TEMPLATE_SPAN: Final = timedelta(days=90)
DEFAULT_PARTS: Final = ("corpus",)
MAX_SHARE: Final = 0.05
MAX_DOCUMENTS: Final = 500
OPEN_PARTS: Final = frozenset({"corpus", "prompt", "retrieval", "golden"})
"""Parts a template may name: model, guard, tools and egress are never changed without people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateVote:
    """One seat's decision about a template, or the sponsor's after the board."""

    id: str
    person: PersonId
    role: Role
    decision: VoteDecision
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardTemplate:
    """What may change without people. `max_share` is of the documents before, in [0, 1]."""

    id: str
    workflow: WorkflowName
    parts: tuple[str, ...]
    max_share: float
    max_documents: int
    reason: str
    proposed_by: PersonId
    proposed_at: datetime
    votes: tuple[TemplateVote, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardChange:
    """A release that goes by a template."""

    id: str
    release: Digest
    template: str
    declared_by: PersonId
    declared_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A release's standard change, and why it does not hold now; empty when it does."""

    change: StandardChange
    against: tuple[Reason, ...] = ()

    @property
    def holds(self) -> bool:
        """Tell whether it stands in for sign-offs now."""
        return not self.against


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Where a template stands. `until` None: not approved; `missing` says what of it is. `by`: whose votes count."""

    until: datetime | None
    missing: tuple[Reason, ...] = ()
    by: tuple[PersonId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How a release differs from the one before. `documents` and `flags` None: not known, as without a parent.

    `is_from_production`: the one before came into production by its gates. `regressions` and `leaks` are the worst
    that own runs on this release found; None: no run in time.
    """

    is_from_production: bool
    parts: frozenset[str] = frozenset()
    documents: int | None = None
    documents_before: int | None = None
    flags: tuple[str, ...] | None = None
    regressions: float | None = None
    leaks: float | None = None


def board_gate(gates: Iterable[Gate]) -> Gate | None:
    """Return the gate of the board whose seats approve templates."""
    return next((gate for gate in gates if gate.pre.board is not None), None)


def replaced_gates(gates: Mapping[str, Gate]) -> frozenset[str]:
    """Return the gates whose sign-offs a template stands in for: the board's, and the ones that open it."""
    board = board_gate(gates.values())
    if board is None:
        return frozenset()
    return frozenset({board.name, *(name for name, gate in gates.items() if gate.guards == board.name)})


def template_problems(parts: Iterable[str], *, max_share: float, max_documents: int) -> tuple[Reason, ...]:
    """Return why a template of this form is none."""
    found: list[Reason] = []
    named = frozenset(parts)
    closed = sorted(named - OPEN_PARTS)
    if closed or not named:
        text = f"A template names parts of {', '.join(sorted(OPEN_PARTS))}; {', '.join(closed) or 'nothing'} is none."
        found.append(Reason(code="STANDARD_OUT_OF_SCOPE", text=text, where=", ".join(closed)))
    if not 0 < max_share <= MAX_SHARE:
        text = f"A template allows more than 0 and at most {MAX_SHARE:.0%} of the documents to change."
        limit = f"{MAX_SHARE:g}"
        found.append(Reason(code="STANDARD_OUT_OF_SCOPE", text=text, observed=f"{max_share:g}", limit=limit))
    if not 0 < max_documents <= MAX_DOCUMENTS:
        text = f"A template allows at least 1 and at most {MAX_DOCUMENTS} documents to change."
        observed, limit = str(max_documents), str(MAX_DOCUMENTS)
        found.append(Reason(code="STANDARD_OUT_OF_SCOPE", text=text, observed=observed, limit=limit))
    return tuple(found)


def seat_roles(gate: Gate) -> tuple[Role, ...]:
    """Return who approves a template: the seats, then the roles that sign after the board."""
    seats = () if gate.pre.board is None else gate.pre.board.seats
    return (*seats, *after_roles(gate))


def after_roles(gate: Gate) -> tuple[Role, ...]:
    """Return the roles that sign after the board."""
    return tuple(one.role for one in gate.pre.signoffs if one.after_board)


def approver_problem(person: PersonId, role: Role, gate: Gate, roster: Roster, at: datetime) -> Reason | None:
    """Return why a person does not speak for a seat at a moment: not its holder, or not for long enough."""
    if role not in seat_roles(gate):
        names = ", ".join(one.value for one in seat_roles(gate))
        text = f"A template is approved by {names}; {role.value} is asked for nothing."
        return Reason(code="ROLE_NOT_ASKED", text=text, where=role.value)
    seat = next((one for one in roster.seats if one.role is role), None)
    since = holders(roster, role, at).get(person)
    if since is None or (seat is not None and seat.holder != person):
        text = f"{person} does not hold {role.value}."
        return Reason(code="VOTER_INELIGIBLE", text=text, where=role.value)
    if at - since < SEAT_TENURE:
        text = f"{person} holds {role.value} since {since:%Y-%m-%d %H:%MZ}; it takes {SEAT_TENURE.days} d."
        return Reason(code="ROLE_TENURE", text=text, where=role.value, limit=f"{SEAT_TENURE.days} d")
    return None


def approval_of(template: StandardTemplate, gate: Gate, roster: Roster, now: datetime) -> Approval:
    """Return whether the board stands behind a template now, and until when.

    There is no acceptance for a template: one seat that says anything but yes leaves it unapproved.
    """
    missing: list[Reason] = []
    given: dict[Role, TemplateVote] = {}
    taken: set[PersonId] = set()
    for vote in sorted(_standing(template.votes), key=lambda one: (one.at, one.id)):
        if vote.decision is VoteDecision.REJECT:
            text = f"{vote.person} rejects the template as {vote.role.value}."
            missing.append(Reason(code="GATE_REJECTED", text=text, where=vote.role.value))
        if vote.decision is not VoteDecision.APPROVE or vote.person in taken:
            continue
        problem = approver_problem(vote.person, vote.role, gate, roster, vote.at)
        if (problem or _gone(vote, roster, now)) is None:
            given[vote.role] = vote
            taken.add(vote.person)
    board = [role for role in seat_roles(gate) if role not in after_roles(gate)]
    last = max((given[role].at for role in board if role in given), default=template.proposed_at)
    for role in seat_roles(gate):
        is_late = role in after_roles(gate)
        if role not in given or (is_late and given[role].at < last):
            order = " after the board" if is_late else ""
            text = f"{role.value} has not approved the template{order}: `pilotage gate standard-sign {template.id}`."
            missing.append(Reason(code="SIGNOFF_SHORT", text=text, where=role.value))
    by = tuple(sorted(vote.person for vote in given.values()))
    if missing:
        return Approval(until=None, missing=tuple(missing), by=by)
    until = min(vote.at for vote in given.values()) + TEMPLATE_SPAN  # a vote given anew prolongs no other one
    if now < until:
        return Approval(until=until, by=by)
    text = f"The board's approval of template {template.id} ended {until:%Y-%m-%d}. Propose it anew."
    return Approval(until=None, missing=(Reason(code="GATE_EXPIRED", text=text, where=template.id),), by=by)


def _standing(votes: Iterable[TemplateVote]) -> tuple[TemplateVote, ...]:
    """Return each person's last vote in a role; a reject stays one."""
    held: dict[tuple[Role, PersonId], TemplateVote] = {}
    for vote in sorted(votes, key=lambda one: (one.at, one.id)):
        before = held.get((vote.role, vote.person))
        if before is None or before.decision is not VoteDecision.REJECT:
            held[vote.role, vote.person] = vote
    return tuple(held.values())


def _gone(vote: TemplateVote, roster: Roster, now: datetime) -> Reason | None:
    if vote.person in holders(roster, vote.role, now):
        return None
    text = f"{vote.person} no longer holds {vote.role.value}."
    return Reason(code="VOTER_INELIGIBLE", text=text, where=vote.role.value)


def scope_problems(template: StandardTemplate, moved: Moved) -> tuple[Reason, ...]:
    """Return everything that takes a release outside a template; nothing means it may go by it."""
    found: list[Reason] = []
    if not moved.is_from_production:
        found.append(_out("it does not follow a release that came into production by its gates", "parent"))
    others = sorted(moved.parts - set(template.parts))
    if others:
        allowed = ", ".join(template.parts)
        found.append(_out(f"{', '.join(others)} changed; the template allows {allowed}", ", ".join(others)))
    if moved.flags is None:
        found.append(_out("how it differs from the release before is not known", "parent"))
    elif moved.flags:
        found.append(_out(f"the change is flagged {', '.join(moved.flags)}", ", ".join(moved.flags)))
    found += _documents(template, moved)
    for name, value, kind in (
        ("regressions", moved.regressions, "evaluation"),
        ("leaks", moved.leaks, "permissions"),
    ):
        if value != 0:
            seen = f"found {value:g} {name}" if value is not None else "did not run on it in time"
            shown = "unknown" if value is None else f"{value:g}"
            found.append(_out(f"our own {kind} run {seen}", kind, observed=shown, limit="0"))
    return tuple(found)


def _documents(template: StandardTemplate, moved: Moved) -> list[Reason]:
    changed, before = moved.documents, moved.documents_before
    if changed is None or before is None:
        return [_out("how many documents changed is not known", "corpus")]
    most = min(template.max_documents, int(template.max_share * before))
    if changed <= most:
        return []
    text = f"{changed} of {before} documents changed"
    return [_out(text, "corpus", observed=str(changed), limit=str(most))]


def _out(why: str, where: str, *, observed: str | None = None, limit: str | None = None) -> Reason:
    text = f"It is no standard change: {why}. Let uat and the board decide on it."
    return Reason(code="STANDARD_OUT_OF_SCOPE", text=text, where=where, observed=observed, limit=limit)


def template_json(template: StandardTemplate, approval: Approval) -> dict[str, Json]:
    """Return what CLI, API and pages show of a template."""
    return {
        "template": template.id,
        "workflow": template.workflow,
        "parts": list(template.parts),
        "max_share": template.max_share,
        "max_documents": template.max_documents,
        "reason": template.reason,
        "proposed_by": template.proposed_by,
        "proposed_at": to_text(template.proposed_at),
        "approved": approval.until is not None,
        "until": None if approval.until is None else to_text(approval.until),
        "missing": [dict(one.as_json()) for one in approval.missing],
        "votes": [
            {"person": vote.person, "role": vote.role.value, "decision": vote.decision.value, "at": to_text(vote.at)}
            for vote in template.votes
        ],
    }

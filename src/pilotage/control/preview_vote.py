"""What a person could sign at a gate, and why not: for pages that print a control with its reason.

Rule: the same checks as `sign_gate`, on the same inputs; signing checks again. Fail mode: a role that may not be used
comes with every reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pilotage.control.decided_gates import Decided, decided_gates
from pilotage.control.gate_case import Chain, open_to_look
from pilotage.control.gate_chain import input_of, report_of
from pilotage.control.gate_status import space_for
from pilotage.control.instance import Instance
from pilotage.control.open_evidence import DOCUMENT
from pilotage.core.digest import Digest
from pilotage.core.ids import PersonId, new_ulid
from pilotage.core.reason import Reason
from pilotage.evidence.records import Evidence
from pilotage.gate.ballots import only_reject, seat_problems
from pilotage.gate.binding import bind_of
from pilotage.gate.change_request import ChangeRequest
from pilotage.gate.checklists import ChecklistState, checklists_of
from pilotage.gate.eligibility import separation_problem, standing_problem
from pilotage.gate.records import Bound, GateInput, Login, RiskAcceptance, Vote
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import Half, VoteDecision
from pilotage.identity.principal import Principal, PrincipalKind
from pilotage.identity.roles import Role
from pilotage.store.change_requests import requests_about
from pilotage.store.gates_then import then_and_opened
from pilotage.store.releases import StoredRelease, named_release


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One role the person holds and the gate asks for. `problems`: why it may not be used; `unmet`: why not approve.

    `only_reject`: why it may reject and nothing else.
    `bound` is what a vote in this role binds: after the board's result that is more than before it.
    """

    role: Role
    is_seat: bool
    bound: Bound
    checklist: tuple[str, ...]
    problems: tuple[Reason, ...]
    unmet: tuple[Reason, ...]
    only_reject: tuple[Reason, ...] = ()

    @property
    def bind(self) -> Digest:
        """The one digest of what a vote in this role binds."""
        return bind_of(self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateView:
    """A gate as a page shows it to one person: report, evidence, votes in order, acceptances, and the choices.

    `changes` are statements about emergency changes that concern the spaces behind this gate; `decided` is what was
    decided here before; `requests` is what people here want changed; `opened`: which documents the person opened, by
    their bytes, and when first; `checklists` are those of regulations that its sign-offs answer.
    """

    release: StoredRelease
    report: GateReport
    evidence: tuple[Evidence, ...]
    votes: tuple[Vote, ...]
    acceptances: tuple[RiskAcceptance, ...]
    choices: tuple[Choice, ...]
    asked: tuple[Role, ...]
    documents: tuple[str, ...]
    spaces: tuple[str, ...]
    changes: tuple[str, ...] = ()
    decided: Sequence[Decided] = ()
    requests: Sequence[ChangeRequest] = ()
    opened: Mapping[Digest, datetime] = field(default_factory=dict)
    checklists: Sequence[ChecklistState] = ()

    @property
    def binds(self) -> frozenset[str]:
        """Return the binds of today: of a vote on the board, and of one after its result."""
        late = self.report.bind_after_board
        return frozenset({self.report.bind} if late is None else {self.report.bind, late})

    @property
    def papers(self) -> tuple[tuple[str, tuple[Evidence, ...]], ...]:
        """Return each document the gate asks for, and others among its evidence, with the items that are current."""
        found: dict[str, list[Evidence]] = {name: [] for name in self.documents}
        for item in self.evidence:
            if item.kind.startswith(DOCUMENT):
                found.setdefault(item.kind.removeprefix(DOCUMENT), []).append(item)
        return tuple((name, tuple(items)) for name, items in found.items())

    @property
    def document_digests(self) -> frozenset[Digest]:
        """Return the digests of the files behind those documents."""
        return frozenset(item.sha256 for _, items in self.papers for item in items)

    @property
    def item_texts(self) -> dict[str, str]:
        """Return what items of regulations ask, by the name that answers give them."""
        found = (one.regulation for one in self.checklists)
        return {of.key(item): f"{item.text} ({item.cite})" for of in found for item in of.items}

    @property
    def last_of(self) -> dict[PersonId, Vote]:
        """Return each person's last vote."""
        return {vote.person: vote for vote in self.votes}


def view_gate(
    instance: Instance, *, actor: Principal, release: str, gate: str, space: str | None = None, half: Half = Half.PRE
) -> GateView:
    """Return everything a decision page shows; raise NotFound for an unknown release or gate."""
    with instance.engine.begin() as connection:
        now = instance.clock.now()
        stored = named_release(connection, release)
        chain = open_to_look(connection, instance, stored, now)
        view = view_in(chain, actor=actor, gate=gate, space=space, half=half)
        person, documents = str(actor.person or actor.id), view.document_digests
        then, opened = then_and_opened(connection, stored.digest, now, person=person, documents=documents)
        decided = decided_gates(then).get(gate, ())
        where = space_for(instance, gate, space)
        return replace(
            view,
            decided=[one for one in decided if half is Half.PRE and where in {None, one.space}],
            opened=opened,
            requests=[one for one in requests_about(connection, stored.digest) if one.gate == gate],
        )


def view_in(chain: Chain, *, actor: Principal, gate: str, space: str | None = None, half: Half = Half.PRE) -> GateView:
    """Return what a decision page shows of a gate, from what is read already."""
    where = space_for(chain.instance, gate, space)
    report = report_of(chain, gate, half=half, space=where)
    given = input_of(chain, gate, half=half, space=where)
    current = tuple(item for item in chain.evidence if item.id in report.evidence)
    asked = tuple(dict.fromkeys((*(one.role for one in given.rules.signoffs), *_seats(given))))
    return GateView(
        release=chain.stored,
        report=report,
        evidence=current,
        votes=given.votes,
        acceptances=given.acceptances,
        choices=tuple(_choice(role, actor, given, report, chain) for role in asked if role in actor.roles),
        asked=asked,
        documents=given.rules.documents,
        spaces=given.facts.spaces,
        changes=tuple(one.statement(chain.now) for one in chain.emergencies),
        checklists=checklists_of(given, report, {item.kind for item in current}),
    )


def _seats(given: GateInput) -> tuple[Role, ...]:
    return () if given.rules.board is None else given.rules.board.seats


def _choice(role: Role, actor: Principal, given: GateInput, report: GateReport, chain: Chain) -> Choice:
    late = any(one.after_board and one.role is role for one in given.rules.signoffs)
    bound = report.after_board if late and report.after_board is not None else report.bound
    vote = Vote(
        id=new_ulid(chain.now),
        release=given.release.digest,
        gate=report.gate,
        half=report.half,
        attempt=report.attempt,
        role=role,
        is_seat=role in _seats(given),
        person=PersonId(str(actor.person or actor.id)),
        is_person=actor.kind is PrincipalKind.PERSON,
        decision=VoteDecision.APPROVE,
        bind=bind_of(bound),
        bound=bound,
        evidence=report.evidence,
        login=Login(method=actor.via, at=chain.now),
        at=chain.now,
        nonce="preview",
    )
    current = [item for item in chain.evidence if item.id in report.evidence]
    found = (standing_problem(vote, given, chain.now), separation_problem(vote.person, given, chain.now, current))
    return Choice(
        role=role,
        is_seat=vote.is_seat,
        bound=bound,
        checklist=next((tuple(one.questions) for one in given.rules.signoffs if one.role is role), ()),
        problems=(*(one for one in found if one is not None), *seat_problems(vote, given)),
        unmet=_unmet(report),
        only_reject=only_reject(vote, given),
    )


def _unmet(report: GateReport) -> tuple[Reason, ...]:
    blocked = list(report.reasons) if report.status.value == "blocked" else []
    for one in report.criteria:
        if not one.holds:
            bad = [check.reason for check in one.checks if check.outcome != "ok" and check.reason is not None]
            text = f"Criterion {one.id} is {one.state}."
            blocked += bad[:1] or [Reason(code="CRITERION_NOT_MET", text=text, where=one.id)]
    return tuple(blocked)

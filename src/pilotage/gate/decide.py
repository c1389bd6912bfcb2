"""decide(): whether a release may pass a gate now, with every reason (gates.md 4).

Rule: pure and total; the status is the first that fits in the order of 4.1, computed from its inputs and the time and
never stored. Fail mode: input that cannot be judged gives `blocked` with GATE_INPUT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.core.remembered import remembered
from pilotage.evidence.records import Evidence, SubjectKind
from pilotage.evidence.superseding import current_items
from pilotage.gate.acceptance import acceptance_problems, cover_criteria
from pilotage.gate.ballots import Ballots, ballots_of, standing_votes
from pilotage.gate.binding import bind_of, evidence_set_of
from pilotage.gate.counting import Ballot, Tally, board_digest, board_seats, tally
from pilotage.gate.criteria import CLEARING, check_criterion
from pilotage.gate.eligibility import author_problem, holders, seat_of
from pilotage.gate.missing import missing_of
from pilotage.gate.records import Bound, Facts, GateInput, ReleaseFacts, RiskAcceptance, Vote
from pilotage.gate.report import CriterionResult, GateReport, SignoffResult
from pilotage.gate.view import in_view
from pilotage.gate.vocabulary import GateStatus, VoteDecision
from pilotage.gate.wording import STATUS_WORDS
from pilotage.workspace.gate import Accept, Binding, Condition, Criterion, Gate, GateHalf, Operator, Trust

DISSENT_PERIOD = timedelta(days=5)
_EMPTY = Digest("sha256:" + "0" * 64)


def decide(given: GateInput, now: datetime) -> GateReport:
    """Return the report of one gate (half) for one release at `now`."""
    try:
        return _decide(given, now)
    except Exception as error:  # noqa: BLE001 - what cannot be judged is never a pass: this is where it ends
        return _unjudged(given, f"The gate's input cannot be judged ({type(error).__name__}: {error}).")


def _unjudged(given: GateInput, text: str) -> GateReport:
    """Return `blocked` for input that has any shape at all: nothing but its own kind is looked at."""
    gate = given.gate.name if isinstance(given.gate, Gate) else ""
    attempt = given.facts.attempt if isinstance(given.facts, Facts) else 0
    release = given.release.digest if isinstance(given.release, ReleaseFacts) else _EMPTY
    bound = Bound(
        instance="", gate=gate, half=given.half, attempt=attempt, release=release, evidence_set=_EMPTY, policy=_EMPTY
    )
    return GateReport(
        gate=gate,
        half=given.half,
        status=GateStatus.BLOCKED,
        reasons=(Reason(code="GATE_INPUT", text=text, where=gate),),
        missing=(),
        criteria=(),
        signoffs=(),
        bind=_EMPTY,
        bound=bound,
        evidence=(),
        attempt=attempt,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    """What a status is read from. `lapsed`: acceptances that only time took away; `renewed`: criteria with them."""

    given: GateInput
    now: datetime
    current: tuple[Evidence, ...]
    criteria: tuple[CriterionResult, ...]
    renewed: tuple[CriterionResult, ...]
    lapsed: tuple[RiskAcceptance, ...]
    ballots: Ballots
    count: Tally


def _decide(asked: GateInput, now: datetime) -> GateReport:
    current = _current(asked, now)
    results = tuple(check_criterion(criterion, asked, current, now) for criterion in criteria_of(asked))
    risks, lapsed = _acceptances(asked, current, now)
    given = replace(asked, acceptances=risks)
    criteria, covering = cover_criteria(results, risks)
    bound = _bound(given, evidence_set_of(current))
    ballots = ballots_of(given, bound, current, now, has_acceptances=bool(covering))
    board = _board_bound(given, ballots, bound, current, now)
    if board is not None:
        ballots = ballots_of(given, bound, current, now, has_acceptances=bool(covering), after_board=board)
    count = tally(given, ballots.counting, risks, current, now)
    weighed = _Weighed(
        given=given,
        now=now,
        current=current,
        criteria=criteria,
        renewed=cover_criteria(results, (*risks, *lapsed))[0],
        lapsed=lapsed,
        ballots=ballots,
        count=count,
    )
    status, reasons = _status(weighed)
    used = covering | count.covers
    status = GateStatus.APPROVED_WITH_RISK_ACCEPTANCE if status is GateStatus.APPROVED and used else status
    return GateReport(
        gate=given.gate.name,
        half=given.half,
        status=status,
        reasons=reasons,
        missing=() if status.is_approved else missing_of(given, criteria, count.signoffs),
        criteria=criteria,
        signoffs=count.signoffs,
        bind=bind_of(bound),
        bound=bound,
        evidence=tuple(item.id for item in current),
        acceptances=tuple(sorted(used)),
        attempt=given.facts.attempt,
        board_ok=count.board_ok,
        after_board=board,
    )


def _acceptances(
    asked: GateInput, current: Sequence[Evidence], now: datetime
) -> tuple[tuple[RiskAcceptance, ...], tuple[RiskAcceptance, ...]]:
    """Return the acceptances that hold now, and those that only their end keeps from holding."""
    problems = {risk.id: acceptance_problems(risk, asked, now, current) for risk in asked.acceptances}
    holding = tuple(risk for risk in asked.acceptances if not problems[risk.id])
    lapsed = tuple(risk for risk in asked.acceptances if {one.code for one in problems[risk.id]} == {"RISK_EXPIRY"})
    return holding, lapsed


def _current(given: GateInput, now: datetime) -> tuple[Evidence, ...]:
    """Return the current evidence about this release that the gate looks at, with the VEX that clears its scans."""
    kinds = {kind for criterion in criteria_of(given) for kind in criterion.of} | _review_kinds(given)
    items = current_items((one for one in given.evidence if _is_about(one, given.release)), now)
    if any(kind.startswith("scan.") for kind in kinds) and any(item.kind == "vex" for item in items):
        kinds |= CLEARING
    return in_view([item for item in items if item.kind in kinds], given.gate, given.facts.spaces)


def _is_about(item: Evidence, release: ReleaseFacts) -> bool:
    match item.subject_kind:
        case SubjectKind.RELEASE | SubjectKind.SPACE:
            return item.subject == release.digest
        case SubjectKind.PART:
            return item.subject in release.parts.values()
        case SubjectKind.WORKFLOW:
            return item.subject == release.workflow
        case SubjectKind.SOURCE:
            return item.subject == release.source_tree
    assert_never(item.subject_kind)


def criteria_of(given: GateInput) -> tuple[Criterion, ...]:
    """Return the criteria of the half: those of the file, and one per listed document."""
    return _criteria(given.rules)


@remembered
def _criteria(rules: GateHalf) -> tuple[Criterion, ...]:
    complete = (
        Condition(claim="complete", operator=Operator.EQ, limit=1.0),
        Condition(claim="placeholders", operator=Operator.EQ, limit=0.0),
        Condition(claim="valid_days", operator=Operator.GT, limit=0.0),
    )
    documents = tuple(
        Criterion(
            id=f"document-{name}", of=(f"document.{name}",), all=complete, accept=Accept.MEDIUM, trust=Trust.CLAIMED
        )
        for name in rules.documents
    )
    return (*rules.criteria, *documents)


def _review_kinds(given: GateInput) -> set[str]:
    return {"review.code"} if any("review.code" in signoff.via for signoff in given.rules.signoffs) else set()


def _bound(given: GateInput, evidence: Digest) -> Bound:
    binds = given.gate.binds
    facts = given.facts
    return Bound(
        instance=facts.instance,
        gate=given.gate.name,
        half=given.half,
        attempt=facts.attempt,
        release=given.release.digest,
        space=facts.space,
        evidence_set=evidence,
        policy=given.policy,
        plan=facts.plan if Binding.PLAN in binds else None,
        space_config=facts.space_config if Binding.SPACE_CONFIG in binds else None,
        cab_pack=facts.cab_pack if Binding.CAB_PACK in binds else None,
    )


def _board_bound(
    given: GateInput, ballots: Ballots, bound: Bound, current: Sequence[Evidence], now: datetime
) -> Bound | None:
    """Return what a vote after the board binds: everything, and the board's result.

    Aged votes, and those whose evidence was only refreshed for the better, count here: the board still said it.
    """
    if given.rules.board is None or not any(one.after_board for one in given.rules.signoffs):
        return None
    held = ballots.ageless.votes
    votes = (*held, *(vote for vote in ballots.benign if vote not in held))
    count = tally(given, Ballot(votes=votes, refused={}), given.acceptances, current, now)
    seats = [one for one in count.signoffs if one.is_seat]
    return replace(bound, board=board_digest(seats, count.covers))


def _status(seen: _Weighed) -> tuple[GateStatus, tuple[Reason, ...]]:
    given, ballots, count = seen.given, seen.ballots, seen.count
    blocked = _blocked(given, seen.now)
    if blocked:
        return GateStatus.BLOCKED, blocked
    rejected = _rejected(given, ballots, count.signoffs)
    if rejected:
        return GateStatus.REJECTED, rejected
    if not all(one.holds for one in seen.criteria):
        return _unmet(seen)
    if count.is_complete:
        return GateStatus.APPROVED, ()
    problems = tuple(reason for one in count.signoffs for _, reason in one.not_counted)
    if _was_complete(seen):
        return GateStatus.EXPIRED, problems
    if ballots.stale:
        return GateStatus.STALE, problems
    return (GateStatus.IN_REVIEW if ballots.counting.votes else GateStatus.READY), problems


def _unmet(seen: _Weighed) -> tuple[GateStatus, tuple[Reason, ...]]:
    unmet = [one for one in seen.criteria if not one.holds]
    reasons = tuple(
        check.reason for one in unmet for check in one.checks if check.reason is not None and check.outcome != "ok"
    )
    renewed = {one.id for one in seen.renewed if one.holds}
    if all(one.is_only_expired or one.id in renewed for one in unmet):
        return GateStatus.EXPIRED, reasons
    has_votes = any(vote.decision is VoteDecision.APPROVE for vote in standing_votes(seen.given))
    return (GateStatus.STALE if has_votes else GateStatus.COLLECTING), reasons


def _was_complete(seen: _Weighed) -> bool:
    """Tell whether nothing but time is missing: the age of votes, or the end of an acceptance that covered a seat."""
    if not seen.ballots.aged and not seen.lapsed:
        return False
    risks = (*seen.given.acceptances, *seen.lapsed)
    return tally(seen.given, seen.ballots.ageless, risks, seen.current, seen.now).is_complete


def _blocked(given: GateInput, now: datetime) -> tuple[Reason, ...]:
    release, facts, name = given.release, given.facts, given.gate.name
    found: list[Reason] = [*facts.policy_problems, *facts.unrecorded]
    if release.state in {"revoked", "quarantined"}:
        text = f"The release is {release.state}; it passes no gate."
        found.append(Reason(code=f"RELEASE_{release.state.upper()}", text=text, where=release.digest))
    if not release.is_verified:
        text = "The release's bytes, seal or ledger record do not verify. See `pilotage release verify`."
        found.append(Reason(code="VERIFY_BYTES", text=text, where=release.digest))
    unknown = author_problem(release)
    if unknown is not None and (facts.standard_change or given.rules.signoffs or given.rules.board):
        found.append(unknown)
    for before in given.gate.after:
        status = facts.gates.get(before)
        if status is None or not status.is_approved:
            shown = "unknown" if status is None else status.value
            waits = "not known here" if status is None else STATUS_WORDS[status]
            text = f"Gate {before} is {waits}. {name} comes after it: see what {before} lacks first."
            found.append(Reason(code="GATE_NOT_MET", text=text, where=before, observed=shown, limit="approved"))
    return (*found, *_empty(given, now))


def _empty(given: GateInput, now: datetime) -> list[Reason]:
    rules, found = given.rules, []
    if not (rules.criteria or rules.documents or rules.signoffs or rules.board):
        text = "An empty gate passes nobody. Give it criteria or sign-offs."
        found.append(Reason(code="GATE_EMPTY", text=text, where=given.gate.name))
    roles = [signoff.role for signoff in rules.signoffs]
    empty = [role.value for role in roles if not holders(given.roster, role, now)]
    if rules.board is not None:
        empty += [role.value for role in board_seats(rules.board, given) if seat_of(given.roster, role) is None]
    if empty:
        text = f"Nobody holds {', '.join(empty)}. Name a person in pilotage.yaml."
        found.append(Reason(code="ROSTER_EMPTY", text=text, where=given.gate.name))
    return found


def _rejected(given: GateInput, ballots: Ballots, signoffs: Sequence[SignoffResult]) -> tuple[Reason, ...]:
    found: list[Reason] = []
    covered = {one.role for one in signoffs if one.is_seat and one.covered_by is not None}
    for vote in ballots.rejects:
        if vote.is_seat and vote.role in covered and _cover_in_time(vote, given, signoffs):
            continue
        text = f"{vote.person} rejects as {vote.role.value}: {vote.comment}"
        found.append(Reason(code="GATE_REJECTED", text=text, where=vote.role.value))
    for where in given.facts.rejected_elsewhere:
        text = f"The same parts were rejected at this gate ({where}); a new name or parent does not change them."
        found.append(Reason(code="REJECTED_PARTS", text=text, where=where))
    return tuple(found)


def _cover_in_time(vote: Vote, given: GateInput, signoffs: Sequence[SignoffResult]) -> bool:
    ids = {one.covered_by for one in signoffs if one.role is vote.role}
    times = [max((a.at for a in risk.approvers), default=risk.created) for risk in given.acceptances if risk.id in ids]
    return bool(times) and min(times) - vote.at <= DISSENT_PERIOD

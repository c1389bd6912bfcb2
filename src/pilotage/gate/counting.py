"""Counting votes (gates.md 4.3): which count, for which role or seat, and whether that is enough.

Rule: one person counts once in a gate; abstaining and absence are not approval; a seat of the snapshot still counts
when the roster loses it. Fail mode: a vote with any problem does not count and says why.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of_json
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason
from pilotage.evidence.fresh import age_of, window_of
from pilotage.evidence.reader_versions import changed_reason
from pilotage.evidence.records import Evidence
from pilotage.gate.acceptance import seat_cover
from pilotage.gate.eligibility import holders, seat_of, separation_problem
from pilotage.gate.records import GateInput, RiskAcceptance, SeatAt, Vote
from pilotage.gate.report import SignoffResult
from pilotage.gate.vocabulary import VoteDecision
from pilotage.identity.roles import Role
from pilotage.workspace.gate import Board, Signoff, Via


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The count. `board_ok` None: no board. `covers` are the acceptances that stand in for seats."""

    signoffs: tuple[SignoffResult, ...]
    board_ok: bool | None
    covers: frozenset[str]
    counted: tuple[Vote, ...]

    @property
    def is_complete(self) -> bool:
        """Tell whether every sign-off is there and the board agreed."""
        roles = all(one.is_complete for one in self.signoffs if not one.is_seat)
        return roles and self.board_ok is not False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """Votes that may count, those that do not with their reasons by role, and who might vote."""

    votes: tuple[Vote, ...]
    refused: Mapping[Role, tuple[tuple[PersonId, Reason], ...]]


def tally(
    given: GateInput,
    ballot: Ballot,
    risks: Sequence[RiskAcceptance],
    current: Sequence[Evidence],
    now: datetime,
) -> Tally:
    """Count the votes of a ballot for every required role and seat."""
    by_role, duplicates = _one_role_each(ballot.votes)
    spoken = ballot.refused.keys() | duplicates.keys()
    refused = {role: (*ballot.refused.get(role, ()), *duplicates.get(role, ())) for role in spoken}
    board = given.rules.board
    seats: tuple[SignoffResult, ...] = ()
    covers: set[str] = set()
    board_ok: bool | None = None
    if board is not None:
        seats = tuple(
            _seat(role, given, by_role.get(role, ()), refused.get(role, ()), risks)
            for role in board_seats(board, given)
        )
        covers = {one.covered_by for one in seats if one.covered_by is not None}
        board_ok = _board_ok(board, seats)
    board_end = _board_end([vote for vote in ballot.votes if vote.is_seat], covers, risks)
    roles: tuple[SignoffResult, ...] = ()
    spoke = _spoke(ballot.votes)
    for signoff in given.rules.signoffs:
        found = _role(
            signoff,
            given,
            by_role.get(signoff.role, ()),
            refused.get(signoff.role, ()),
            current,
            board_ok,
            board_end,
            now,
        )
        # Whoever votes, or is voted for, has said it all; and one review fills one role.
        found = replace(found, via_review=tuple(who for who in found.via_review if who not in spoke))
        spoke |= set(found.via_review)
        roles = (*roles, found)
    used = covers if board_ok and not all(one.is_complete for one in seats) else set()
    return Tally(signoffs=seats + roles, board_ok=board_ok, covers=frozenset(used), counted=ballot.votes)


def board_seats(board: Board, given: GateInput) -> tuple[Role, ...]:
    """Return the seats that count: those of the rules, and those the snapshot had."""
    kept = [seat.role for seat in given.roster.snapshot or () if seat.role not in board.seats]
    return (*board.seats, *kept)


def _one_role_each(
    votes: Sequence[Vote],
) -> tuple[dict[Role, tuple[Vote, ...]], dict[Role, tuple[tuple[PersonId, Reason], ...]]]:
    taken: dict[PersonId, Vote] = {}
    spoken: dict[tuple[Role, PersonId], PersonId] = {}
    by_role: dict[Role, list[Vote]] = {}
    duplicates: dict[Role, list[tuple[PersonId, Reason]]] = {}
    for vote in sorted(votes, key=lambda one: (one.at, one.id)):
        first = taken.setdefault(vote.person, vote)
        holder = vote.delegated_from or vote.person
        speaker = spoken.setdefault((vote.role, holder), vote.person)
        is_reject = vote.decision is VoteDecision.REJECT
        if first.role is vote.role and (speaker == vote.person or is_reject):
            by_role.setdefault(vote.role, []).append(vote)
            continue
        text = f"{vote.person} already counts as {first.role.value} at this gate; one person fills one seat."
        if first.role is vote.role:
            text = f"{speaker} already voted on behalf of {holder}; one holder has one vote."
        reason = Reason(code="SEAT_DUPLICATE", text=text, where=vote.role.value)
        duplicates.setdefault(vote.role, []).append((vote.person, reason))
    return (
        {role: tuple(found) for role, found in by_role.items()},
        {role: tuple(found) for role, found in duplicates.items()},
    )


def _spoke(votes: Iterable[Vote]) -> set[PersonId]:
    """Return who voted, and on whose behalf."""
    return {who for vote in votes for who in (vote.person, vote.delegated_from) if who is not None}


def _people(votes: Sequence[Vote], decision: VoteDecision) -> tuple[PersonId, ...]:
    return tuple(sorted({vote.person for vote in votes if vote.decision is decision}))


def _seat(
    role: Role,
    given: GateInput,
    votes: Sequence[Vote],
    refused: tuple[tuple[PersonId, Reason], ...],
    risks: Sequence[RiskAcceptance],
) -> SignoffResult:
    approved = _people(votes, VoteDecision.APPROVE)
    cover = None if approved else seat_cover(role, risks)
    seat = seat_of(given.roster, role)
    return SignoffResult(
        role=role,
        is_seat=True,
        needed=1,
        approved_by=approved,
        rejected_by=_people(votes, VoteDecision.REJECT),
        abstained_by=_people(votes, VoteDecision.ABSTAIN),
        not_counted=refused,
        eligible=() if seat is None else (seat.holder, *seat.alternates),
        covered_by=None if cover is None else cover.id,
    )


def _board_ok(board: Board, seats: Sequence[SignoffResult]) -> bool:
    if all(seat.is_complete for seat in seats):
        return True
    approvals = sum(seat.is_complete for seat in seats)
    voted = all(
        seat.approved_by or seat.rejected_by or seat.abstained_by for seat in seats if seat.role in board.must_vote
    )
    covered = all(seat.is_complete or seat.covered_by is not None for seat in seats)
    return approvals >= board.quorum and voted and covered


def _board_end(votes: Sequence[Vote], covers: Collection[str], risks: Sequence[RiskAcceptance]) -> datetime | None:
    times = [vote.at for vote in votes]
    times += [approver.at for risk in risks if risk.id in covers for approver in risk.approvers]
    return max(times, default=None)


def _role(  # noqa: PLR0913, PLR0917 - one call, all of it needed to judge one role
    signoff: Signoff,
    given: GateInput,
    votes: Sequence[Vote],
    refused: tuple[tuple[PersonId, Reason], ...],
    current: Sequence[Evidence],
    board_ok: bool | None,  # noqa: FBT001
    board_end: datetime | None,
    now: datetime,
) -> SignoffResult:
    counted = [vote for vote in votes if not vote.is_seat]
    late = refused
    if signoff.after_board:
        early = [vote for vote in counted if not board_ok or (board_end is not None and vote.at < board_end)]
        text = "The vote was given before the board's result; sign again after it."
        late = (*refused, *((vote.person, Reason(code="BOARD_FIRST", text=text)) for vote in early))
        counted = [vote for vote in counted if vote not in early]
    reviewers = _reviewers(signoff, given, current, now) if Via.REVIEW_CODE in signoff.via else ()
    held = holders(given.roster, signoff.role, now)
    able = tuple(sorted(person for person in held if separation_problem(person, given, now, current) is None))
    return SignoffResult(
        role=signoff.role,
        is_seat=False,
        needed=signoff.count,
        approved_by=_people(counted, VoteDecision.APPROVE),
        rejected_by=_people(counted, VoteDecision.REJECT),
        abstained_by=_people(counted, VoteDecision.ABSTAIN),
        not_counted=late,
        eligible=able,
        after_board=signoff.after_board,
        via_review=reviewers,
    )


def _reviewers(signoff: Signoff, given: GateInput, current: Sequence[Evidence], now: datetime) -> tuple[PersonId, ...]:
    """Return people in the role who approved the sealed tree in its code review, authors left out."""
    tree = given.release.source_tree
    found: set[PersonId] = set()
    for item in current:
        if item.kind != "review.code" or tree is None or item.refs.get("head_tree") != tree:
            continue
        is_old = age_of(item, now) > window_of(item.kind) or changed_reason(item) is not None
        if is_old or item.trust.rank < given.gate.trust.rank:
            continue
        found |= {PersonId(name) for name in item.names.get("approvers", ())}
    held = holders(given.roster, signoff.role, now)
    return tuple(sorted(who for who in found & set(held) if separation_problem(who, given, now, current) is None))


def own_seats(seats: Sequence[SeatAt], board: Board) -> tuple[SeatAt, ...]:
    """Return the seats of the roster that belong to a board, for its snapshot."""
    return tuple(seat for seat in seats if seat.role in board.seats)


def board_digest(seats: Sequence[SignoffResult], covers: Collection[str]) -> Digest:
    """Return the digest of a board's result, which the sponsor's vote binds."""
    rows: list[Json] = [
        {
            "seat": seat.role.value,
            "approve": list(seat.approved_by),
            "reject": list(seat.rejected_by),
            "abstain": list(seat.abstained_by),
        }
        for seat in seats
    ]
    return digest_of_json({"seats": rows, "acceptances": sorted(covers)})

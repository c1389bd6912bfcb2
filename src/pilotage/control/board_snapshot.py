"""Keeps a board as it sits when the evidence of its attempt is first complete (gates.md 4.3).

Rule: whoever decides or looks at a gate notices it, in the same transaction; it is kept once and never changed. Fail
mode: what nobody looked at is noticed at the first vote, which keeps the board too.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilotage.control.gate_case import Chain
from pilotage.gate.counting import own_seats
from pilotage.gate.report import GateReport
from pilotage.gate.vocabulary import Half
from pilotage.store.gate_votes import Attempt, lock_attempt, take_snapshot


def notice_complete(chain: Chain, reports: Iterable[GateReport], *, by: str) -> None:
    """Keep the boards of those reports whose criteria all hold, where none is kept yet."""
    for report in reports:
        board = chain.instance.workspace.gates[report.gate].pre.board
        known = chain.attempts.get(report.gate)
        if board is None or report.half is not Half.PRE or (known is not None and known.snapshot is not None):
            continue
        if not all(one.holds for one in report.criteria):
            continue
        first = Attempt(
            release=chain.stored.digest,
            gate=report.gate,
            number=1,
            parts_digest=chain.stored.parts_digest,
            opened_at=chain.now,
            opened_by=by,
        )
        attempt = lock_attempt(chain.connection, first)
        if attempt.number == report.attempt:
            take_snapshot(chain.connection, attempt, own_seats(chain.roster.seats, board), chain.now)

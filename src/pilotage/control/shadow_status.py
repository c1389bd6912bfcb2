"""What shadow and replay of a rollout say now, with every number: for `rollout status`, the API and the page.

Rule: counts and verdict are computed as the reconciler does, from the pairs alone. Fail mode: a rollout without phases
has none to show.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from pilotage.analysis.verdict import Verdict
from pilotage.control.shadow_phases import judge_phase
from pilotage.core.canonical import Json
from pilotage.core.clock import to_text
from pilotage.store.rollouts import StoredRollout
from pilotage.store.shadow_pairs import PairTally, StoredPhase, cost_of, count_pairs, stored_phases


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseView:
    """One phase: its row, what its pairs say, and the verdict on them as of now."""

    phase: StoredPhase
    tally: PairTally
    verdict: Verdict
    cost_nano: int

    @property
    def outcome(self) -> str:
        """The outcome the phase ended with, or the one it would have now."""
        return (self.phase.outcome or self.verdict.outcome).value

    def as_json(self) -> dict[str, Json]:
        """Return the numbers."""
        phase, pairs = self.phase, self.tally.counters
        return {
            "label": phase.label.value,
            "state": "running" if phase.ended_at is None else "ended",
            "since": to_text(phase.started_at),
            "scorer": phase.scorer,
            "pairs": pairs.every.n,
            "worse": pairs.worse,
            "better": pairs.better,
            "ties": pairs.ties,
            "lost": pairs.lost,
            "waiting": self.tally.waiting,
            "skipped": self.tally.skipped,
            "swapped": {"checked": pairs.swapped_checked, "changed": pairs.swapped_changed},
            "cost_nano": self.cost_nano,
            "outcome": self.outcome,
            "verdict": phase.verdict,
            "reasons": [dict(reason.as_json()) for reason in self.verdict.reasons],
            "tests": {name: test.as_json() for name, test in self.verdict.tests.items()},
        }


def view_phases(connection: Connection, stored: StoredRollout, now: datetime) -> tuple[PhaseView, ...]:
    """Return the phases of a rollout that began, in order."""
    found = []
    for phase in stored_phases(connection, stored.id):
        tally = count_pairs(connection, phase, now)
        verdict = judge_phase(stored, phase, tally)
        found.append(PhaseView(phase=phase, tally=tally, verdict=verdict, cost_nano=cost_of(connection, phase)))
    return tuple(found)

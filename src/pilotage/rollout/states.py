"""The states of a rollout (rollouts.md 7.1) and what each of them means for traffic.

Rule: a rollout is in exactly one state; only `rollout/transitions.py` says how it leaves it. Fail mode: a state this
version does not know does not parse, and its row is left alone.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a rollout stands."""

    PLANNED = "planned"
    SHADOWING = "shadowing"
    OBSERVING = "observing"
    HELD = "held"
    PAUSED = "paused"
    DECIDING = "deciding"
    ADVANCING = "advancing"
    WATCHING = "watching"
    COMPLETED = "completed"
    ROLLING_BACK = "rolling_back"
    VALIDATING = "validating"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    ABORTED = "aborted"
    REFUSED = "refused"

    @property
    def has_traffic(self) -> bool:
        """Whether askers may meet the candidate: every trigger is armed."""
        return self in WITH_TRAFFIC

    @property
    def is_over(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self in OVER


WITH_TRAFFIC = frozenset({State.OBSERVING, State.HELD, State.PAUSED, State.DECIDING, State.ADVANCING, State.WATCHING})
OVER = frozenset({State.COMPLETED, State.ROLLED_BACK, State.ABORTED, State.REFUSED})
ACTIVE = frozenset(State) - OVER
"""States that keep another rollout of the same workflow out of the space."""
BACKING_OUT = frozenset({State.ROLLING_BACK, State.VALIDATING, State.ROLLBACK_FAILED})
PAUSABLE = frozenset({State.SHADOWING, State.OBSERVING, State.HELD, State.DECIDING, State.ADVANCING, State.WATCHING})


class WaveState(StrEnum):
    """What one space of a rollout does. `left`: it was held with its weight when another space was rolled back."""

    WAITING = "waiting"
    LIVE = "live"
    LEFT = "left"
    DONE = "done"
    ROLLED_BACK = "rolled_back"

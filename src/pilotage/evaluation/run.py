"""Runs and their tasks as values (evaluation.md 8): what is run, how far it is, and what may follow.

Rule: a run is fixed when it is asked for (release, golden digest, day, repeats), so any process that resumes it comes
to the same result. Fail mode: only a completed run has a verdict; every other end is no evidence of anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName

MAX_FAILURES: Final = 3
MAX_LEASES: Final = 25
"""A case that takes this many workers down with it is a target error; it must not do so for ever."""

CACHE_DAYS: Final = timedelta(days=7)
"""How old a generation may be that a gating run uses again; scheduled runs use none."""


class RunKind(StrEnum):
    """The suites; each is an evidence kind of the same name."""

    EVALUATION = "evaluation"
    PERMISSIONS = "permissions"
    FAIRNESS = "fairness"
    REDTEAM = "redteam"


class RunState(StrEnum):
    """`completed` says nothing about the verdict; `failed`: the release was not reached, and may be asked again."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    OVER_BUDGET = "over_budget"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Tell whether nothing follows by itself; a cancelled or failed run may be resumed."""
        return self not in {RunState.QUEUED, RunState.RUNNING}


class Cause(StrEnum):
    """Why a run was asked for."""

    COMMAND = "command"
    SEAL = "seal"
    SCHEDULE = "schedule"


class Arm(StrEnum):
    """Which release a task asks."""

    CANDIDATE = "candidate"
    BASELINE = "baseline"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRun:
    """One run. `space` None is headless; `golden` empty means every golden file of the suite's purpose.

    `as_of` is the day of cases that name none. `result_sha256` covers the bytes a resumed run repeats. `spent_nano` is
    what was paid and what is reserved for calls in flight, in 1e-9 of the currency; only runs under a cap count it.
    `approved` is the release whose golden cases are asked too where this one asks less; `oldest` the oldest GO release
    of a year, which it is also compared with; None where that is the baseline itself.
    """

    id: str
    kind: RunKind
    workflow: WorkflowName
    release: Digest
    baseline: Digest | None = None
    space: SpaceName | None = None
    golden: tuple[str, ...] = ()
    golden_digest: Digest
    repeats: int = 1
    as_of: date
    is_gating: bool = True
    cause: Cause = Cause.COMMAND
    state: RunState = RunState.QUEUED
    verdict: str | None = None
    result_sha256: Digest | None = None
    evidence: str | None = None
    note: str = ""
    requested_by: str
    requested_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    voided_at: datetime | None = None
    spent_nano: int = 0
    approved: Digest | None = None
    oldest: Digest | None = None

    @property
    def counts(self) -> bool:
        """Tell whether its verdict is one on the release: whole, gating, and not voided."""
        return self.state is RunState.COMPLETED and self.is_gating and self.voided_at is None

    @property
    def arms(self) -> dict[Arm, Digest]:
        """The release that each arm asks, in the order they are asked."""
        found = {Arm.CANDIDATE: self.release, Arm.BASELINE: self.baseline, Arm.OLDEST: self.oldest}
        return {arm: release for arm, release in found.items() if release is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKey:
    """(run, arm, case, repeat); repeats count from 0."""

    run: str
    arm: Arm
    case_id: str
    repeat: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as it was leased. `attempt` counts leases from 1, `failures` the answers that failed before."""

    key: TaskKey
    attempt: int
    failures: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: tasks done of all, answers taken from the cache, calls that were made more than once.

    `errors` counts every task without an answer, `not_asked` those of them that the cost cap left out, `answers` what
    the release itself answered, apart from those it is compared with.
    """

    done: int
    total: int
    cached: int = 0
    errors: int = 0
    not_asked: int = 0
    repeated_calls: int = 0
    answers: int = 0


def backoff(failures: int) -> timedelta:
    """Return the wait after the given number of failures: 1, 4, 16 s."""
    return timedelta(seconds=4 ** (failures - 1))

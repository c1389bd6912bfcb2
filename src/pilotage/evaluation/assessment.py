"""The records all of evaluation shares (evaluation.md 3.1, 3.2): a scorer's contract, one assessment, one metric.

Rule: an assessment is pass, fail or unscored; a scored one carries a finite number inside the scorer's range, an
unscored one a reason of a closed list and no number. There are no default scores. Fail mode: a record that breaks this
does not construct, and unscored for a harmful reason counts as the worst of the range wherever a GO is computed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest


class Source(StrEnum):
    """Who assessed."""

    CODE = "code"
    HUMAN = "human"
    LLM_JUDGE = "llm_judge"


class Status(StrEnum):
    """What an assessment found. UNSCORED is a value of its own, never a pass and never dropped."""

    PASS = "pass"  # noqa: S105 - a verdict, not a secret
    FAIL = "fail"
    UNSCORED = "unscored"


class Unscored(StrEnum):
    """Why there is no number (evaluation.md 3.1). Only REFUSED is benign: `refusal_correct` scores that answer."""

    REFUSED = "refused"
    TARGET_ERROR = "target_error"
    TIMEOUT = "timeout"
    SCORER_ERROR = "scorer_error"
    JUDGE_INVALID = "judge_invalid"
    UNSUPPORTED = "unsupported"
    NO_STATEMENTS = "no_statements"
    UNPRICED = "unpriced"
    NOT_DELIVERED = "not_delivered"
    BUDGET = "budget"
    MISSING_FIELD = "missing_field"

    @property
    def is_harmful(self) -> bool:
        """Tell whether the missing number must count against the release."""
        return self is not Unscored.REFUSED


_REASONS = frozenset(reason.value for reason in Unscored)


class Direction(StrEnum):
    """Which way a metric is better."""

    HIGHER = "higher"
    LOWER = "lower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a scorer declares about its number: range, direction, pass threshold, and whether one failure is a NO-GO.

    `low` and `high` bound every value; `high` may be infinite for latency and cost. `threshold` is where a case
    passes: value >= threshold when higher is better, value <= threshold when lower is; None where nothing passes or
    fails on its own. `is_binary`: every value is `low` or `high`, so rates and exact tests apply.
    """

    name: str
    version: str = ""
    low: float = 0.0
    high: float = 1.0
    direction: Direction = Direction.HIGHER
    threshold: float | None = None
    hard_zero: bool = False
    is_binary: bool = False

    @property
    def best(self) -> float:
        """The end of the range a perfect answer has."""
        return self.high if self.direction is Direction.HIGHER else self.low

    @property
    def worst(self) -> float:
        """The end of the range harmful-unscored counts as; infinite where the range is open on that side."""
        return self.low if self.direction is Direction.HIGHER else self.high

    def passes(self, value: float) -> bool:
        """Tell whether a value reaches the threshold; a measure without threshold passes everything."""
        if self.threshold is None:
            return True
        return value >= self.threshold if self.direction is Direction.HIGHER else value <= self.threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One scorer's finding about one generation of one case. Repeats of a case count from 0.

    `reason` is a member of `Unscored` (as text) when unscored, else free text that says why it failed, or empty.
    `cost_nano` is what the assessment itself cost in 1e-9 of the price currency: 0 for code, a call's price for judges.
    """

    case_id: str
    case_digest: Digest
    generation_digest: Digest
    scorer: str
    version: str
    source: Source = Source.CODE
    status: Status
    value: float | None = None
    reason: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)
    cost_nano: int = 0
    repeat: int = 0

    def __post_init__(self) -> None:
        if self.status is Status.UNSCORED:
            if self.value is not None or self.reason not in _REASONS:
                message = f"{self.case_id}/{self.scorer}: unscored needs a known reason and no value."
                raise ValueError(message)
        elif self.value is None or not math.isfinite(self.value):
            message = f"{self.case_id}/{self.scorer}: {self.status.value} needs a finite value, not {self.value}."
            raise ValueError(message)

    @property
    def is_harmful(self) -> bool:
        """Tell whether this is a number missing for a harmful reason."""
        return self.status is Status.UNSCORED and Unscored(self.reason).is_harmful

    def as_json(self) -> dict[str, Json]:
        """Return every field, for stores, reports and Merkle leaves."""
        return {
            "case_id": self.case_id,
            "case_digest": self.case_digest,
            "generation_digest": self.generation_digest,
            "scorer": self.scorer,
            "version": self.version,
            "source": self.source.value,
            "status": self.status.value,
            "value": self.value,
            "reason": self.reason,
            "details": dict(self.details),
            "cost_nano": self.cost_nano,
            "repeat": self.repeat,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricResult:
    """One metric over one set of cases (evaluation.md 3.2).

    `value` is the mean over the `n` scored cases, None without any; `lcb` and `ucb` are one-sided bounds at the
    registered alpha (default 95 %), `ci` the two-sided 95 % interval; all are None where nothing can be said.
    `unscored` counts cases by reason. `worst` is the mean with harmful-unscored cases at the worst of the
    range, None when such a case meets an open range.
    """

    name: str
    value: float | None
    n: int
    lcb: float | None = None
    ucb: float | None = None
    ci: tuple[float, float] | None = None
    unscored: Mapping[str, int] = field(default_factory=dict)
    worst: float | None = None
    clusters: int = 0
    deff: float = 1.0

    @property
    def harmful(self) -> int:
        """How many cases lack a number for a harmful reason."""
        return sum(count for reason, count in self.unscored.items() if Unscored(reason).is_harmful)

    @property
    def harmful_share(self) -> float:
        """Harmful-unscored cases as a share of all that apply (scored or harmful); 0 without any case."""
        total = self.n + self.harmful
        return self.harmful / total if total else 0.0

    def as_json(self) -> dict[str, Json]:
        """Return every field, for reports and evidence."""
        return {
            "name": self.name,
            "value": self.value,
            "n": self.n,
            "lcb": self.lcb,
            "ucb": self.ucb,
            "ci": list(self.ci) if self.ci is not None else None,
            "unscored": dict(self.unscored),
            "worst": self.worst,
            "clusters": self.clusters,
            "deff": self.deff,
        }

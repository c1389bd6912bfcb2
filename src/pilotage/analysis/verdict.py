"""What a verdict is: GO, NO_GO or INCONCLUSIVE, with every test's numbers, as canonical JSON that people sign.

Rule: a verdict is a value; the same counters, limits and context give the same bytes and the same digest. Numbers are
decimal text with six digits, so the digest does not depend on a processor's last bit. Fail mode: there is no default
outcome; `judge.py` answers INCONCLUSIVE wherever it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pilotage.core.canonical import Form, Json, canonical_bytes
from pilotage.core.digest import Digest, digest_of
from pilotage.core.reason import Reason


class Judgement(StrEnum):
    """The outcome of a verdict. Only GO lets a rollout advance."""

    GO = "go"
    NO_GO = "no_go"
    INCONCLUSIVE = "inconclusive"


class Effect(StrEnum):
    """What a NO_GO asks for: hold the weight, or take the candidate out at once. Severity rises in this order."""

    NONE = "none"
    HOLD = "hold"
    ROLLBACK = "rollback"


class Purpose(StrEnum):
    """What a test is for: proving a GO limit, holding, tripping, or checking the router itself."""

    GO = "go"
    HOLD = "hold"
    TRIP = "trip"
    CHECK = "check"


class Standing(StrEnum):
    """Where a test stands."""

    PROVED = "proved"
    """A GO criterion's limit is proven on the counts as of now."""
    OPEN = "open"
    """A GO criterion is not proven (yet)."""
    QUIET = "quiet"
    """A guard that has not fired, or a check that holds."""
    FIRED = "fired"
    """A guard fired, or a check failed. Guards stay fired until a person decides."""
    ABSENT = "absent"
    """The test cannot run here (no control arm, no data kept for it) and says so."""
    BROKEN = "broken"
    """The test could not be computed; the verdict is INCONCLUSIVE at best."""


class Code(StrEnum):
    """Why a verdict is what it is."""

    INSUFFICIENT_EVIDENCE = "insufficient_evidence"
    NO_TRAFFIC = "no_traffic"
    NO_CONTROL = "no_control"
    SAMPLE_RATIO = "sample_ratio"
    OBSERVATION_GAP = "observation_gap"
    JUDGE_ERROR = "judge_error"
    RECORD_LAG = "record_lag"
    CLOCK_ERROR = "clock_error"
    SHADOW_LOSS = "shadow_loss"
    GATE_NOT_MET = "gate_not_met"
    SPACE_HEALTH = "space_health"
    INTERNAL_ERROR = "internal_error"
    PROVED = "proved"
    """Not against GO: a criterion of a GO verdict with its numbers."""
    CRITICAL_INCIDENT = "critical_incident"
    GUARD_FIRED = "guard_fired"
    HARD_EVENT = "hard_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """One test's numbers. `log_e` and `threshold` are natural logarithms; None where the test did not run."""

    name: str
    purpose: Purpose
    standing: Standing
    n: int = 0
    x: int = 0
    limit: str = ""
    log_e: float | None = None
    threshold: float | None = None

    def as_json(self) -> dict[str, Json]:
        """Return the numbers, logarithms as decimal text with six digits."""
        return {
            "purpose": self.purpose.value,
            "standing": self.standing.value,
            "n": self.n,
            "x": self.x,
            "limit": self.limit,
            "log_e": _decimal(self.log_e),
            "threshold": _decimal(self.threshold),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What the verdict speaks of. `ledger_from`, `ledger_to`: numbers of the first and last record counted.

    `excused`: windows that count for neither arm, as their ledger entries name them.
    """

    plan: str
    release: str
    space: str
    step: str
    ledger_from: int
    ledger_to: int
    excused: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """Return the fields by name; `excused` stands there only where something was."""
        return {
            **({"excused": list(self.excused)} if self.excused else {}),
            "plan": self.plan,
            "release": self.release,
            "space": self.space,
            "step": self.step,
            "ledger_from": self.ledger_from,
            "ledger_to": self.ledger_to,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An outcome with its effect, its reasons and every test by name. People sign `digest`."""

    subject: Subject
    outcome: Judgement
    effect: Effect
    reasons: tuple[Reason, ...]
    tests: Mapping[str, Tested]
    attempt: int = 1

    def as_json(self) -> dict[str, Json]:
        """Return the signed value; it holds no fraction, so it may stand in a ledger entry."""
        return {
            "format": "pilotage-verdict-v1",
            "subject": self.subject.as_json(),
            "outcome": self.outcome.value,
            "effect": self.effect.value,
            "reasons": [dict(reason.as_json()) for reason in self.reasons],
            "tests": {name: test.as_json() for name, test in self.tests.items()},
            "attempt": self.attempt,
        }

    def canonical(self) -> bytes:
        """Return the RFC 8785 bytes of the verdict."""
        return canonical_bytes(self.as_json(), form=Form.ENTRY)

    @property
    def digest(self) -> Digest:
        """Return the digest that sign-offs bind."""
        return digest_of(self.canonical())

    @property
    def fired(self) -> tuple[str, ...]:
        """Names of the guards that fired, in alphabetical order: pass them back as `latched` next time."""
        return tuple(
            sorted(
                name
                for name, test in self.tests.items()
                if test.standing is Standing.FIRED and test.purpose in {Purpose.HOLD, Purpose.TRIP}
            )
        )


def _decimal(value: float | None) -> str | None:
    if value is None:
        return None
    text = f"{value:.6f}"  # an impossible sample ratio reads "inf"
    return "0.000000" if text == "-0.000000" else text

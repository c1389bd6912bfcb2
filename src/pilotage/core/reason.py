"""Reasons and three-valued outcomes: every decision carries its numbers, and unknown is never a pass.

CLI, API, page and ledger render the same `Reason`. Fail mode: `worst` of nothing is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """A check's result. INCONCLUSIVE blocks exactly as NOT_OK does."""

    OK = "ok"
    INCONCLUSIVE = "inconclusive"
    NOT_OK = "not_ok"


_RANK = {Outcome.OK: 0, Outcome.INCONCLUSIVE: 1, Outcome.NOT_OK: 2}


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst outcome; no outcomes at all is INCONCLUSIVE, never a pass."""
    return max(outcomes, key=_RANK.__getitem__, default=Outcome.INCONCLUSIVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why: a stable code, a sentence with its numbers, and where it was found.

    `observed` and `limit` are already formatted with units ("0.14 %", "0.10 %").
    """

    code: str
    text: str
    where: str | None = None
    observed: str | None = None
    limit: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return the fields that are set, for CLI, API and ledger."""
        fields = {
            "code": self.code,
            "text": self.text,
            "where": self.where,
            "observed": self.observed,
            "limit": self.limit,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The answer is no (exit 1), with every reason at once. Nothing was changed."""

    reasons: tuple[Reason, ...]

    def as_json(self) -> dict[str, object]:
        """Return `{"refused": true, "reasons": [...]}`."""
        return {"refused": True, "reasons": [reason.as_json() for reason in self.reasons]}

"""What a release must show (evaluation.md 7.3): seven kinds of criteria, and the parser of their written form.

Rule: text is parsed by a fixed grammar and never evaluated: `answer_accuracy >= 0.9 and `latency/p95` <= 2`. A limit
is met by the confidence bound, or with `(point)` by the value itself. Fail mode: text outside the grammar raises
UsageError with what to write instead; no part of it is skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NoReturn, assert_never

from pilotage.core.canonical import Json
from pilotage.core.errors import UsageError
from pilotage.core.reason import Reason


class Verdict(StrEnum):
    """GO is shown, NO-GO is shown, or neither is. Only GO passes."""

    GO = "go"
    INCONCLUSIVE = "inconclusive"
    NO_GO = "no_go"


_RANK = {Verdict.GO: 0, Verdict.INCONCLUSIVE: 1, Verdict.NO_GO: 2}


def worst_verdict(*verdicts: Verdict) -> Verdict:
    """Return any NO-GO, else any INCONCLUSIVE, else GO; nothing at all is INCONCLUSIVE."""
    return max(verdicts, key=_RANK.__getitem__, default=Verdict.INCONCLUSIVE)


class Kind(StrEnum):
    """The kinds of criteria."""

    NON_INFERIOR = "non_inferior"
    SUPERIOR = "superior"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    HARD_ZERO = "hard_zero"
    MUST_PASS = "must_pass"  # noqa: S105 - a criterion, not a secret


class DecideOn(StrEnum):
    """What is held against a limit."""

    BOUND = "bound"
    POINT = "point"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One criterion. `limit` is the limit of at_least and at_most, or the margin of non_inferior.

    `minimum` is the least number of scored cases a hard zero needs.
    """

    kind: Kind
    metric: str = ""
    limit: float = 0.0
    decide_on: DecideOn = DecideOn.BOUND
    minimum: int = 1

    @property
    def is_comparison(self) -> bool:
        """Tell whether it needs a baseline."""
        return self.kind in (Kind.NON_INFERIOR, Kind.SUPERIOR)

    def __str__(self) -> str:
        """Return the written form, which parses back to the same criterion."""
        name = self.metric if _BARE.fullmatch(self.metric) else f"`{self.metric}`"
        point = " (point)" if self.decide_on is DecideOn.POINT else ""
        match self.kind:
            case Kind.AT_LEAST:
                return f"{name} >= {self.limit!r}{point}"
            case Kind.AT_MOST:
                return f"{name} <= {self.limit!r}{point}"
            case Kind.HARD_ZERO:
                return f"{name} = 0" + (f" over {self.minimum}" if self.minimum > 1 else "")
            case Kind.NON_INFERIOR:
                return f"non_inferior {name} {self.limit!r}"
            case Kind.SUPERIOR:
                return f"superior {name}"
            case Kind.MUST_PASS:
                return "must_pass"
        assert_never(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionResult:
    """The verdict over one criterion, with its reason. `note` is for the reader and decides nothing."""

    criterion: Criterion
    verdict: Verdict
    reason: Reason
    note: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the row of the criteria table."""
        return {
            "criterion": str(self.criterion),
            "verdict": self.verdict.value,
            "reason": dict(self.reason.as_json()),
            "note": self.note,
        }


_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./:@-]*")
_TOKEN = re.compile(
    r"\s*(?:`(?P<quoted>[^`]{1,200})`|(?P<word>[A-Za-z_][A-Za-z0-9_./:@-]*)"
    r"|(?P<number>[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?)|(?P<operator>>=|<=|==|=|[()]))"
)
_MOST = 2_000
_FORMS = (
    "Write `metric >= 0.9`, `metric <= 2`, `metric = 0`, `non_inferior metric 0.03`, `superior metric` or `must_pass`, "
    "joined by `and`; names with other characters stand in backticks."
)


@dataclass(slots=True)
class _Reading:
    """The words of one text, and how far they are read."""

    text: str
    words: list[tuple[str, str]]
    at: int = 0

    def refuse(self, what: str) -> NoReturn:
        raise UsageError("CRITERION_FORM", f"{what} in the criterion {self.text[:120]!r}.", hint=_FORMS)

    def peek(self) -> tuple[str, str]:
        return self.words[self.at] if self.at < len(self.words) else ("end", "")

    def take(self, *kinds: str) -> str:
        kind, word = self.peek()
        if kind not in kinds:
            found = f"{word!r} stands" if word else "The text ends"
            self.refuse(f"{found} where {' or '.join(kinds)} should")
        self.at += 1
        return word

    def skip(self, word: str) -> bool:
        if self.peek() in (("word", word), ("operator", word)):
            self.at += 1
            return True
        return False


def parse_criteria(text: str) -> tuple[Criterion, ...]:
    """Return the criteria of a text, in order; raise UsageError for anything the grammar does not know."""
    reading = _Reading(text=text, words=[])
    if len(text) > _MOST:
        reading.refuse(f"More than {_MOST} characters stand")
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            reading.refuse(f"{text[place:].strip()[:20]!r} is not understood")
        reading.words.append((found.lastgroup, found[found.lastgroup]))
        place = found.end()
    criteria = [_criterion(reading)]
    while reading.skip("and"):
        criteria.append(_criterion(reading))
    reading.take("end")
    return tuple(criteria)


def _criterion(reading: _Reading) -> Criterion:
    if reading.skip("must_pass"):
        return Criterion(kind=Kind.MUST_PASS)
    if reading.skip("superior"):
        return Criterion(kind=Kind.SUPERIOR, metric=reading.take("quoted", "word"))
    if reading.skip("non_inferior"):
        metric = reading.take("quoted", "word")
        margin = float(reading.take("number"))
        if margin <= 0.0:
            reading.refuse(f"The margin {margin:g} is not above 0")
        return Criterion(kind=Kind.NON_INFERIOR, metric=metric, limit=margin)
    metric = reading.take("quoted", "word")
    operator = reading.take("operator")
    if operator in ("=", "=="):
        return _hard_zero(reading, metric)
    if operator not in (">=", "<="):
        reading.refuse(f"{operator!r} is no comparison")
    kind = Kind.AT_LEAST if operator == ">=" else Kind.AT_MOST
    found = Criterion(kind=kind, metric=metric, limit=float(reading.take("number")))
    if reading.skip("("):
        if not reading.skip("point"):
            reading.refuse("Only `(point)` may stand in brackets")
        if not reading.skip(")"):
            reading.refuse("A bracket is not closed")
        found = replace(found, decide_on=DecideOn.POINT)
    return found


def _hard_zero(reading: _Reading, metric: str) -> Criterion:
    limit = reading.take("number")
    if float(limit) != 0.0:
        reading.refuse(f"`= {limit}` is not possible, only `= 0`")
    minimum = 1
    if reading.skip("over"):
        word = reading.take("number")
        if not word.isdigit() or int(word) < 1:
            reading.refuse(f"{word!r} is not a number of cases")
        minimum = int(word)
    return Criterion(kind=Kind.HARD_ZERO, metric=metric, minimum=minimum)

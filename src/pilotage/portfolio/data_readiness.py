"""Data readiness D of a use case: the mean of eight scores of 0, 0.25 .. 1 (operations.md 8).

Rule: a corpus that was refreshed is scored from its newest accepted version, the worst corpus counts; what no scan can
measure is answered by a named person. Owners are declared: an answer may only lower them. Shares are rounded down.
Access policy, owners or lineage at 0 set D to 0.
Fail mode: an aspect that nobody scanned and nobody answered is unknown, and so is D; so is one whose answer is dated
in the future, and one that could not be counted in time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import floor
from typing import Final, TypeAlias

from pilotage.core.canonical import Json
from pilotage.core.ids import CorpusName, PersonId
from pilotage.workspace.portfolio import Aspect, UseCase

FUNDABLE: Final = Decimal("0.5")
"""Below it only the discovery band may be funded."""
_COUNTED: Final = frozenset({Aspect.ACCESS_POLICY, Aspect.LINEAGE, Aspect.FRESHNESS})
VETOES: Final = frozenset({Aspect.ACCESS_POLICY, Aspect.OWNERS, Aspect.LINEAGE})
_FULL: Final = Decimal(1)
_HALF: Final = Decimal("0.5")
_QUARTER: Final = Decimal("0.25")
_ZERO: Final = Decimal(0)


class Basis(StrEnum):
    """Where a score comes from."""

    SCAN = "scan"
    DECLARED = "declared"
    ANSWER = "answer"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Documents of a version; `with_uri` have the address they came from in their own lineage."""

    documents: int
    with_uri: int
    with_acl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of a quality report: `unsound` documents are duplicates, nearly empty or not readable.

    `exposed` are confidential or higher and readable by everyone.
    """

    documents: int
    rejected: int
    unsound: int
    exposed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusScan:
    """What the newest accepted version of a corpus and its declaration say.

    `counts` None: they took too long. `report` None: the version has no quality report. `period` is the cadence; None:
    refreshed by hand.
    """

    corpus: CorpusName
    version: int
    at: datetime
    counts: Counts | None
    report: Report | None
    refreshed_at: datetime | None
    period: timedelta | None
    retention_days: int | None
    has_exclusions: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AspectScore:
    """One of the eight. `score` None: unknown; `text` says what it rests on, `by` who answered, `day` when."""

    aspect: Aspect
    score: Decimal | None
    basis: Basis
    text: str
    day: date | None = None
    by: PersonId | None = None

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "aspect": self.aspect.value,
            "score": None if self.score is None else str(self.score),
            "basis": self.basis.value,
            "text": self.text,
            "date": None if self.day is None else self.day.isoformat(),
            "by": self.by,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DataReadiness:
    """The eight scores, in the order of `Aspect`."""

    scores: tuple[AspectScore, ...]

    @property
    def vetoes(self) -> tuple[Aspect, ...]:
        """The aspects that set D to 0."""
        return tuple(one.aspect for one in self.scores if one.aspect in VETOES and one.score == _ZERO)

    @property
    def unknown(self) -> tuple[Aspect, ...]:
        """The aspects nobody scanned or answered."""
        return tuple(one.aspect for one in self.scores if one.score is None)

    @property
    def value(self) -> Decimal | None:
        """D; None while an aspect is unknown, unless one at 0 decides already."""
        if self.vetoes:
            return _ZERO
        return None if self.unknown else self._mean(_ZERO)

    @property
    def least(self) -> Decimal:
        """What D is at least."""
        return _ZERO if self.vetoes else self._mean(_ZERO)

    @property
    def most(self) -> Decimal:
        """What D is at most."""
        return _ZERO if self.vetoes else self._mean(_FULL)

    def _mean(self, instead: Decimal) -> Decimal:
        return sum((instead if one.score is None else one.score for one in self.scores), _ZERO) / len(self.scores)

    def as_json(self) -> dict[str, Json]:
        """Return the documented record."""
        return {
            "value": None if self.value is None else str(self.value),
            "least": str(self.least),
            "most": str(self.most),
            "unknown": [one.value for one in self.unknown],
            "set_to_zero_by": [one.value for one in self.vetoes],
            "scores": [one.as_json() for one in self.scores],
        }


_Scorer: TypeAlias = Callable[[CorpusScan, datetime], AspectScore | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Who answers for the content of a use case. A group is nobody."""

    data: tuple[PersonId, ...]
    security: PersonId | None


def assess(case: UseCase, scans: Mapping[CorpusName, CorpusScan], owners: Owners, *, now: datetime) -> DataReadiness:
    """Score a use case; a corpus it names that is not in `scans` has no accepted version."""
    is_slow = any(name in scans and scans[name].counts is None for name in case.corpora)
    scores = [_owned(case, owners, now)]
    for aspect, scorer in _SCORERS.items():
        seen = [None if name not in scans else scorer(scans[name], now) for name in case.corpora]
        scores.append(_score(case, aspect, seen, now, is_slow=is_slow and aspect in _COUNTED))
    return DataReadiness(scores=tuple(sorted(scores, key=lambda one: list(Aspect).index(one.aspect))))


def _score(
    case: UseCase, aspect: Aspect, seen: Sequence[AspectScore | None], now: datetime, *, is_slow: bool
) -> AspectScore:
    known = [one for one in seen if one is not None]
    if seen and len(known) == len(seen):
        return _worst(known)
    at_zero = [one for one in known if one.score == _ZERO]
    if at_zero:
        return at_zero[0]
    if is_slow:  # an answer does not stand in for what can be counted
        return _nothing(aspect, "counting the documents took too long; ask again later")
    answer = _answered(case, aspect)
    if answer is not None and answer.day is not None and answer.day > now.date():
        return _ahead(answer)
    return _unknown(case, aspect) if answer is None else _worst([*known, answer])


def _worst(scores: Sequence[AspectScore]) -> AspectScore:
    return min(scores, key=lambda one: _ZERO if one.score is None else one.score)


def _answered(case: UseCase, aspect: Aspect) -> AspectScore | None:
    answer = case.readiness.get(aspect)
    if answer is None:
        return None
    return AspectScore(
        aspect=aspect,
        score=answer.score,
        basis=Basis.ANSWER,
        text=answer.note or "answered without a note",
        day=answer.date,
        by=answer.by,
    )


def _unknown(case: UseCase, aspect: Aspect) -> AspectScore:
    why = "no accepted refresh says" if case.corpora else "no corpus is named"
    return _nothing(aspect, f"{why}, and nobody answered; write readiness: {{{aspect.value}: {{score, by, date}}}}")


def _nothing(aspect: Aspect, text: str) -> AspectScore:
    return AspectScore(aspect=aspect, score=None, basis=Basis.NOTHING, text=text)


def _ahead(answer: AspectScore) -> AspectScore:
    return _nothing(answer.aspect, f"the answer of {answer.by} is dated {answer.day}, which has not come")


def _owned(case: UseCase, owners: Owners, now: datetime) -> AspectScore:
    """Score what is declared; an answer may lower it, and raises nothing."""
    data, security = ", ".join(dict.fromkeys(owners.data)), owners.security
    text = f"data: {data or 'nobody'}; security: {security or 'nobody'}"
    score = _FULL if data and security else _HALF
    declared = AspectScore(aspect=Aspect.OWNERS, score=score, basis=Basis.DECLARED, text=text)
    if not data and security is None:
        declared = _nothing(Aspect.OWNERS, "nobody is declared; write data_owner and security_owner")
    answer = _answered(case, Aspect.OWNERS)
    if answer is None:
        return declared
    if answer.day is not None and answer.day > now.date():
        return _ahead(answer)
    most = _QUARTER if declared.score is None else declared.score
    return answer if answer.score is not None and answer.score < most else declared


def _scanned(scan: CorpusScan, aspect: Aspect, score: Decimal, text: str) -> AspectScore:
    said = f"{scan.corpus}@{scan.version}: {text}"
    return AspectScore(aspect=aspect, score=score, basis=Basis.SCAN, text=said, day=scan.at.date())


def _quarter(share: Fraction) -> Decimal:
    """Round a share down to a quarter."""
    return Decimal(floor(max(Fraction(0), min(share, Fraction(1))) * 4)) / 4


def _lineage(scan: CorpusScan, _now: datetime) -> AspectScore | None:
    """Score addresses; a source whose items have none at all, as a folder, says nothing."""
    counts = scan.counts
    if counts is None or counts.with_uri == 0:
        return None
    text = f"{counts.with_uri:,} of {counts.documents:,} documents have the address they came from"
    return _scanned(scan, Aspect.LINEAGE, _quarter(Fraction(counts.with_uri, counts.documents)), text)


def _access_policy(scan: CorpusScan, _now: datetime) -> AspectScore | None:
    counts = scan.counts
    if counts is None or counts.documents == 0:
        return None
    text = f"{counts.with_acl:,} of {counts.documents:,} documents have an ACL"
    return _scanned(scan, Aspect.ACCESS_POLICY, _quarter(Fraction(counts.with_acl, counts.documents)), text)


def _quality(scan: CorpusScan, _now: datetime) -> AspectScore | None:
    report = scan.report
    whole = 0 if report is None else report.documents + report.rejected
    if report is None or whole == 0:
        return None
    sound = max(0, report.documents - report.unsound)
    text = f"{sound:,} of {whole:,} items are readable, no duplicate and not empty"
    return _scanned(scan, Aspect.QUALITY, _quarter(Fraction(sound, whole)), text)


def _retention(scan: CorpusScan, _now: datetime) -> AspectScore:
    days = scan.retention_days
    if days is None:
        return _scanned(scan, Aspect.RETENTION, _ZERO, "corpus.yaml declares no retention")
    return _scanned(scan, Aspect.RETENTION, _FULL, f"kept {days:,} days")


def _freshness(scan: CorpusScan, now: datetime) -> AspectScore | None:
    if scan.period is None or scan.refreshed_at is None:
        return None
    age, period = now - scan.refreshed_at, scan.period
    share = Fraction(1) if age <= period else Fraction(period // _SECOND, age // _SECOND)
    text = f"refreshed {_days(age)} ago, due every {_days(period)}"
    return _scanned(scan, Aspect.FRESHNESS, _quarter(share), text)


def _exclusions(scan: CorpusScan, _now: datetime) -> AspectScore | None:
    if not scan.has_exclusions:
        return None
    return _scanned(scan, Aspect.EXCLUSIONS, _FULL, "corpus.yaml declares what never enters")


def _classification(scan: CorpusScan, _now: datetime) -> AspectScore | None:
    """Score 0 what is exposed. A document takes its corpus's class, so that it has one says nothing: a person does."""
    if scan.report is None or scan.report.exposed == 0:
        return None
    text = f"{scan.report.exposed:,} confidential documents are readable by everyone"
    return _scanned(scan, Aspect.CLASSIFICATION, _ZERO, text)


def _days(span: timedelta) -> str:
    days = span // timedelta(days=1)
    return f"{days} day{'' if days == 1 else 's'}" if days else f"{span // timedelta(hours=1)} h"


_SECOND: Final = timedelta(seconds=1)
_SCORERS: Final[Mapping[Aspect, _Scorer]] = {
    Aspect.QUALITY: _quality,
    Aspect.LINEAGE: _lineage,
    Aspect.RETENTION: _retention,
    Aspect.ACCESS_POLICY: _access_policy,
    Aspect.FRESHNESS: _freshness,
    Aspect.EXCLUSIONS: _exclusions,
    Aspect.CLASSIFICATION: _classification,
}

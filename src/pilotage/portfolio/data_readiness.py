"""Data readiness D of a use case: the mean of eight scores of 0, 0.25 .. 1 (operations.md 8).

Rule: a corpus that was refreshed is scored from its newest version, the worst corpus counts; what no scan says is
answered by a named person. Shares are rounded down. Access policy, owners or lineage at 0 set D to 0.
Fail mode: an aspect that nobody scanned and nobody answered is unknown, and so is D.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
VETOES: Final = frozenset({Aspect.ACCESS_POLICY, Aspect.OWNERS, Aspect.LINEAGE})
_FULL: Final = Decimal(1)
_HALF: Final = Decimal("0.5")
_ZERO: Final = Decimal(0)


class Basis(StrEnum):
    """Where a score comes from."""

    SCAN = "scan"
    DECLARED = "declared"
    ANSWER = "answer"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusScan:
    """What the newest version of a corpus and its declaration say.

    `unsound` documents are duplicates, nearly empty or not readable; `exposed` are confidential or higher and readable
    by everyone. `looked_for_pii`: the refresh counted personal data. `period` is the cadence; None: refreshed by hand.
    """

    corpus: CorpusName
    version: int
    at: datetime
    documents: int
    rejected: int
    unsound: int
    with_lineage: int
    with_acl: int
    labelled: int
    exposed: int
    looked_for_pii: bool
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
    """Score a use case; a corpus it names that is not in `scans` was never refreshed."""
    scores = [_owned(case, owners)]
    for aspect, scorer in _SCORERS.items():
        seen = [None if name not in scans else scorer(scans[name], now) for name in case.corpora]
        scores.append(_score(case, aspect, seen))
    return DataReadiness(scores=tuple(sorted(scores, key=lambda one: list(Aspect).index(one.aspect))))


def _score(case: UseCase, aspect: Aspect, seen: Sequence[AspectScore | None]) -> AspectScore:
    known = [one for one in seen if one is not None]
    if seen and len(known) == len(seen):
        return _worst(known)
    answer = _answered(case, aspect)
    if answer is not None:
        return _worst([*known, answer])
    at_zero = [one for one in known if one.score == _ZERO]
    return at_zero[0] if at_zero else _unknown(case, aspect)


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
    why = "no refresh says" if case.corpora else "no corpus is named"
    text = f"{why}, and nobody answered; write readiness: {{{aspect.value}: {{score, by, date}}}}"
    return AspectScore(aspect=aspect, score=None, basis=Basis.NOTHING, text=text)


def _owned(case: UseCase, owners: Owners) -> AspectScore:
    data, security = ", ".join(dict.fromkeys(owners.data)), owners.security
    if data and security:
        text = f"data: {data}; security: {security}"
        return AspectScore(aspect=Aspect.OWNERS, score=_FULL, basis=Basis.DECLARED, text=text)
    answer = _answered(case, Aspect.OWNERS)
    if answer is not None:
        return answer
    if not data and security is None:
        return _unknown(case, Aspect.OWNERS)
    text = f"data: {data or 'nobody'}; security: {security or 'nobody'}"
    return AspectScore(aspect=Aspect.OWNERS, score=_HALF, basis=Basis.DECLARED, text=text)


def _scanned(scan: CorpusScan, aspect: Aspect, score: Decimal, text: str) -> AspectScore:
    said = f"{scan.corpus}@{scan.version}: {text}"
    return AspectScore(aspect=aspect, score=score, basis=Basis.SCAN, text=said, day=scan.at.date())


def _quarter(share: Fraction) -> Decimal:
    """Round a share down to a quarter."""
    return Decimal(floor(max(Fraction(0), min(share, Fraction(1))) * 4)) / 4


def _share(aspect: Aspect, part: Callable[[CorpusScan], int], says: str) -> _Scorer:
    def score(scan: CorpusScan, _now: datetime) -> AspectScore | None:
        whole = scan.documents
        if whole == 0:
            return None
        return _scanned(
            scan, aspect, _quarter(Fraction(part(scan), whole)), f"{part(scan):,} of {whole:,} documents {says}"
        )

    return score


def _quality(scan: CorpusScan, _now: datetime) -> AspectScore | None:
    whole = scan.documents + scan.rejected
    if whole == 0:
        return None
    sound = max(0, scan.documents - scan.unsound)
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


def _classification(scan: CorpusScan, now: datetime) -> AspectScore | None:
    labelled = _share(Aspect.CLASSIFICATION, lambda one: one.labelled, "are classified")(scan, now)
    if labelled is None or labelled.score is None:
        return None
    if scan.exposed:
        text = f"{scan.exposed:,} confidential documents are readable by everyone"
        return _scanned(scan, Aspect.CLASSIFICATION, _ZERO, text)
    if not scan.looked_for_pii:
        return replace(labelled, score=min(labelled.score, _HALF), text=f"{labelled.text}; personal data not counted")
    return replace(labelled, text=f"{labelled.text}; personal data counted")


def _days(span: timedelta) -> str:
    days = span // timedelta(days=1)
    return f"{days} day{'' if days == 1 else 's'}" if days else f"{span // timedelta(hours=1)} h"


_SECOND: Final = timedelta(seconds=1)
_SCORERS: Final[Mapping[Aspect, _Scorer]] = {
    Aspect.QUALITY: _quality,
    Aspect.LINEAGE: _share(Aspect.LINEAGE, lambda one: one.with_lineage, "have a lineage"),
    Aspect.RETENTION: _retention,
    Aspect.ACCESS_POLICY: _share(Aspect.ACCESS_POLICY, lambda one: one.with_acl, "have an ACL"),
    Aspect.FRESHNESS: _freshness,
    Aspect.EXCLUSIONS: _exclusions,
    Aspect.CLASSIFICATION: _classification,
}

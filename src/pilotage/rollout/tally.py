"""Sums of observations with their caps per principal, kept up to date batch by batch (rollouts.md 5.2, 6.6).

A principal's book holds requests and failures per arm, step and day; the totals follow from the books alone, so the
same records in any batches and any order give the same counts (the e-CUSUMs follow ledger order). Rule: caps only
weaken a conclusion. Fail mode: totals that do not read raise ValueError; they are computed anew from the ledger.

An e-CUSUM starts afresh after every clean stretch, so it sees bursts; and requests of one visit fail together, which
the e-process does not allow for. It therefore counts one failure of a principal an hour, and no more than the cap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotage.analysis import cusum
from pilotage.analysis.counters import Count, Counters, FailureArms, Metric, MetricCount, Routed
from pilotage.rollout.assignment import Arm
from pilotage.rollout.ladder import TRIPPING, Ladder, metric_of
from pilotage.rollout.observation import Observation

RELATIVE = (Metric.ERROR, Metric.SLOW, Metric.REFUSED, Metric.CLIENT_GONE)

Book = dict[str, dict[str, list[int]]]
"""`<arm>/<step>/<day>`: name of a sum: [requests, failures, hours with a failure as bits]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much one principal counts per step and day."""

    failures: int = 3
    successes: int = 50


def without_sums(totals: Mapping[str, Any], dropped: Collection[str]) -> dict[str, Any]:
    """Return stored totals without the sums of these names; the other counts stay."""
    kept = dict(totals)
    for group, mark in (("metrics", "/"), ("relative", "/"), ("cusums", ">")):
        kept[group] = {key: value for key, value in kept.get(group, {}).items() if key.split(mark)[0] not in dropped}
    return kept


def standing_alarms(cusums: Mapping[str, Any], ladder: Ladder) -> dict[str, Any]:
    """Return the stored e-CUSUMs that watch a sum for a share that `ladder` names, by the names it gives them.

    A plan whose other steps changed, or an older version of Pilotage, may have named them otherwise.
    """
    stored = {(key.partition(">")[0], cusum.from_json(kept).limit): kept for key, kept in sorted(cusums.items())}
    return {name: stored[source, limit] for name, source, limit in ladder.alarms() if (source, limit) in stored}


@dataclass(slots=True, kw_only=True)
class Totals:
    """Running sums of one space. All numbers are integers but the exact e-CUSUM states."""

    metrics: dict[str, list[int]] = field(default_factory=dict)
    """name of a sum: [go n, go x, guard n, guard x, failing principals]"""
    principals: int = 0
    relative: dict[str, list[int]] = field(default_factory=dict)
    """`<name of a sum>/<step>`: [candidate, stable] principals with a failure"""
    routed: dict[str, list[int]] = field(default_factory=dict)
    """step: [principals, of them on the candidate]"""
    recorded: int = 0
    answers: int = 0
    unscored: int = 0
    quarantined: int = 0
    """Records counted as lost because they cannot be true."""
    cusums: dict[str, Any] = field(default_factory=dict)
    zeroed: list[list[int | None]] = field(default_factory=list)
    """[first generation at weight 0, first one after it or None]: nobody could meet the candidate"""
    looks: list[list[float]] = field(default_factory=list)
    """[time, admitted, recorded, database's time], oldest first: what was routed by then, and how much has a record"""

    @staticmethod
    def read(value: Mapping[str, Any]) -> Totals:
        """Return the totals that `as_json` wrote."""
        try:
            return Totals(**value)
        except TypeError as error:
            message = "These totals are damaged: replay the ledger to compute them anew."
            raise ValueError(message) from error

    def as_json(self) -> dict[str, Any]:
        """Return the totals as JSON."""
        return {name: getattr(self, name) for name in Totals.__dataclass_fields__}


def fold(
    totals: Totals,
    books: dict[str, Book],
    batch: Sequence[Observation],
    *,
    caps: Caps,
    ladder: Ladder,
) -> None:
    """Count a batch, in ledger order, into `totals` and `books` (by principal); both are changed in place."""
    touched = dict.fromkeys(seen.principal for seen in batch)
    before = {name: _shares(books.get(name, {}), caps) for name in touched}
    for seen in batch:
        _enter(totals, books.setdefault(seen.principal, {}), seen, ladder.marks(seen))
    for name in touched:
        _shift(totals, before[name], _shares(books[name], caps))


def advance_cusums(
    totals: Totals,
    books: Mapping[str, Book],
    batch: Sequence[Observation],
    *,
    caps: Caps,
    ladder: Ladder,
    planned_requests: int = 0,
) -> None:
    """Move the e-CUSUMs on, in ledger order, with the candidate's outcomes.

    Call it before `fold`: `books` then say in which hours each principal had failed. A further failure of the same
    hour, or beyond the cap of the day, counts as a success: one asker who meets the same error again and again is no
    regression. Beyond the planned requests (0: nobody knows how many) a phase of its own begins.
    """
    alarms = tuple(ladder.alarms())
    outcomes: dict[str, list[bool]] = {source: [] for _, source, _ in alarms}
    hours: dict[tuple[str, str, str], int] = {}
    for seen in batch:
        if seen.arm is not Arm.CANDIDATE:
            continue
        page = _page(seen)
        for name, failed in ladder.marks(seen).items():
            if name in outcomes:
                place = (seen.principal, page, name)
                entry = books.get(seen.principal, {}).get(page, {}).get(name, ())
                earlier = hours.get(place, _hours(entry))
                now = 1 << seen.hour
                outcomes[name].append(failed and not earlier & now and earlier.bit_count() < caps.failures)
                hours[place] = earlier | now if failed else earlier
    for name, source, limit in alarms:
        if outcomes[source]:
            state = cusum.resume(totals.cusums.get(name), limit)
            moved = cusum.follow(state, outcomes[source], planned_requests=planned_requests)
            totals.cusums[name] = moved.as_json()


def excuse(
    totals: Totals,
    books: dict[str, Book],
    batch: Sequence[Observation],
    *,
    caps: Caps,
    ladder: Ladder,
) -> None:
    """Take a batch that was counted out again, for both arms, as if it had come excused (rollouts.md 6.6).

    What says whom the router sent where, which records are there, and the e-CUSUMs keep what they saw. Raise ValueError
    for a batch that was not counted; both are changed in place.
    """
    touched = dict.fromkeys(seen.principal for seen in batch)
    before = {name: _shares(books.get(name, {}), caps) for name in touched}
    for seen in batch:
        page = books.get(seen.principal, {}).get(_page(seen), {})
        for name, failed in ladder.marks(seen).items():
            entry = page.get(name, [0, 0, 0])
            if entry[0] < 1 or entry[1] < failed:
                message = f"It holds requests that were not counted as {name}; let it begin after them."
                raise ValueError(message)
            page[name] = [entry[0] - 1, entry[1] - failed, _hours(entry)]
        if seen.arm is Arm.CANDIDATE and seen.is_answer:
            totals.answers -= 1
            totals.unscored -= seen.ungrounded is None
    for name in touched:
        _shift(totals, before[name], _shares(books[name], caps))


def _page(seen: Observation) -> str:
    return f"{seen.arm.value}/{seen.step}/{seen.day}"


def _hours(entry: Sequence[int]) -> int:
    """Return the hours of a day in which a principal failed; an entry of an older version names none."""
    return entry[2] if len(entry) > 2 else 0


def _enter(totals: Totals, book: Book, seen: Observation, found: Mapping[str, bool]) -> None:
    page = book.setdefault(_page(seen), {})
    for name, failed in found.items():
        entry = page.get(name, (0, 0, 0))
        n, x = (0, 0) if seen.is_excused else (1, int(failed))
        page[name] = [entry[0] + n, entry[1] + x, _hours(entry) | (failed << seen.hour)]
    totals.quarantined += seen.is_quarantined
    if seen.arm is Arm.CANDIDATE:
        totals.recorded += 1
        answers = 0 if seen.is_excused else int(seen.is_answer)
        totals.answers += answers
        totals.unscored += answers if seen.ungrounded is None else 0


@dataclass(slots=True)
class _Shares:
    """What one principal contributes."""

    metrics: dict[str, list[int]] = field(default_factory=dict)
    relative: set[tuple[str, bool]] = field(default_factory=set)
    routed: dict[str, bool] = field(default_factory=dict)
    on_candidate: bool = False


def _shares(book: Book, caps: Caps) -> _Shares:
    found = _Shares()
    for place, page in book.items():
        arm, step, _ = place.split("/")
        is_candidate = arm == Arm.CANDIDATE.value
        found.on_candidate |= is_candidate
        found.routed[step] = found.routed.get(step, False) or is_candidate
        for name, (n, x, *_) in page.items():
            if x and name.partition("@")[0] in _RELATIVE:
                found.relative.add((f"{name}/{step}", is_candidate))
            if is_candidate:
                sums = found.metrics.setdefault(name, [0, 0, 0, 0, 0])
                sums[0] += min(n - x, caps.successes) + x
                sums[1] += x
                sums[2] += n
                sums[3] += min(x, caps.failures)
                sums[4] |= x > 0
    return found


_RELATIVE = frozenset(metric.value for metric in RELATIVE)


def _shift(totals: Totals, before: _Shares, after: _Shares) -> None:
    """Replace what a principal contributed."""
    for metric, sums in after.metrics.items():
        old = before.metrics.get(metric, [0, 0, 0, 0, 0])
        kept = totals.metrics.setdefault(metric, [0, 0, 0, 0, 0])
        totals.metrics[metric] = [value + new - was for value, new, was in zip(kept, sums, old, strict=True)]
    totals.principals += after.on_candidate - before.on_candidate
    for place, is_candidate in after.relative - before.relative:
        totals.relative.setdefault(place, [0, 0])[0 if is_candidate else 1] += 1
    for place, is_candidate in before.relative - after.relative:  # a window was taken out
        totals.relative[place][0 if is_candidate else 1] -= 1
        if totals.relative[place] == [0, 0]:
            del totals.relative[place]
    for step, is_candidate in after.routed.items():
        kept = totals.routed.setdefault(step, [0, 0])
        kept[0] += step not in before.routed
        kept[1] += is_candidate - before.routed.get(step, False)


SETTLED_S = 120.0
"""How old a look is before every request it counts must have its record."""
LOOK_EVERY_S = 60.0


def note_records(totals: Totals, moments: Iterable[float]) -> None:
    """Enter records that came after a look at which their requests had been routed already; times as Unix time."""
    late = sorted(moments)
    for look in totals.looks:
        look[2] += bisect_right(late, look[0])


def note_look(totals: Totals, *, at: float, clock: float, admitted: int) -> None:
    """Remember how many requests were routed until now: the first look is the zero that later ones count from."""
    if len(totals.looks) > 1 and clock < totals.looks[-1][3] + LOOK_EVERY_S:
        return
    totals.looks.append([at, admitted, totals.recorded, clock])
    zero, *later = totals.looks
    settled = [place for place, look in enumerate(later) if look[3] <= clock - SETTLED_S]
    totals.looks = [zero, *later[settled[-1] if settled else 0 :]]


def unrecorded(totals: Totals, *, clock: float) -> int:
    """Return how many requests that were routed two minutes ago or more have no record."""
    settled = [look for look in totals.looks[1:] if look[3] <= clock - SETTLED_S]
    if not settled:
        return 0
    zero, last = totals.looks[0], settled[-1]
    return max(0, int((last[1] - zero[1]) - (last[2] - zero[2])))


def rated_count(rated: Iterable[tuple[int, int]], caps: Caps) -> MetricCount:
    """Return the counts of ratings, capped, from (rated, down) of each principal."""
    listed = tuple(rated)
    go = Count(n=sum(min(n - x, caps.successes) + x for n, x in listed), x=sum(x for _, x in listed))
    guard = Count(n=sum(n for n, _ in listed), x=sum(min(x, caps.failures) for _, x in listed))
    return MetricCount(go=go, guard=guard, failing=sum(x > 0 for _, x in listed))


def counters(
    totals: Totals,
    *,
    ladder: Ladder,
    step: str,
    fractions: Mapping[str, int],
    admitted: int,
    feedback: MetricCount | None = None,
) -> Counters:
    """Return what the judge takes, by the limits of the step now.

    `fractions`: the fraction in force per step; `step`: the one now. ValueError for sums of a metric nobody knows.
    """
    known = {metric_of(name) for name in totals.metrics}
    metrics = {metric: _metric(metric, totals, ladder) for metric in known if ladder.sum_name(metric) in totals.metrics}
    if feedback is not None and feedback.guard.n:
        metrics[Metric.FEEDBACK] = feedback
    arms, fraction = totals.routed.get(step), fractions.get(step)
    return Counters(
        metrics=metrics,
        principals=totals.principals,
        relative={metric: tuple(_arms(totals, ladder.sum_name(metric), fractions)) for metric in RELATIVE},
        routed=()
        if arms is None or fraction is None
        else (Routed(fraction_ppm=fraction, principals=arms[0], candidate=arms[1]),),
        admitted=max(admitted, totals.recorded),
        recorded=totals.recorded,
        answers=totals.answers,
        unscored=totals.unscored,
    )


def _metric(metric: Metric, totals: Totals, ladder: Ladder) -> MetricCount:
    sums = totals.metrics[ladder.sum_name(metric)]
    kept = totals.cusums.get(ladder.alarm_name(metric)) if metric in TRIPPING else None
    late = None if kept is None else cusum.from_json(kept)
    return MetricCount(
        go=Count(n=sums[0], x=sums[1]),
        guard=Count(n=sums[2], x=sums[3]),
        failing=sums[4],
        cusum=None if late is None else late.peak,
        is_past_plan=late is not None and late.is_past_plan,
    )


def _arms(totals: Totals, name: str, fractions: Mapping[str, int]) -> Iterable[FailureArms]:
    for step, fraction in fractions.items():
        found = totals.relative.get(f"{name}/{step}")
        if found is not None:
            yield FailureArms(fraction_ppm=fraction, candidate=found[0], stable=found[1])

"""Load tests judged the same way whatever the tool: from single requests, or from a summary that has only totals.

Rule (gates.md 2.7): percentiles are nearest rank, errors are all that did not succeed, threshold marks of a tool are
ignored. Fail mode: no request, or fewer than 1,000 and fewer than 90 % of the declared profile (of 1,000 when none is
declared), is EV_TOO_SMALL; what a summary does not say is absent.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlsplit

from pilotage.evidence.records import ReadContext, Reading
from pilotage.evidence.source import Source, Unreadable
from pilotage.evidence.times import from_epoch_ms

_ENOUGH = 1000
_PROFILE_SHARE = 0.9
_MAX_HOSTS = 1000
_MAX_SEEN = 10_000


@dataclass(slots=True)
class Samples:
    """Requests one by one: start (ms since 1970), time taken (ms) and outcome, in arrays of 8 bytes each."""

    starts: array[float] = field(default_factory=lambda: array("d"))
    elapsed: array[float] = field(default_factory=lambda: array("d"))
    errors: int = 0
    urls: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def add(self, *, start_ms: float, elapsed_ms: float, is_ok: bool, url: str = "") -> None:
        """Count one request; a time below zero is EV_MALFORMED."""
        if elapsed_ms < 0 or start_ms < 0:
            text = f"A request began at {start_ms:g} ms since 1970 and took {elapsed_ms:g} ms; neither is below 0."
            raise Unreadable("EV_MALFORMED", text)
        self.starts.append(start_ms)
        self.elapsed.append(elapsed_ms)
        self.errors += not is_ok
        # Most rows repeat an address; taking one apart costs more than all the rest of a row.
        if url and url not in self.seen and len(self.urls) < _MAX_HOSTS:
            if len(self.seen) < _MAX_SEEN:
                self.seen.add(url)
            host = host_of(url)
            if host:
                self.urls.setdefault(host, url[:2000])


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a load report amounts to; None where the tool does not say. Times in ms, the rest in seconds."""

    requests: int
    errors: float | None
    latency: Mapping[str, float | None]
    duration_s: float | None = None
    max_gap_s: float | None = None
    drift_ratio: float | None = None
    started_ms: float | None = None
    urls: Mapping[str, str] = field(default_factory=dict)


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """Return element `ceil(share * n)` of an ascending sequence."""
    # 0.95 * 20 is 19.000000000000004 in floats on some inputs; twelve digits are exact enough for any n here.
    return ordered[max(1, math.ceil(round(share * len(ordered), 9))) - 1]


def totals_of(samples: Samples) -> Totals:
    """Return the totals of single requests; raise EV_TOO_SMALL when there is none."""
    count = len(samples.starts)
    if count == 0:
        raise Unreadable("EV_TOO_SMALL", "The report holds no request.", observed="0 requests")
    ordered = sorted(samples.elapsed)
    starts = sorted(samples.starts)
    duration = (starts[-1] - starts[0]) / 1000
    return Totals(
        requests=count,
        errors=samples.errors,
        latency={name: nearest_rank(ordered, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))},
        duration_s=duration,
        max_gap_s=max((after - before for before, after in pairwise(starts)), default=0) / 1000,
        drift_ratio=_drift(samples, starts[0], starts[-1]),
        started_ms=starts[0],
        urls=samples.urls,
    )


def load_reading(source: Source, context: ReadContext, totals: Totals, *, reader: str) -> Reading:
    """Return the reading of a load report of any tool; raise EV_TOO_SMALL or EV_INCONSISTENT."""
    _check_size(totals.requests, context.expected_requests)
    if totals.errors is not None and not 0 <= totals.errors <= totals.requests:
        text = f"The report states {totals.errors:g} errors over {totals.requests:,} requests."
        raise Unreadable("EV_INCONSISTENT", text, observed=f"{totals.errors:g}", limit=f"{totals.requests}")
    _check_order(totals.latency)
    for what, value in (("duration", totals.duration_s), ("largest gap", totals.max_gap_s)):
        if value is not None and value < 0:
            text = f"The report gives a {what} of {value:g} s; no test lasts less than nothing."
            raise Unreadable("EV_INCONSISTENT", text, observed=f"{value:g} s", limit="0 s")
    rate = None if totals.errors is None else totals.errors / totals.requests
    volume = totals.requests / context.profile_requests if context.profile_requests else None
    given: dict[str, float | None] = {
        "requests": totals.requests,
        "errors": totals.errors,
        "error_rate": rate,
        **totals.latency,
        "rps": totals.requests / totals.duration_s if totals.duration_s else None,
        "duration_s": totals.duration_s,
        "max_gap_s": totals.max_gap_s,
        "drift_ratio": totals.drift_ratio,
        "volume_ratio": volume,
    }
    p95 = totals.latency.get("p95")
    return Reading(
        kind=source.kind,
        reader=reader,
        claims={name: value for name, value in given.items() if value is not None},
        summary=f"{totals.requests:,} requests, "
        + ("errors unknown" if rate is None else f"{rate:.3%} errors")
        + (", p95 unknown" if p95 is None else f", p95 {p95:g} ms"),
        produced_at=from_epoch_ms(totals.started_ms),
        # Several hosts name no single target, and the check of the target is then inconclusive.
        refs={"target_url": next(iter(totals.urls.values()))} if len(totals.urls) == 1 else {},
        names={"target_hosts": tuple(sorted(totals.urls))},
    )


def _check_order(latency: Mapping[str, float | None]) -> None:
    """Raise EV_INCONSISTENT when a percentile is negative, or below a lower one: no set of requests has such."""
    stated = [(name, value) for name in ("p50", "p95", "p99") if (value := latency.get(name)) is not None]
    for (lower, less), (higher, more) in pairwise((("", 0.0), *stated)):
        if more < less:
            text = f"The report states {higher} {more:g} ms, below {f'{lower} {less:g}'.strip()} ms; that cannot be."
            raise Unreadable("EV_INCONSISTENT", text, observed=f"{more:g} ms", limit=f"{less:g} ms")


def host_of(url: str) -> str:
    """Return the host of an http(s) URL in lower case, or an empty text."""
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
    except ValueError:
        return ""
    return host if parts.scheme in {"http", "https"} else ""


def _check_size(requests: int, expected: int | None) -> None:
    needed = _ENOUGH if expected is None else min(_ENOUGH, math.ceil(round(_PROFILE_SHARE * expected, 9)))
    if requests < max(1, needed):
        declared = "no profile is declared" if expected is None else f"the profile declares {expected:,}"
        text = f"{requests:,} requests are too few: {declared}."
        raise Unreadable("EV_TOO_SMALL", text, observed=f"{requests} requests", limit=f"{max(1, needed)} requests")


def _drift(samples: Samples, first: float, last: float) -> float | None:
    """Return p95 of the last quarter of the time over p95 of the first; None when one is empty or zero."""
    quarter = (last - first) / 4
    pairs = list(zip(samples.starts, samples.elapsed, strict=True))
    early = sorted(elapsed for start, elapsed in pairs if start < first + quarter)
    late = sorted(elapsed for start, elapsed in pairs if start > last - quarter)
    if not early or not late:
        return None
    before = nearest_rank(early, 0.95)
    return nearest_rank(late, 0.95) / before if before > 0 else None

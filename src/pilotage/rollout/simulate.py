"""Simulated traffic as arithmetic: draws by hash, principals by Zipf, arrivals from a trace (rollouts.md 12).

Everything follows from a seed, so a run is repeated exactly and any request can be recomputed alone. Times are seconds
from the start of the simulation. Fail mode: a trace, profile or rate that makes no sense raises UsageError.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from statistics import NormalDist

from pilotage.core.errors import UsageError

ZIPF = 1.1
HOUR_S = 3600.0
FLAT = (1.0,) * 24


def draw(seed: int, purpose: str, index: int) -> float:
    """Return the uniform number in [0, 1) of a seed, purpose and index: 53 bits of SHA-256."""
    digest = hashlib.sha256(f"pilotage-sim-v1\n{seed}\n{purpose}\n{index}".encode()).digest()
    return float((int.from_bytes(digest[:8], "big") >> 11) / 2**53)


def log_normal(u: float, *, median: float, sigma: float) -> float:
    """Return the log-normal value at a uniform number; `median` in the value's own unit."""
    inside = min(max(u, 2.0**-53), 1.0 - 2.0**-53)
    return median * math.exp(sigma * NormalDist().inv_cdf(inside))


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Principals whose activity follows Zipf's law: the k-th asks in proportion to k^-1.1."""

    seed: int
    cumulative: tuple[float, ...]

    def asker(self, index: int) -> str:
        """Return the id of the principal that sends request `index`."""
        u = draw(self.seed, "principal", index)
        return person(min(bisect_left(self.cumulative, u), len(self.cumulative) - 1))

    def people(self) -> tuple[str, ...]:
        """Return every id, the most active first."""
        return tuple(person(rank) for rank in range(len(self.cumulative)))


def person(rank: int) -> str:
    """Return the id of the simulated principal of a rank, `local|p000000` first."""
    return f"local|p{rank:06d}"


def crowd(seed: int, *, size: int = 2_000) -> Crowd:
    """Return a crowd of `size` principals."""
    if size < 1:
        raise UsageError("BAD_CROWD", f"{size} principals cannot ask anything.", hint="Give at least 1.")
    weights = [rank**-ZIPF for rank in range(1, size + 1)]
    total = math.fsum(weights)
    return Crowd(seed=seed, cumulative=tuple(one / total for one in accumulate(weights)))


def shared_out(seed: int, purpose: str, index: int, shares: Mapping[str, float]) -> str | None:
    """Return which of the names a principal gets, by declared shares in [0, 1]; None for the rest."""
    if not all(0.0 <= share <= 1.0 for share in shares.values()) or math.fsum(shares.values()) > 1.0 + 1e-9:
        raise UsageError(
            "BAD_SHARES", f"Shares {dict(shares)} do not add up.", hint="Give shares of at most 1 together."
        )
    u, reached = draw(seed, purpose, index), 0.0
    for name, share in shares.items():
        reached += share
        if u < reached:
            return name
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Recorded arrivals: seconds from the first one, and the span after which they begin anew."""

    offsets: tuple[float, ...]
    span_s: float

    @property
    def per_day(self) -> float:
        """Return the trace's own rate, requests per day."""
        return 86_400.0 * len(self.offsets) / self.span_s


def read_trace(text: str) -> Trace:
    """Return the trace of a CSV text whose first column is `TIMESTAMP` with seven decimals (UTC)."""
    lines = text.splitlines()
    if not lines or not lines[0].lstrip("\ufeff").startswith("TIMESTAMP"):
        raise UsageError("BAD_TRACE", "The trace has no TIMESTAMP column.", hint="Give the Azure LLM trace CSV.")
    ticks: list[int] = []
    for number, line in enumerate(lines[1:], start=2):
        if line:
            ticks.append(_ticks(line.partition(",")[0], number))
    if len(ticks) < 2 or ticks[-1] <= ticks[0]:
        raise UsageError("BAD_TRACE", "The trace has no two arrivals in order.", hint="Give the Azure LLM trace CSV.")
    offsets = tuple((tick - ticks[0]) / 1e7 for tick in ticks)
    return Trace(offsets=offsets, span_s=offsets[-1] + offsets[-1] / (len(offsets) - 1))


def _ticks(stamp: str, line: int) -> int:
    """Return a time stamp in units of 100 ns, exactly; `datetime` keeps six decimals only."""
    whole, _, fraction = stamp.partition(".")
    try:
        at = datetime.fromisoformat(f"{whole}+00:00")
        return round(at.timestamp()) * 10**7 + int((fraction or "0").ljust(7, "0")[:7])
    except ValueError:
        hint = "Write 2023-11-16 18:17:03.9799600."
        raise UsageError("BAD_TRACE", f"Line {line}: {stamp[:40]!r} is no time stamp.", hint=hint) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A trace tiled over days: `per_day` requests on average, spread over the hours by 24 weights."""

    seed: int
    trace: Trace
    per_day: float
    profile: Sequence[float] = FLAT

    def __post_init__(self) -> None:
        if len(self.profile) != 24 or not all(0 <= one < math.inf for one in self.profile) or sum(self.profile) <= 0:
            raise UsageError(
                "BAD_PROFILE", "The hour profile is not 24 weights.", hint="Give 24 numbers of at least 0."
            )
        if not 0 < self.per_day < math.inf:
            raise UsageError("BAD_RATE", f"{self.per_day} requests a day is no rate.", hint="Give a positive number.")

    def arrivals(self, *, start_s: float, until_s: float) -> Iterator[float]:
        """Yield arrival times in order; recorded ones are thinned or repeated by hash, so any window is the same."""
        span, size = self.trace.span_s, len(self.trace.offsets)
        mean = math.fsum(self.profile) / 24
        factor = self.per_day / self.trace.per_day / mean
        for tile in range(math.floor(start_s / span), math.ceil(until_s / span)):
            for position, offset in enumerate(self.trace.offsets):
                at = tile * span + offset
                if start_s <= at < until_s:
                    wanted = factor * self.profile[int(at // HOUR_S) % 24]
                    extra = draw(self.seed, "arrival", tile * size + position) < wanted % 1.0
                    yield from [at] * (int(wanted) + extra)

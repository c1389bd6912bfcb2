"""Sizes, shares and rates as the mission writes them: `8GB`, `70%`, `10000/hour`.

Rule: `KB MB GB TB` are decimal, `KiB MiB GiB TiB` binary (IEC 80000-13); a bare number of a size is bytes.
Fail mode: ValueError whose text says what to write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BYTES = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))? ?([KMGT]i?B|B)?")
_POWER = {"K": 1, "M": 2, "G": 3, "T": 4}
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) ?%")
_RATE = re.compile(r"([0-9][0-9_,]{0,12}) ?/ ?(?:(second|minute|hour|day)|([0-9]{1,5})([smhd]))")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_RATE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """At most `count` in any window of `window_s` seconds (serving.md 3.2)."""

    count: int
    window_s: int

    def __str__(self) -> str:
        """Return the grammar's own form, `10000/hour` or `30/10s`."""
        unit = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}.get(self.window_s)
        return f"{self.count}/{unit or f'{self.window_s}s'}"


def parse_bytes(text: str) -> int:
    """Return a size in bytes: `8GB` is 8,000,000,000 and `8GiB` 8,589,934,592."""
    match = _BYTES.fullmatch(text)
    if match is None:
        message = f"{text[:40]!r} is not a size. Write a number and a unit: 512MB, 8GB, 16GiB."
        raise ValueError(message)
    whole, fraction, unit = match[1], match[2] or "", match[3] or "B"
    factor = 1 if unit == "B" else (1024 if "i" in unit else 1000) ** _POWER[unit[0]]
    total, rest = divmod(int(whole + fraction) * factor, int(10 ** len(fraction)))
    if rest:
        message = f"{text!r} is not a whole number of bytes. Write fewer decimals or a smaller unit."
        raise ValueError(message)
    return total


def parse_percent(text: str) -> float:
    """Return a share in [0, 1] from `70%`."""
    match = _PERCENT.fullmatch(text)
    if match is None or float(match[1]) > 100:
        message = f"{text[:40]!r} is not a percentage. Write a number from 0 to 100 with its sign: 70%."
        raise ValueError(message)
    return float(match[1]) / 100


def parse_rate(text: str) -> Rate:
    """Return a rate limit from `<count>/<second|minute|hour|day>` or `<count>/<n><s|m|h|d>`."""
    match = _RATE.fullmatch(text)
    count = int(re.sub("[_,]", "", match[1])) if match else 0
    window = _SECONDS[match[2]] if match and match[2] else int(match[3]) * _SECONDS[match[4]] if match else 0
    if not 1 <= count <= MAX_RATE or window < 1:
        message = f"{text[:40]!r} is not a rate. Write a count and a window: 10000/hour, 30/10s."
        raise ValueError(message)
    return Rate(count=count, window_s=window)

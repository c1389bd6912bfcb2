"""Durations as people write them: `30s`, `15m`, `24h`, `7d`, `2w`, or ISO 8601 `P14D`, `PT4H`, `P1DT12H`.

Rule: weeks, days, hours, minutes, seconds only; months and years have no fixed length and are refused.
Fail mode: ValueError whose text says what to write.
"""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SHORT = re.compile(r"([0-9]{1,9}) ?(ms|s|min|m|h|d|w)")
_ISO = re.compile(r"P(?:([0-9]{1,6})W|(?:([0-9]{1,6})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,6})S)?)?)")
_HINT = "Write a duration such as 30s, 15m, 24h, 14d, or ISO 8601 P14D, PT4H."


def parse_duration(text: str) -> timedelta:
    """Return the duration; raise ValueError with what to write instead."""
    short = _SHORT.fullmatch(text)
    if short is not None:
        return timedelta(seconds=int(short[1]) * _UNITS[short[2]])
    iso = _ISO.fullmatch(text)
    if iso is None or not any(iso.groups()) or text.endswith("T"):
        if re.fullmatch(r"P[0-9]+[YM].*", text):
            message = f"{text!r} counts months or years, which have no fixed length. Write days: P30D, P365D."
            raise ValueError(message)
        message = f"{text[:40]!r} is not a duration. {_HINT}"
        raise ValueError(message)
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in iso.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole seconds as ISO 8601, the form that sealed records hold."""
    seconds = int(duration.total_seconds())
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    time = "".join(f"{count}{unit}" for count, unit in ((hours, "H"), (minutes, "M"), (left, "S")) if count)
    if not days and not time:
        return "PT0S"
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")

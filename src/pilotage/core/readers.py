"""Readers of the words that many declared files share: names, references, times, shares, money, addresses, dates.

Rule: a reader says in one sentence how to write its value. Fail mode: as `core/fields.py`, a Problem and a stand-in.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pilotage.core.durations import parse_duration
from pilotage.core.fields import Reader, converted, list_of, matching, number, reference
from pilotage.core.ids import SLUG, CorpusName, PersonId, SpaceName, WorkflowName
from pilotage.core.located import Located, Problems
from pilotage.core.units import Rate, parse_bytes, parse_percent, parse_rate

PERSON_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SECRET_REF = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S.*")
_LOCAL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")
_WALL_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_MONEY = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?) ([A-Z]{3})")

SLUG_TEXT = matching(SLUG, "a name of lower-case letters, digits and hyphens, at most 40 characters")
PERSON: Reader[PersonId] = reference("person", PersonId)
CORPUS: Reader[CorpusName] = reference("corpus", CorpusName)
SPACE: Reader[SpaceName] = reference("space", SpaceName)
WORKFLOW: Reader[WorkflowName] = reference("workflow", WorkflowName)
GROUP: Reader[str] = reference("group", str)
SECRET_REF = matching(_SECRET_REF, "where the secret is, never the secret: env:NAME or file:PATH", shows=False)
RATE: Reader[Rate] = converted(parse_rate, Rate(count=1, window_s=1))
BYTES: Reader[int] = converted(parse_bytes, 0)
WALL_TIME = matching(_WALL_TIME, 'a local time in quotes, such as "09:00"')


def _seconds(text: str) -> int:
    duration = parse_duration(text)
    seconds = int(duration.total_seconds())
    if seconds != duration.total_seconds() or seconds < 1:
        message = f"{text!r} is not a whole number of seconds above 0. Write a duration such as 30s or 24h."
        raise ValueError(message)
    return seconds


def _days(text: str) -> int:
    days, rest = divmod(_seconds(text), 86_400)
    if rest:
        message = f"{text!r} is not a whole number of days. Write a duration in days such as 365d or P365D."
        raise ValueError(message)
    return days


def _fraction(text: str) -> float:
    return parse_duration(text).total_seconds()


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"{text[:60]!r} is not a time zone. Write an IANA name such as America/New_York or Europe/Berlin."
        raise ValueError(message) from None
    return text


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else _no_date(text)
    except ValueError:
        return _no_date(text)


def _no_date(text: str) -> date:
    message = f"{text[:40]!r} is not a date. Write YYYY-MM-DD, a day that exists."
    raise ValueError(message)


def _local_time(text: str) -> str:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        text = text[:40]
    else:
        if _LOCAL_TIME.fullmatch(text):
            return text
    message = f"{text!r} is not a local time. Write YYYY-MM-DDTHH:MM without a zone, a moment that exists."
    raise ValueError(message)


def nano_units(text: str) -> int:
    """Return an amount such as `50 USD` in nano-units of its currency; raise ValueError for anything else."""
    match = _MONEY.fullmatch(text)
    if match is None:
        message = f"{text[:40]!r} is not an amount. Write a number and a currency: 50 USD, 0.02 EUR."
        raise ValueError(message)
    return int(Decimal(match[1]) * 10**9)


def _currency(text: str) -> str:
    nano_units(text)
    return text.rsplit(maxsplit=1)[-1]


def _money_text(text: str) -> str:
    nano_units(text)
    return text


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0 or value > 10**15:
        message = f"{text[:40]!r} is not a number from 0 up. Write digits with an optional decimal point."
        raise ValueError(message)
    return value


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError:
        pass
    try:
        right = str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        message = f"{text[:60]!r} is not an address or range. Write an IP address or CIDR range such as 10.0.0.0/8."
        raise ValueError(message) from None
    message = f"{text!r} has host bits set. Write the range {right}, or the address without a mask."
    raise ValueError(message)


SECONDS: Reader[int] = converted(_seconds, 1)
FRACTIONAL_SECONDS: Reader[float] = converted(_fraction, 1.0)
DAYS: Reader[int] = converted(_days, 1)
TIME_ZONE: Reader[str] = converted(_zone, "UTC")
DATE: Reader[date] = converted(_date, date.min)
LOCAL_TIME: Reader[str] = converted(_local_time, "")
MONEY_NANO: Reader[int] = converted(nano_units, 0)
MONEY_CURRENCY: Reader[str] = converted(_currency, "")
MONEY_TEXT: Reader[str] = converted(_money_text, "")
DECIMAL: Reader[Decimal] = converted(_decimal, Decimal(0))
NETWORK: Reader[str] = converted(_network, "0.0.0.0/0")
NETWORKS: Reader[tuple[str, ...]] = list_of(NETWORK, or_one=True)


def _read_share(at: Located, problems: Problems) -> float:
    if isinstance(at.node, str):
        return converted(parse_percent, 0.0).read(at, problems)
    return number(0.0, 1.0).read(at, problems)


SHARE: Reader[float] = Reader(read=_read_share, stand_in=float)
"""A share in [0, 1]: `5%` or `0.05`."""

PERCENT: Reader[float] = converted(parse_percent, 0.0)
"""A share in [0, 1] that must be written with its unit: `5%`."""

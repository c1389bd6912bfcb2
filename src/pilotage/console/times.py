"""Times in pages: written in UTC, and turned into the viewer's zone in the finished HTML.

Rule: a fragment is rendered once, whoever looks; each viewer's copy differs in what its `<time>` elements say, never in
`datetime` and `title`. Every text is escaped before, so a tag is ours. Fail mode: what is no time of ours stays.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from pilotage.core.zones import is_said_twice

_TIME: Final = re.compile(r'(<time(?P<day> class="day")? datetime="(?P<at>[0-9T:+-]{25})" title="[^"]*">)[^<]*</time>')
_REMEMBERED: Final = 128
"""Fragments of streams that a process keeps in the zones of who looks."""


def moment(at: datetime) -> Markup:
    """Return a time to the minute, with UTC in its title."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(*_attributes(at), _minute(at.astimezone(UTC)))


def day_of(at: datetime) -> Markup:
    """Return the day of a time, with UTC in its title."""
    told = day(at.astimezone(UTC))
    return Markup('<time class="day" datetime="{}" title="{}">{}</time>').format(*_attributes(at), told)


def plain_utc(at: datetime) -> Markup:
    """Return a time as papers say it: in UTC for everybody."""
    return Markup('<time datetime="{}">{} UTC</time>').format(_attributes(at)[0], _minute(at.astimezone(UTC)))


def day(on: date) -> str:
    """Return a date as people write it."""
    return f"{on.day} {on:%b %Y}"


def in_zone(page: str, zone: ZoneInfo) -> str:
    """Return the page with its times as the clocks of the zone show them."""

    def told(found: re.Match[str]) -> str:
        try:
            local = datetime.fromisoformat(found["at"]).astimezone(zone)
        except OverflowError:  # at the edges of the calendar, where tools say that they know no time
            return f"{found[0].removesuffix('</time>')} UTC</time>"
        return f"{found[1]}{day(local) if found['day'] else _minute(local)}</time>"

    return page if zone.key == "UTC" else _TIME.sub(told, page)


@lru_cache(maxsize=_REMEMBERED)
def fragment_in_zone(fragment: str, zone: ZoneInfo) -> str:
    """Return `in_zone` of a fragment that many people look at."""
    return in_zone(fragment, zone)


def _attributes(at: datetime) -> tuple[str, str]:
    utc = at.astimezone(UTC)
    return utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S UTC")


def _minute(local: datetime) -> str:
    """Return a time in words; the hour that the clocks show twice says which of both it is."""
    told = f"{day(local)}, {local:%H:%M}"
    if not is_said_twice(local):
        return told
    offset = local.isoformat()[-6:]
    return f"{told} (UTC{offset})"

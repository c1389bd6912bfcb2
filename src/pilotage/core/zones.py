"""Time zones by their IANA names, as this machine's time zone data knows them.

Fail mode: a name it does not know is no zone (None); nobody gets another one instead.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

_OF_THE_MACHINE: Final = frozenset({"localtime", "Factory"})


@cache
def zone_names() -> frozenset[str]:
    """Return every name, old spellings included; a name of the machine itself says nothing elsewhere."""
    return frozenset(available_timezones() - _OF_THE_MACHINE)


@cache
def zone_named(name: str) -> ZoneInfo | None:
    """Return the zone of a name, or None."""
    return ZoneInfo(name) if name in zone_names() else None


def is_said_twice(local: datetime) -> bool:
    """Tell whether the clocks of its zone show this time of day twice, because they are set back between."""
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()

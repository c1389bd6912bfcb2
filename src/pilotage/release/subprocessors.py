"""The subprocessors that a workflow's document lists, by host: who outside may see questions, answers or documents.

Rule: `documents/subprocessors.md` names each in its front matter, `subprocessors: [{name, host, regions: [..]}]`; its
prose says what legal agreed. Fail mode: an entry that is not of this form is a ValueError; who is not listed is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from pilotage.core.canonical import Json

DOCUMENT: Final = "subprocessors"
"""The type of the document, and the key of its front matter."""

_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.:-]{0,251}[a-z0-9])?")
_REGION: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62})")
_FORM: Final = "Write subprocessors: [{name: NAME, host: models.example, regions: [eu-west-1]}]."

Listed = Mapping[str, tuple[str, ...]]
"""The regions each host may process in."""


def listed_subprocessors(notes: Mapping[str, Json]) -> Listed:
    """Return what the front matter of the document lists; raise ValueError for another form."""
    found: dict[str, tuple[str, ...]] = {}
    given = notes.get(DOCUMENT)
    if given is None:
        return found
    if not isinstance(given, list | tuple):
        raise ValueError(_FORM)  # noqa: TRY004 - what a file holds, not what a caller passed
    for one in given:
        host, regions = _entry(one)
        if host in found:
            message = f"The subprocessor {host} is listed twice."
            raise ValueError(message)
        found[host] = regions
    return found


def _entry(one: Json) -> tuple[str, tuple[str, ...]]:
    if not isinstance(one, Mapping) or set(one) != {"name", "host", "regions"}:
        raise ValueError(_FORM)
    name, host, regions = one["name"], one["host"], one["regions"]
    if not (isinstance(name, str) and name.strip()):
        raise ValueError(_FORM)
    if not (isinstance(host, str) and _HOST.fullmatch(host)):
        message = f"{str(host)[:80]!r} is no host of a subprocessor. {_FORM}"
        raise ValueError(message)
    if not isinstance(regions, list | tuple) or not regions:
        message = f"The subprocessor {host} has no regions. {_FORM}"
        raise ValueError(message)
    if not all(isinstance(region, str) and _REGION.fullmatch(region) for region in regions):
        message = f"The regions of {host} are not all regions. {_FORM}"
        raise ValueError(message)
    return host, tuple(str(region) for region in regions)


def as_lines(listed: Listed) -> tuple[str, ...]:
    """Return one line per subprocessor, its host and regions, as evidence keeps it."""
    return tuple(" ".join((host, *regions)) for host, regions in sorted(listed.items()))


def from_lines(lines: Iterable[str]) -> Listed:
    """Return what `as_lines` wrote."""
    return {host: tuple(regions) for host, *regions in (line.split() for line in lines)}

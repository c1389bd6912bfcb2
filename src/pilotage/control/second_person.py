"""What is still missing where two persons give the same command, one of them in a role that may."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pilotage.core.reason import Reason

STANDS: Final = timedelta(days=7)
"""How long the first person's word waits for the second."""


def waits_for_second(able: Sequence[bool], *, able_code: str, able_roles: str) -> tuple[Reason, ...]:
    """Return what is missing. `able` tells of each person whose word stands whether one of the roles was held."""
    found: list[Reason] = []
    if len(able) < 2:
        text = f"A second person completes it within {STANDS.days} days by the same command."
        found.append(Reason(code="SECOND_PERSON", text=text, observed=str(len(able)), limit="2"))
    if not any(able):
        found.append(Reason(code=able_code, text=f"One of the two must be {able_roles}."))
    return tuple(found)

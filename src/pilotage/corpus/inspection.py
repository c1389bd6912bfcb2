"""What a refresh looks documents over with, given by its caller: this room knows no recognisers.

Fail mode: a caller that gives none has nothing counted and nothing redacted, so a derived corpus is refused then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What the guard's recognisers counted in one text: structured PII per type, and instructions to a model."""

    pii: Mapping[str, int] = field(default_factory=dict)
    tripwires: int = 0


Inspect = Callable[[str], Inspected]
"""Counts PII and tripwires in a text. Given by the caller."""


def inspect_nothing(_text: str) -> Inspected:
    """Find nothing: for corpora checked elsewhere, and for tests."""
    return Inspected()


Redact = Callable[[str], str]
"""Replaces personal data by one-way tokens; the same value gives the same token."""

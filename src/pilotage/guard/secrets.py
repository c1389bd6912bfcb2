"""Whether a text holds a secret: what a seal refuses. Digests and `env:` or `file:` references are none."""

from __future__ import annotations

from pilotage.guard.pii_recognise import recognise
from pilotage.guard.pii_types import PiiType


def has_secret(text: str) -> bool:
    """Tell whether a key, token or password stands in the text."""
    return any(one.type is PiiType.SECRET and not _is_reference(text[one.start : one.end]) for one in recognise(text))


def _is_reference(value: str) -> bool:
    tail = value.replace(":", "=", 1).partition("=")[2].strip()
    return tail.startswith(("env:", "file:", "sha256:"))

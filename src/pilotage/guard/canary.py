"""Whether the prompt's canary came back, plain or in the plainest disguises (serving.md 5.6)."""

from __future__ import annotations

import re
from binascii import b2a_base64
from functools import lru_cache

_NOT_WORD = re.compile(r"[^0-9a-zA-Z+/=]+")


def shows_canary(text: str, canary: str) -> bool:
    """Tell whether the canary stands in the text: plain, reversed, as hex of its characters, or in Base64."""
    packed = _NOT_WORD.sub("", text)
    lower = packed.lower()
    plain, encoded = _forms(canary)
    for form in plain:
        if form in lower:
            return True
    return any(map(packed.__contains__, encoded))


@lru_cache(maxsize=64)
def _forms(canary: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what to look for whatever the letters' case, and what to look for as it is."""
    lower, data = canary.lower(), canary.encode()
    # Base64 shifts with the place in its stream: the middle of each of the three alignments is looked for.
    shifted = [b2a_base64(b"\0" * shift + data, newline=False).decode().rstrip("=")[4:-2] for shift in range(3)]
    return (lower, lower[::-1], data.hex()), tuple(shifted)

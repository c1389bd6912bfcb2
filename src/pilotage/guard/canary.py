"""Whether the prompt's canary came back, plain or in the plainest disguises (serving.md 5.6)."""

from __future__ import annotations

import base64
import re

_NOT_WORD = re.compile(r"[^0-9a-zA-Z+/=]")


def shows_canary(text: str, canary: str) -> bool:
    """Tell whether the canary stands in the text: plain, reversed, as hex of its characters, or in Base64."""
    packed = _NOT_WORD.sub("", text)
    lower = packed.lower()
    plain = (canary, canary[::-1], canary.encode().hex())
    if any(form.lower() in lower for form in plain):
        return True
    # Base64 shifts with the place in its stream: the middle of each of the three alignments is looked for.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + canary.encode()).decode().rstrip("=")
        if encoded[4:-2] in packed:
            return True
    return False

"""Text of a passage that its reader would not see but a model would: a favourite place of planted instructions.

Invisible characters, HTML comments, elements hidden by attribute or style, Markdown comments. Linear: one RE2 pass
finds every beginning. Fail mode: what opens and never closes is hidden to the end of the passage, as in a browser.
"""

from __future__ import annotations

from dataclasses import dataclass

import re2

from pilotage.guard.clean import visible

_HIDDEN = re2.compile(
    r"(?is)<!--"
    r"|<(script|style|template|noscript)\b[^<>]*>"
    r"|<([a-z][a-z0-9]*)\b[^<>]*(?:\bhidden\b|display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0"
    r"|opacity\s*:\s*0(?:\.0+)?\s*[;\"'])[^<>]*>"
    r"|(?m:^[ ]{0,3}\[(?://|comment)\]:[^\n]*$)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a reader sees of a text, and how many places and characters were hidden."""

    text: str
    hidden: int
    invisible: int


def strip_hidden(text: str) -> Shown:
    """Return the text without what is hidden in it."""
    seen = visible(text)
    lower = seen.text.lower()
    if len(lower) != len(seen.text):
        lower = seen.text  # a letter that folds to two would move the places
    pieces: list[str] = []
    at = hidden = 0
    for found in _HIDDEN.finditer(seen.text):
        start, end = found.span()
        if start < at:
            continue
        pieces.append(seen.text[at:start])
        at = _closed(lower, end, opened=found[0], name=(found[1] or found[2] or "").lower())
        hidden += 1
    pieces.append(seen.text[at:])
    return Shown(text="".join(pieces), hidden=hidden, invisible=seen.removed)


def _closed(lower: str, end: int, *, opened: str, name: str) -> int:
    """Return where the hidden place ends. A search that finds nothing ends the text, so the total stays linear."""
    if not name and opened != "<!--":
        return end
    mark = f"</{name}" if name else "-->"
    place = lower.find(mark, end)
    if place < 0:
        return len(lower)
    if not name:
        return place + len(mark)
    close = lower.find(">", place)
    return len(lower) if close < 0 else close + 1

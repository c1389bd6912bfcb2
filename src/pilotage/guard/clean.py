"""Clean-up of what an asker sends: NFKC, no control, zero-width, bidi or tag characters, ASCII digits (serving.md 5.2).

Later checks and offsets use the result. More than 20 % removed is a finding of its own, `unicode_abuse`. Passages and
answers keep their letters as they are and only lose what no reader sees (`visible`). Linear; any text has a result.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

ABUSE_SHARE = 0.2
_INVISIBLE = re.compile(
    "[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufff9-\ufffb\ufeff\u00ad\u180e\ufe00-\ufe0f\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)
_TYPOGRAPHY = "\u00ad\u200c\u200d\ufeff\r"
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){2,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """The text every later step works on, and the share of characters that was removed."""

    text: str
    removed_share: float

    @property
    def is_abuse(self) -> bool:
        """Tell whether so much was hidden that the text is not what it showed."""
        return self.removed_share > ABUSE_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Visible:
    """The text as its reader sees it. `removed` counts what hid there; soft hyphens and joiners go uncounted."""

    text: str
    removed: int


def visible(text: str) -> Visible:
    """Return the text without control and invisible characters, piece by piece the same as whole."""
    if text.isascii() and text.isprintable():
        return Visible(text=text, removed=0)
    shown = _CONTROLS.sub("", _INVISIBLE.sub("", text))
    quiet = sum(text.count(mark) for mark in _TYPOGRAPHY)
    return Visible(text=shown, removed=len(text) - len(shown) - quiet)


def clean(text: str) -> Cleaned:
    """Return the cleaned text."""
    if text.isascii() and text.isprintable():
        return Cleaned(text=text, removed_share=0.0)
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    shown = _CONTROLS.sub("", _INVISIBLE.sub("", unicodedata.normalize("NFKC", lines)))
    # NFKC may join what was split by an invisible character: normalise once more.
    shown = unicodedata.normalize("NFKC", shown)
    folded = "".join(
        str(unicodedata.digit(char)) if not char.isascii() and unicodedata.category(char) == "Nd" else char
        for char in shown
    )
    removed = sum(1 for char in lines if _INVISIBLE.match(char) or _CONTROLS.match(char))
    share = removed / len(lines) if lines else 0.0
    return Cleaned(text=_BLANK_LINES.sub("\n\n", folded), removed_share=share)

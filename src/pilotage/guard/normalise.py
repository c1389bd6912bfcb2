"""One normal form of text for everything that is compared, online and offline (evaluation.md 2.4).

NFKC; zero-width, soft hyphen, bidi controls, Markdown emphasis and citation marks dropped; ASCII quotes, dashes and
spaces; case folded; runs of space are one. Idempotent. Fail mode: none; any text has a normal form, perhaps "".
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

NORMALISER_VERSION = "pilotage-normaliser/1"

_DROPPED = dict.fromkeys(
    [
        0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0xFEFF,
        *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10),
    ]
)  # fmt: skip
_ASCII = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u201a\u201b\u2032\u00b4\u02bc\u2039\u203a"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63"), "-"),
}
_TABLE: dict[int, str | None] = {**_DROPPED, **_ASCII}
# NFKC turns these three into a space and a mark; as quotes they must be read before it.
_BEFORE = {0x00B4: "'", 0x2033: '"', 0x2034: "'"}
_CITATION = re.compile(r" ?\[\d{1,3}\](?!\()")
_EMPHASIS = re.compile(r"\*+|`+|~~|(?<!\w)_+(?=\w)|(?<=[\w.,;:!?)%])_+(?!\w)")


@lru_cache(maxsize=8192)
def normalise(text: str) -> str:
    """Return the normal form of a text."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_BEFORE)).translate(_TABLE)
    if "[" in text:
        text = _CITATION.sub("", text)
    if "*" in text or "_" in text or "`" in text or "~" in text:
        text = _EMPHASIS.sub("", text)
    folded = " ".join(text.casefold().split())
    return folded if folded.isascii() else unicodedata.normalize("NFKC", folded)

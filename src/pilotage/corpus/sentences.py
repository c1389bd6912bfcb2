"""Where sentences end: a small rule that prefers a long sentence to a wrong cut.

A full stop ends a sentence when white space and a capital, digit, quote or bracket follow, unless the word before is a
known abbreviation, an initial or a section sign's number (`U.S.C. 1601`, `Sec. 5`). A line ends one when it ends with
punctuation or a list mark follows. Fail mode: no end found is one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# The first class lets the engine jump; what follows decides by what it landed on.
_END = re.compile(
    r"""[.!?:;\n\u3002\uff01\uff1f](?:"""
    r"""(?<=[.!?])["')\]\u2019\u201d]*\s+(?=["'(\[\u2018\u201c\u00a7]?[A-Z0-9\u00c0-\u00de])"""
    r"""|(?<=[\u3002\uff01\uff1f])[\u300d\u300f\uff09]*\s*"""
    r"""|(?<=[:;.!?])\s*\n\s*"""
    r"""|(?<=\n)(?=\s*(?:[-*\u2022]|\(?[0-9a-z]{1,3}[.)])\s))"""
)
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\S+",
        "e.g i.e etc cf vs viz No Nos Sec Secs Art Arts Fed Reg Stat Pub App para paras Inc Ltd Corp Co Mr Mrs Ms Dr St"
        " Jr Sr Gov Dept approx Fig Vol pp ed al",
    )
)
_LONGEST_ABBREVIATION = 8


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield `(start, end)` of each sentence, without the white space between them, in order and covering all words."""
    start = 0
    for match in _END.finditer(text):
        stop = match.start()
        if text[stop] == "." and "\n" not in match[0] and _is_abbreviation(text, start, stop):
            continue
        yield from _trimmed(text, start, match.end())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def _is_abbreviation(text: str, start: int, stop: int) -> bool:
    """Tell whether the word before the full stop at `stop` is shortened: in the list, one capital, or `U.S`."""
    tail = text[max(start, stop - _LONGEST_ABBREVIATION) : stop]
    word = tail[tail.rfind(" ") + 1 :].lstrip("([\"'")
    return word in _ABBREVIATIONS or (word[-1:].isupper() and (len(word) == 1 or word[-2] == "."))


def _trimmed(text: str, start: int, end: int) -> tuple[tuple[int, int], ...]:
    piece = text[start:end].rstrip()
    inner = piece.lstrip()
    return ((start + len(piece) - len(inner), start + len(piece)),) if inner else ()

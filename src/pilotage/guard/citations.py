"""Citations of an answer: every marker resolves to a passage of this prompt, and factual sentences carry one.

A factual sentence has at least five analyser tokens and is no question. Unknown markers are removed and counted; what
their removal would join into a new marker is kept apart. Text that has left already is not changed, only read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from pilotage.guard.sentences import split_sentences

MARKER = re.compile(r"\s?\[(\d{1,3})\]")
_LEAD = re.compile(r"(?:\[\d{1,3}\]\s*)+")
_DIGITS = re.compile(r"\d+")
FACTUAL_TOKENS = 5
_LONGEST_OPENING = 4
_OPENED = re.compile(r"\[\d{0,3}$")
_CLOSING = re.compile(r"\d{0,3}\]")

Analyse = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A sentence of the answer with its markers; offsets are code points of the text, markers included."""

    text: str
    start: int
    end: int
    markers: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Citations:
    """The answer without unknown markers, its statements, and the share of factual ones that cite."""

    text: str
    statements: tuple[Statement, ...]
    unknown: int
    share: float


def check_citations(text: str, known: Collection[int], *, analyse: Analyse, is_fixed: bool = False) -> Citations:
    """Resolve the markers of an answer; `is_fixed` leaves its text as it is.

    Without a factual sentence the share is 1 when anything is cited and else 0: nothing was supported.
    """
    kept, unknown = _without_unknown(text, known)
    kept = text if is_fixed else kept
    statements = tuple(replace(one, markers=_resolved(one.markers, known)) for one in statements_of(kept))
    factual = [one for one in statements if _is_factual(one, analyse)]
    share = sum(bool(one.markers) for one in factual) / len(factual) if factual else 1.0
    if not any(one.markers for one in statements):
        share = 0.0
    return Citations(text=kept, statements=statements, unknown=unknown, share=share)


def _resolved(markers: tuple[int, ...], known: Collection[int]) -> tuple[int, ...]:
    return tuple(marker for marker in markers if marker in known)


def _without_unknown(text: str, known: Collection[int]) -> tuple[str, int]:
    """Return the text without unknown markers, and their number. `[1[7]]` becomes `[1 ]`, never `[1]`."""
    places = [found.span() for found in MARKER.finditer(text) if int(found[1]) not in known]
    kept: list[str] = []
    tail = ""
    at = 0
    for start, end in (*places, (len(text), len(text))):
        piece = text[at:start]
        if at and _OPENED.search(tail) and _CLOSING.match(piece):
            kept.append(" ")
            tail = ""
        kept.append(piece)
        tail = (tail + piece[-_LONGEST_OPENING:])[-_LONGEST_OPENING:]
        at = end
    return "".join(kept), len(places)


def statements_of(text: str) -> list[Statement]:
    """Return the sentences of an answer with the markers that stand in or right behind them."""
    found: list[Statement] = []
    for sentence in split_sentences(text):
        # Between the numbers of the markers stands what is said.
        pieces = MARKER.split(" " + sentence.text)
        markers = tuple(map(int, pieces[1::2]))
        words = "".join(pieces[::2]).strip()
        lead = _LEAD.match(sentence.text)
        if found and lead is not None:
            last = found[-1]
            given = tuple(int(number) for number in _DIGITS.findall(lead.group()))
            end = sentence.start + len(lead.group().rstrip())
            found[-1] = Statement(text=last.text, start=last.start, end=end, markers=last.markers + given)
            markers = markers[len(given) :]
            if not words:
                continue
            start = sentence.start + len(lead.group())
            found.append(Statement(text=words, start=start, end=sentence.end, markers=markers))
        elif words:
            found.append(Statement(text=words, start=sentence.start, end=sentence.end, markers=markers))
    return found


def _is_factual(statement: Statement, analyse: Analyse) -> bool:
    return not statement.text.endswith("?") and len(analyse(statement.text)) >= FACTUAL_TOKENS

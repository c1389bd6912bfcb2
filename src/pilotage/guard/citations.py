"""Citations of an answer: every marker resolves to a passage of this prompt, and factual sentences carry one.

A factual sentence has at least five analyser tokens and is no question. Unknown markers are removed and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pilotage.guard.sentences import split_sentences

MARKER = re.compile(r"\s?\[(\d{1,3})\]")
FACTUAL_TOKENS = 5

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


def check_citations(text: str, known: Collection[int], *, analyse: Analyse) -> Citations:
    """Resolve the markers of an answer. Without a factual sentence the share is 0: nothing was supported."""
    unknown = sum(int(found[1]) not in known for found in MARKER.finditer(text))
    kept = MARKER.sub(lambda found: found.group() if int(found[1]) in known else "", text)
    statements = tuple(statements_of(kept))
    factual = [one for one in statements if _is_factual(one, analyse)]
    share = sum(bool(one.markers) for one in factual) / len(factual) if factual else float(bool(statements))
    if not any(one.markers for one in statements):
        share = 0.0
    return Citations(text=kept, statements=statements, unknown=unknown, share=share)


def statements_of(text: str) -> list[Statement]:
    """Return the sentences of an answer with the markers that stand in or right behind them."""
    found: list[Statement] = []
    for sentence in split_sentences(text):
        markers = tuple(int(one[1]) for one in MARKER.finditer(" " + sentence.text))
        words = MARKER.sub("", " " + sentence.text).strip()
        lead = re.match(r"(?:\[\d{1,3}\]\s*)+", sentence.text)
        if found and lead is not None:
            last = found[-1]
            given = tuple(int(number) for number in re.findall(r"\d+", lead.group()))
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

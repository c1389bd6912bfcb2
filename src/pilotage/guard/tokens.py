"""Tokens of a normal form with their clauses, and whether a mention is negated (evaluation.md 2.3).

A token is a word, a number or one of `$ % ` and other currency signs; `n't` is the token `not`, a possessive `'s` is
dropped. Clauses end at `. ; : ! ? ,` before a space, at a lone hyphen, and before `but`. Fail mode: none; pure.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

TOKENS_VERSION = "pilotage-tokens/1"
NEGATORS = frozenset(["not", "no", "never", "without", "neither", "nor", "cannot", "except"])
NEGATION_REACH = 3

_TOKEN = re.compile(
    r"(n't)(?!\w)|('s)(?!\w)|([^\W_]+?)(?=n't(?!\w))|([^\W_]+(?:[.,](?=\d)\d+)*|[$\u20ac\u00a3\u00a5%])|([.;:!?,](?=\s|$)|(?<=\s)-(?=\s))"
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text. `starts` are code points of the text, `clauses` a number that rises at every clause end."""

    words: tuple[str, ...]
    starts: tuple[int, ...]
    clauses: tuple[int, ...]
    joined: str
    offsets: tuple[int, ...]

    def occurrences(self, wanted: Tokens) -> Iterator[int]:
        """Yield the index of the first token of every place where `wanted` stands as a whole."""
        needle = wanted.joined
        place = self.joined.find(needle) if len(needle) > 1 else -1
        while place >= 0:
            yield bisect_left(self.offsets, place)
            place = self.joined.find(needle, place + 1)

    def index_at(self, offset: int) -> int:
        """Return the index of the first token at or behind a code point of the text."""
        return bisect_left(self.starts, offset)

    def is_negated(self, index: int) -> bool:
        """Tell whether a negator stands at most three tokens before the one at `index`, in the same clause."""
        if index >= len(self.words):
            return False
        clause = self.clauses[index]
        return any(
            self.clauses[place] == clause and self.words[place] in NEGATORS
            for place in range(max(0, index - NEGATION_REACH), index)
        )


def tokens_of(text: str) -> Tokens:
    """Cut a text in normal form into tokens."""
    words: list[str] = []
    starts: list[int] = []
    clauses: list[int] = []
    clause = 0
    for match in _TOKEN.finditer(text):
        kind = match.lastindex
        if kind == 5:
            clause += 1
            continue
        if kind == 2:
            continue
        word = "not" if kind == 1 else match[0]
        word = "can" if word == "ca" and kind == 3 else word
        clause += word == "but"
        words.append(word)
        starts.append(match.start())
        clauses.append(clause)
    offsets: list[int] = []
    at = 0
    for word in words:
        offsets.append(at)
        at += len(word) + 1
    joined = f" {' '.join(words)} "
    return Tokens(tuple(words), tuple(starts), tuple(clauses), joined, tuple(offsets))

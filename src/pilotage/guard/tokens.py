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

_WORD = r"[^\W_]+(?:[.,](?=\d)\d+)*|[$\u20ac\u00a3\u00a5%]"
_CLAUSE_END = r"[.;:!?,](?=\s|$)|(?<=\s)-(?=\s)"
_TOKEN = re.compile(rf"(n't)(?!\w)|('s)(?!\w)|([^\W_]+?)(?=n't(?!\w))|({_WORD})|({_CLAUSE_END})")
_UNQUOTED = re.compile(rf"{_WORD}|{_CLAUSE_END}")
_CLAUSE_ENDS = frozenset(".;:!?,-")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text. `starts` are code points of the text, `clauses` a number that rises at every clause end."""

    words: tuple[str, ...]
    starts: tuple[int, ...]
    clauses: tuple[int, ...]
    joined: str

    def occurrences(self, wanted: Tokens) -> Iterator[int]:
        """Yield the index of the first token of every place where `wanted` stands as a whole."""
        needle = wanted.joined
        place = self.joined.find(needle) if len(needle) > 1 else -1
        while place >= 0:
            yield self.joined.count(" ", 0, place)
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
    words, starts, clauses = _quoted(text) if "'" in text else _unquoted(text)
    return Tokens(tuple(words), tuple(starts), tuple(clauses), f" {' '.join(words)} ")


_Columns = tuple[list[str], list[int], list[int]]


def _quoted(text: str) -> _Columns:
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
    return words, starts, clauses


def _unquoted(text: str) -> _Columns:
    """Read a text without apostrophes, faster: nothing before a word's own place can look like the word."""
    words: list[str] = []
    starts: list[int] = []
    clauses: list[int] = []
    clause = at = 0
    for piece in _UNQUOTED.findall(text):
        if piece in _CLAUSE_ENDS:
            clause += 1
            continue
        clause += piece == "but"
        at = text.index(piece, at)
        words.append(piece)
        starts.append(at)
        clauses.append(clause)
        at += len(piece)
    return words, starts, clauses

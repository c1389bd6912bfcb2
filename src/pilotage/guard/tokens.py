"""Tokens of a normal form with their clauses, and whether a mention is negated (evaluation.md 2.3).

A token is a word, a number or one of `$ % ` and other currency signs; `n't` is the token `not`, a possessive `'s` is
dropped. Clauses end at `. ; : ! ? ,` before a space, at a lone hyphen, and before `but`. Fail mode: none; pure.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

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
    """The tokens of a text. Where they stand is found out for a text with a negator only: elsewhere nobody asks."""

    text: str
    words: tuple[str, ...]
    joined: str

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each token starts: code points of the text."""
        return _places(self.text)[0]

    @property
    def clauses(self) -> tuple[int, ...]:
        """For each token a number that rises at every clause end."""
        return _places(self.text)[1]

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
        near = range(max(0, index - NEGATION_REACH), index)
        negators = [place for place in near if self.words[place] in NEGATORS] if index < len(self.words) else []
        if not negators:
            return False
        clauses = self.clauses
        return any(clauses[place] == clauses[index] for place in negators)

    def is_negated_at(self, offset: int) -> bool:
        """Tell the same of the first token at or behind a code point of the text."""
        return not NEGATORS.isdisjoint(self.words) and self.is_negated(self.index_at(offset))


def tokens_of(text: str) -> Tokens:
    """Cut a text in normal form into tokens."""
    words = _words(text)
    return Tokens(text, tuple(words), _joined(words))


def joined_tokens(text: str) -> str:
    """Return the tokens of a text in normal form as `Tokens.joined` holds them."""
    return _joined(_words(text))


def _joined(words: list[str]) -> str:
    return f" {' '.join(words)} "


def _words(text: str) -> list[str]:
    if "'" in text:
        return _quoted(text)[0]
    return [piece for piece in _UNQUOTED.findall(text) if piece not in _CLAUSE_ENDS]


@lru_cache(maxsize=64)
def _places(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return where each token starts, and its clause."""
    _, starts, clauses = _quoted(text) if "'" in text else _unquoted(text)
    return tuple(starts), tuple(clauses)


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

"""What of a document stands nowhere else, whole, so that every quote of it is found (corpus-and-ledger.md 4).

A quote is a run of whole words of at least 40 characters, or a shorter line of the document of at least 24 bytes; case,
punctuation and white space do not matter. Rule: what stays in another document is nobody's quote of this document.
Memory: two numbers for each word of the document, whatever it is compared with. Fail mode: none; it is pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, compress, count, pairwise
from operator import not_
from typing import Final

from pilotage.core.canonical import Json
from pilotage.corpus.takedown import QUOTED, SHORTEST, candidate_shingles, word_runs

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Quotable:
    """What may be quoted of the documents that were added, less what was taken from it.

    `runs` and `pairs` are hashes of this process: never stored. `pairs` are neighbouring words: a run stands only where
    all of them are known. `lines` are the short pieces; `lengths` are their numbers of words by their first.
    """

    runs: set[int] = field(default_factory=set)
    pairs: set[int] = field(default_factory=set)
    lines: set[str] = field(default_factory=set)
    lengths: dict[str, set[int]] = field(default_factory=dict)

    def add(self, text: str) -> None:
        """Let every piece of a text be found."""
        words = _words(text)
        self.runs.update(map(hash, word_runs(words)))
        self.pairs.update(map(hash, pairwise(words)))
        for shingle in candidate_shingles([text]):
            piece = _words(shingle.decode())
            line = " ".join(piece)
            if len(line) < QUOTED and len(line.encode()) >= SHORTEST:
                self.lines.add(line)
                self.lengths.setdefault(piece[0], set()).add(len(piece))

    def take(self, text: str) -> None:
        """Let nothing be found that this text holds as well."""
        words = _words(text)
        self.runs.difference_update(self._runs(words))
        self.lines.difference_update(self._short(words))

    def is_quoted_in(self, text: str) -> bool:
        """Tell whether a text holds any piece."""
        words = _words(text)
        return not (self.runs.isdisjoint(self._runs(words)) and self.lines.isdisjoint(self._short(words)))

    def __bool__(self) -> bool:
        """Whether anything can be quoted at all."""
        return bool(self.runs or self.lines)

    def without_quotes(self, value: Json, *, removed: str) -> Json:
        """Return a value in which `removed` stands for every string, and every name, that holds a piece."""
        match value:
            case str():
                return removed if self.is_quoted_in(value) else value
            case list():
                return [self.without_quotes(one, removed=removed) for one in value]
            case dict():
                return self.without_quotes_in(value, removed=removed)
            case _:
                return value

    def without_quotes_in(self, row: Mapping[str, Json], *, removed: str) -> dict[str, Json]:
        """Return the same of an object."""
        return {
            removed if self.is_quoted_in(name) else name: self.without_quotes(one, removed=removed)
            for name, one in row.items()
        }

    def _runs(self, words: list[str]) -> Iterator[int]:
        """Yield every run that may be one of the document's: most texts have none, and cost one look a word."""
        if not words:
            return
        start = 0
        is_known = map(self.pairs.__contains__, map(hash, pairwise(words)))
        for end in chain(compress(count(1), map(not_, is_known)), (len(words),)):
            if end - start > 1 or len(words[start]) >= QUOTED:
                yield from map(hash, word_runs(words[start:end]))
            start = end

    def _short(self, words: list[str]) -> Iterator[str]:
        if self.lengths.keys().isdisjoint(words):
            return
        for start, word in enumerate(words):
            for length in self.lengths.get(word, ()):
                yield " ".join(words[start : start + length])


def quotable(texts: Iterable[str], *, staying: Iterable[str]) -> Quotable:
    """Return what of these texts no staying text holds; each of those is looked at once."""
    found = Quotable()
    for text in texts:
        found.add(text)
    for text in staying if found else ():
        found.take(text)
    return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())

"""What a statement has to answer for: its numbers, dates, names and quotes (evaluation.md 3.4, 3.5).

Each anchor is supported when it stands in one of the texts a statement relies on. Names are runs of capitalised words
and abbreviations that no sentence start explains. Fail mode: an anchor nobody could read is unsupported.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pilotage.guard.normalise import normalise
from pilotage.guard.numbers import (
    ambiguous_in,
    is_date_supported,
    is_number_supported,
    number_anchors,
    read_figures,
    read_source,
)
from pilotage.guard.tokens import joined_tokens

ANCHORS_VERSION = "pilotage-anchors/1"
_NAME = re.compile(
    r"[A-Z](?<![\w'].)(?:[A-Za-z]*[a-z][A-Za-z]*|[A-Z]+s?)"
    r"(?:(?: of| and| for|,)? (?:[A-Z][A-Za-z]+|[A-Z]{2,}))*(?!\w)"
)
_LETTER = re.compile(r"\w")
_QUOTE = re.compile('["\u201c]([^"\u201c\u201d]{3,400})["\u201d]')
_MONTHS = frozenset(calendar.month_name[1:]) | {"Q"}
_PLAIN = _MONTHS | {"The", "This", "That", "These", "Those", "A", "An", "It", "In", "For", "If", "When", "Yes", "No"}


@lru_cache(maxsize=4096)
def _source_tokens(text: str) -> str:
    """Return the tokens of a passage; names and quotes are looked for there."""
    return joined_tokens(normalise(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How many anchors of each kind there are and how many are supported; `missing` are the others, as read."""

    numbers: tuple[int, int]
    dates: tuple[int, int]
    names: tuple[int, int]
    quotes: tuple[int, int]
    missing: tuple[str, ...]

    @property
    def present(self) -> int:
        """How many anchors the statement has."""
        return self.numbers[1] + self.dates[1] + self.names[1] + self.quotes[1]


def share(counts: tuple[int, int]) -> float:
    """Return supported / present, 1 when there is none."""
    return counts[0] / counts[1] if counts[1] else 1.0


@lru_cache(maxsize=64)
def names_in(statement: str) -> tuple[str, ...]:
    """Return the names of a statement. A single capitalised word at its start is no name; an abbreviation is."""
    found: list[str] = []
    for match in _NAME.finditer(statement):
        words = match[0].split()
        if match.start() == _first_word(statement) and words[0].istitle():
            words = words[1:]
            while words and words[0] in ("of", "and", "for", ","):
                words = words[1:]
        while words and words[0].strip(",") in _PLAIN:
            words = words[1:]
        if words and any(char.isupper() for char in " ".join(words)):
            found.append(" ".join(words))
    return tuple(dict.fromkeys(found))


def _first_word(statement: str) -> int:
    match = _LETTER.search(statement)
    return match.start() if match else 0


def quotes_in(statement: str) -> tuple[str, ...]:
    """Return what a statement puts in quotation marks."""
    if '"' not in statement and statement.isascii():
        return ()
    return tuple(_QUOTE.findall(statement))


def support_of(statement: str, sources: Sequence[str], *, locale: str = "en") -> Support:
    """Compare the anchors of a statement with the texts it relies on. Markers `[n]` are not part of the statement."""
    return _support(statement, tuple(sources), locale)


@lru_cache(maxsize=64)
def _support(statement: str, sources: tuple[str, ...], locale: str) -> Support:
    mine = read_figures(statement, locale)
    figures = [read_source(source, locale) for source in sources]
    missing: list[str] = []
    numbers = number_anchors(mine)
    lost = [mine.text[one.start : one.end] for one in numbers if not is_number_supported(one, figures)]
    ambiguous = ambiguous_in(mine)
    dates = [mine.text[one.start : one.end] for one in mine.values.dates if not is_date_supported(one, figures)]
    dates += [one for one in ambiguous if not any(one in source.text for source in figures)]
    names, quotes = names_in(statement), quotes_in(statement)
    unnamed, unquoted = _absent(names, sources), _absent(quotes, sources)
    missing += [*lost, *dates, *unnamed, *unquoted]
    return Support(
        numbers=(len(numbers) - len(lost), len(numbers)),
        dates=(len(mine.values.dates) + len(ambiguous) - len(dates), len(mine.values.dates) + len(ambiguous)),
        names=(len(names) - len(unnamed), len(names)),
        quotes=(len(quotes) - len(unquoted), len(quotes)),
        missing=tuple(missing),
    )


def _absent(forms: Sequence[str], sources: Sequence[str]) -> list[str]:
    if not forms:
        return []
    held = [_source_tokens(source) for source in sources]
    wanted = [(form, joined_tokens(normalise(form))) for form in forms]
    return [form for form, joined in wanted if not any(joined in one for one in held)]

"""Numbers of an answer must stand in what it cites, or in the question (serving.md 5.6).

Thousands separators, `%`, currency signs and spelled one to twelve are normalised on both sides.
"""

from __future__ import annotations

import re

NUMBERS_VERSION = "pilotage-numbers/1"
_NUMBER = re.compile(r"\d[\d,'\u2019 ]*(?:\.\d+)?")
_WORDS = {
    word: str(number)
    for number, word in enumerate(
        ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), start=1
    )
}
_WORD = re.compile(r"\b(" + "|".join(_WORDS) + r")\b", re.IGNORECASE)


def numbers_in(text: str) -> frozenset[str]:
    """Return the numbers of a text without separators, as plain decimals."""
    plain = _WORD.sub(lambda found: _WORDS[found[1].lower()], text)
    found: set[str] = set()
    for match in _NUMBER.finditer(plain):
        for piece in _pieces(match.group()):
            whole, _, fraction = piece.partition(".")
            fraction = fraction.rstrip("0")
            found.add((whole.lstrip("0") or "0") + (f".{fraction}" if fraction else ""))
    return frozenset(found)


def _pieces(text: str) -> list[str]:
    """`1 000` and `25,000` are one number; `2013 12` and `1, 2` are two."""
    joined = re.sub(r"(?<=\d)[,'\u2019 ](?=\d{3}(?!\d))", "", text)
    return [piece for piece in re.split(r"[,'\u2019 ]+", joined) if piece and piece[0].isdigit()]


def unsupported_numbers(statement: str, sources: str) -> tuple[str, ...]:
    """Return the numbers of a statement that stand nowhere in its sources, in order of their text."""
    return tuple(sorted(numbers_in(statement) - numbers_in(sources)))

"""Splits text into sentences, with their places. Abbreviations, numbers and section signs do not end one.

A line break ends a sentence where the next line is a list item, or the line before has no running text (a heading, a
table row). Pure and linear.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# It starts with what it looks for, so the engine jumps from mark to mark.
_END = re.compile(r"[.!?\n](?:(?<=\n)\n*|(?<!\n)(?<![.!?].)[.!?]*[\"')\]]*(?=\s|$))")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|cf|vs|no|nos|sec|art|fig|par|approx|dept|inc|ltd|co|corp|mr|mrs|ms|dr|st|u\.s|[A-Za-z])$",
    re.IGNORECASE,
)
_LONGEST_ABBREVIATION = len(" approx\n")
_HOUR = re.compile(r"\b[ap]\.m$", re.IGNORECASE)
_ZONE = re.compile(r"(?:Eastern|Central|Mountain|Pacific|[ECMP][SD]?T|GMT|UTC)\b")
_ITEM = re.compile(r"\s*(?:[-*•]|\(?[0-9a-zA-Z]{1,3}[.)])\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A sentence and where it stands: code-point offsets in the text it was cut from."""

    text: str
    start: int
    end: int


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Return the sentences of a text in order; white space around them is left out."""
    found: list[Sentence] = []
    start = 0
    for match in _END.finditer(text):
        if not _ends(text, match, start):
            continue
        _add(found, text, start, match.end())
        start = match.end()
    _add(found, text, start, len(text))
    return tuple(found)


def _ends(text: str, match: re.Match[str], start: int) -> bool:
    mark = match.group()
    if mark.startswith("\n"):
        return len(mark) > 1 or _is_break(text, match, start)
    if mark[0] != ".":
        return True
    begin, end = match.span()
    before = text[max(start, begin - 12) : begin]
    following = text[end : end + 24].lstrip()
    # "from 9:00 a.m. to", "by 4:30 p.m. Eastern Time": a sentence does not go on in lower case, nor start with a zone.
    if following[:1].islower() or (_ZONE.match(following) and _HOUR.search(before)):
        return False
    return _ABBREVIATION.search(before, len(before) - _LONGEST_ABBREVIATION) is None


def _is_break(text: str, match: re.Match[str], start: int) -> bool:
    # Only this line is looked at: a long paragraph of short lines would be read again at each of its breaks.
    line = text[max(start, text.rfind("\n", start, match.start()) + 1) : match.start()]
    following = text[match.end() : match.end() + 12]
    return _ITEM.match(following) is not None or len(line.split()) < 8 or "|" in line


def _add(found: list[Sentence], text: str, start: int, end: int) -> None:
    piece = text[start:end].lstrip()
    stripped = piece.rstrip()
    if stripped:
        begin = end - len(piece)
        found.append(Sentence(text=stripped, start=begin, end=begin + len(stripped)))

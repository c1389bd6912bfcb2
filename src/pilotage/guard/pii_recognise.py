"""Finds structured personal data and secrets: one linear first pass, then validators on hits only.

`first_pass` tells which forms occur at all; RE2 gives their places. Context words are looked for 48 code
points before and 24 after, on the same line. Fail mode: an error here is an exception; the policy's check turns it into
a block, since PII checks fail closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

import re2

from pilotage.guard.first_pass import FIRST_PASS, Present
from pilotage.guard.pii_patterns import RECOGNISERS, Recogniser, bare
from pilotage.guard.pii_types import TABLE_ORDER, Match, PiiType
from pilotage.guard.plain_texts import PlainTexts, name_of
from pilotage.guard.policy import Action

__all__ = ["PII_VERSION", "Match", "PiiType", "recognise", "select"]

PII_VERSION = "pilotage-pii/1"
BEFORE, AFTER = 48, 24
_STEP = 0.05
_PEM_END = "PRIVATE KEY-----"
_PLAIN: Final = PlainTexts()
_VERSION_WORDS = ("version ", "v", "section ", "§", "§ ")


@cache
def _forms() -> tuple[Any, ...]:
    options = re2.Options()
    options.log_errors = False
    return tuple(re2.compile(one.pattern, options) for one in RECOGNISERS)


def recognise(
    text: str, *, regions: frozenset[str] = frozenset({"us", "uk"}), present: Present = FIRST_PASS
) -> tuple[Match, ...]:
    """Return the matches of a text, none overlapping another, in order of place. `present` is the first pass."""
    if not text:
        return ()
    name = name_of(text, regions)
    if present is FIRST_PASS and name in _PLAIN:
        return ()
    found: list[Match] = []
    for number in present(text):
        recogniser = RECOGNISERS[number]
        if not recogniser.regions or recogniser.regions & regions:
            found += _matches(text, recogniser, _forms()[number])
    if not found and present is FIRST_PASS:
        _PLAIN.keep(name)
    return _without_overlaps(found)


def _matches(text: str, recogniser: Recogniser, form: Any) -> Iterable[Match]:  # noqa: ANN401 - the library has no types
    for hit in form.finditer(text):
        start, end = hit.span()
        if recogniser.type is PiiType.SECRET and text.startswith("-----BEGIN", start):
            end = _pem_end(text, start)
        value = text[start:end] if recogniser.raw else bare(text[start:end])
        if not recogniser.valid(value) or _is_version(text, start, recogniser):
            continue
        score = recogniser.with_context if _has_context(text, start, end, recogniser.words) else recogniser.alone
        if score > 0:
            yield Match(type=recogniser.type, start=start, end=end, score=score, normalised=bare(value))


def _pem_end(text: str, start: int) -> int:
    """Return the end of a key block: its closing marker, or the text's end: a block cut short is secret too."""
    opened = text.find(_PEM_END, start) + len(_PEM_END)
    closed = text.find(_PEM_END, opened)
    return len(text) if closed < 0 else closed + len(_PEM_END)


def _is_version(text: str, start: int, recogniser: Recogniser) -> bool:
    if recogniser.type is not PiiType.IP:
        return False
    before = text[max(0, start - 9) : start].lower()
    return before.endswith(_VERSION_WORDS)


def _has_context(text: str, start: int, end: int, words: Sequence[str]) -> bool:
    if not words:
        return False
    before = text[max(0, start - BEFORE) : start].rpartition("\n")[2]
    after = text[end : end + AFTER].partition("\n")[0]
    near = f"{before} {after}".lower()
    return any(_stands_in(word, near) for word in words)


def _stands_in(word: str, near: str) -> bool:
    place = near.find(word)
    while place >= 0:
        if place == 0 or not near[place - 1].isalnum():
            return True
        place = near.find(word, place + 1)
    return False


def _without_overlaps(found: Sequence[Match]) -> tuple[Match, ...]:
    """Keep the better of two that overlap: score in steps of 0.05, then longer, then earlier, then table order."""
    if len(found) < 2:
        return tuple(found)
    ranked = sorted(
        found,
        key=lambda one: (-round(one.score / _STEP), -(one.end - one.start), one.start, TABLE_ORDER[one.type]),
    )
    kept: list[Match] = []
    taken = bytearray(max(one.end for one in found))  # 1 for every code point of what is kept: thousands may be found
    for one in ranked:
        if taken.find(1, one.start, one.end) < 0:
            taken[one.start : one.end] = b"\1" * (one.end - one.start)
            kept.append(one)
    return tuple(sorted(kept, key=lambda one: one.start))


def select(matches: Iterable[Match], *, threshold: float, types: Mapping[str, Action]) -> tuple[Match, ...]:
    """Return the matches a check acts on: at or over the threshold, and of a type that is not allowed."""
    return tuple(
        one for one in matches if one.score >= threshold and types.get(one.type, Action.REDACT) is not Action.ALLOW
    )

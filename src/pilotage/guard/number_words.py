"""English number words: `forty-three million`, `two hundred and five`, `ten` (evaluation.md 2.4).

Fail mode: words that make no number (`one two`) are read one by one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


def _split(words: str) -> list[str]:
    return words.split()


_UNITS = _split(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = _split("twenty thirty forty fifty sixty seventy eighty ninety")
_VALUES = {word: number for number, word in enumerate(_UNITS)} | {
    word: 10 * number for number, word in enumerate(_TENS, start=2)
}
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_WORD = "|".join(sorted((*_VALUES, *_SCALES), key=len, reverse=True))
# It starts with the first letter, so the engine jumps over every place where no such word can start.
_STARTS = sorted({word[0] for word in _VALUES})
_FIRST = "|".join(
    f"(?<={letter})(?:{'|'.join(word[1:] for word in _VALUES if word[0] == letter)})" for letter in _STARTS
)
_RUN = re.compile(rf"[{''.join(_STARTS)}](?<![\w-].)(?:{_FIRST})(?!\w)(?:(?:[ -]| and )(?:{_WORD})(?!\w))*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SpelledNumber:
    """A number in words. `has_scale`: one of its words is hundred or more; `place` is its last scale's power of ten."""

    amount: int
    place: int
    has_scale: bool
    start: int
    end: int


def read_number_words(text: str) -> tuple[SpelledNumber, ...]:
    """Return the spelled numbers of a text in normal form, in order."""
    found: list[SpelledNumber] = []
    for run in _RUN.finditer(text):
        words = [word for word in re.split(r"[ -]", run[0]) if word != "and"]
        whole = _amount(words)
        if whole is not None:
            amount, place = whole
            found.append(
                SpelledNumber(
                    amount=amount,
                    place=place,
                    has_scale=any(word in _SCALES for word in words),
                    start=run.start(),
                    end=run.end(),
                )
            )
        else:
            found += _one_by_one(run)
    return tuple(found)


def _one_by_one(run: re.Match[str]) -> list[SpelledNumber]:
    return [
        SpelledNumber(
            amount=_VALUES[word[0]],
            place=0,
            has_scale=False,
            start=run.start() + word.start(),
            end=run.start() + word.end(),
        )
        for word in re.finditer(r"[a-z]+", run[0])
        if word[0] in _VALUES
    ]


def _amount(words: list[str]) -> tuple[int, int] | None:
    """Return value and last place of a run, or None where the words do not make one number."""
    total, current, room, last_scale = 0, 0, 100, 10**18
    place = 0
    for word in words:
        if word in _VALUES:
            value = _VALUES[word]
            if value >= room or (value == 0 and len(words) > 1):
                return None
            current += value
            room = 10 if value >= 20 else 0
            place = 0
        elif word == "hundred":
            if not 0 < current < 100:
                return None
            current, room, place = current * 100, 100, 2
        else:
            scale = 10 ** _SCALES[word]
            if current == 0 or scale >= last_scale:
                return None
            total, current, room, last_scale, place = total + current * scale, 0, 100, scale, _SCALES[word]
    return total + current, place

"""Form of the answer: length, JSON with its required keys, language (evaluation.md 3.3, `format`).

Fail mode: a text too short to tell its language fails no language rule; JSON that does not parse fails.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pilotage.core.canonical import CanonicalError, Json, parse_json
from pilotage.evaluation.scorer import Found, Score, Subject, Value

_MARKS = {
    "en": frozenset(["the", "of", "and", "to", "is", "in", "for", "that", "by", "on", "are", "be", "with", "not"]),
    "de": frozenset(["der", "die", "das", "und", "ist", "von", "den", "nicht", "mit", "ein", "eine", "zu", "auf"]),
    "fr": frozenset(["le", "la", "les", "des", "et", "est", "une", "un", "pour", "dans", "que", "du", "pas", "sur"]),
}
_WORD = re.compile(r"[^\W\d_]+")
_FEWEST_WORDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatRule:
    """What the form must be. Words are counted without markers; `required` are keys of a JSON object."""

    shortest_words: int = 1
    longest_words: int = 600
    is_json: bool = False
    required: tuple[str, ...] = ()
    language: str | None = None

    def as_json(self) -> dict[str, Json]:
        """Return the rule as the scorer's version digests it."""
        return {
            "shortest_words": self.shortest_words,
            "longest_words": self.longest_words,
            "is_json": self.is_json,
            "required": list(self.required),
            "language": self.language,
        }


def format_score(rule: FormatRule) -> Score:
    """Return the scoring function of a rule: 1 when all of it holds. A refusal is judged by its length alone."""

    def score(subject: Subject) -> Found:
        text = subject.generation.answer
        problems: list[Json] = []
        words = len(subject.answer.words)
        if not rule.shortest_words <= words <= rule.longest_words:
            problems.append("length")
        if not subject.generation.refused:
            if rule.is_json and not _is_json(text, rule.required):
                problems.append("schema")
            if rule.language is not None and language_of(text) not in (rule.language, None):
                problems.append("language")
        return Value(float(not problems), {"problems": problems, "words": words})

    return score


def language_of(text: str) -> str | None:
    """Return the language whose function words are most frequent, or None for short or undecided texts."""
    words = [word.casefold() for word in _WORD.findall(text)]
    if len(words) < _FEWEST_WORDS:
        return None
    counts = {language: sum(word in marks for word in words) for language, marks in _MARKS.items()}
    first, second = sorted(counts.values(), reverse=True)[:2]
    return None if first == second else max(counts, key=counts.__getitem__)


def _is_json(text: str, required: tuple[str, ...]) -> bool:
    try:
        value = parse_json(text.encode())
    except CanonicalError:
        return False
    return not required or (isinstance(value, Mapping) and set(required) <= set(value))

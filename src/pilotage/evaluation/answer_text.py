"""An answer read once for every scorer: normal form, tokens, values, statements with what each relies on.

Rule: a pure function of text and locale, remembered while its scorers, which follow each other, ask for the same; what
is kept longer costs the collector more than reading it again. Fail mode: an empty answer has no statements; scorers of
statements then have nothing to score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pilotage.evaluation.generation import Citation, Generation
from pilotage.guard.anchors import names_in, quotes_in
from pilotage.guard.citations import MARKER, statements_of
from pilotage.guard.grounding_features import content_tokens, grounding_tokens, normal_tokens
from pilotage.guard.numbers import number_anchors, read_figures
from pilotage.guard.tokens import Tokens, tokens_of
from pilotage.guard.values import Values

FACT_BEARING_WORDS = 4


@dataclass(frozen=True, slots=True)
class StatementText:
    """One sentence without its markers. `is_fact_bearing`: it holds an anchor or at least four content words."""

    text: str
    markers: tuple[int, ...]
    tokens: tuple[str, ...]
    has_anchor: bool
    is_fact_bearing: bool


@dataclass(frozen=True, slots=True)
class AnswerText:
    """An answer in every form scorers need."""

    normal: str
    tokens: Tokens
    values: Values
    statements: tuple[StatementText, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The words and numbers, as `grounding_tokens` cuts them."""
        return normal_tokens(self.normal)


@lru_cache(maxsize=4)
def read_answer(text: str, locale: str = "en") -> AnswerText:
    """Read an answer."""
    figures = read_figures(text, locale)
    return AnswerText(
        figures.text,
        tokens_of(figures.text),
        figures.values,
        tuple(_statement(one.text, one.markers, locale) for one in statements_of(text)),
    )


def _statement(text: str, markers: tuple[int, ...], locale: str) -> StatementText:
    plain = MARKER.sub("", f" {text}").strip() if "[" in text else text.strip()
    tokens = grounding_tokens(plain)
    figures = read_figures(plain, locale)
    has_anchor = bool(
        figures.values.dates or figures.values.notes or number_anchors(figures) or names_in(plain) or quotes_in(plain)
    )
    is_fact_bearing = not plain.endswith("?") and (has_anchor or len(content_tokens(tokens)) >= FACT_BEARING_WORDS)
    return StatementText(plain, markers, tokens, has_anchor, is_fact_bearing)


def cited_by(statement: StatementText, generation: Generation) -> tuple[Citation, ...]:
    """Return the citations of a statement that are valid and the asker may read: an invalid one supports nothing."""
    markers = statement.markers
    return tuple([one for one in generation.citations if one.marker in markers and one.valid and one.allowed])


def evidence_of(statement: StatementText, generation: Generation) -> Sequence[str]:
    """Return the texts a statement relies on: those it cites; when it cites none, every passage shown."""
    if statement.markers:
        return [one.text for one in cited_by(statement, generation)]
    return [one.text for one in generation.passages]

"""How much of a statement stands in the text it cites: idf-weighted precision of its analyser tokens, in [0, 1].

A signal, not a proof (serving.md 5.6): `validate` warns when its action is `block`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Analyse = Callable[[str], list[str]]


def grounding_of(statement: str, cited: Sequence[str], *, idf: Mapping[str, float], analyse: Analyse) -> float:
    """Return the best share over the cited texts; a token without idf weighs 1. No citation: 0."""
    tokens = analyse(statement)
    total = sum(idf.get(token, 1.0) for token in tokens)
    if not tokens or total <= 0:
        return 1.0
    return max((_share(tokens, frozenset(analyse(text)), idf) / total for text in cited), default=0.0)


def _share(tokens: Sequence[str], held: frozenset[str], idf: Mapping[str, float]) -> float:
    return sum(idf.get(token, 1.0) for token in tokens if token in held)

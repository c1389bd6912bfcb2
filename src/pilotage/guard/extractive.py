"""The extractive answer: verbatim sentences of the passages, chosen by how much of the question they cover.

Source: serving.md 6.3. Q = distinct analyser tokens of the question without stop words, weighted by idf over what the
asker may see. Greedy by gain in cover; ties by passage rank, then order in the passage. Deterministic. Fail mode: too
little cover is "not found"; nothing is ever written that does not stand in a passage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pilotage.guard.sentences import split_sentences

MOST_SENTENCES = 3
MOST_PASSAGES = 5
RANK_PENALTY = 0.01
SHORTEST_TOKENS = 3

Analyse = Callable[[str], list[str]]
"""The index's own analyser for the corpus's language."""

STOP_WORDS = frozenset({
    "a", "about", "after", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "because", "been",
    "before", "being", "between", "both", "but", "by", "can", "could", "did", "do", "does", "doing", "for", "from",
    "had", "has", "have", "having", "he", "her", "here", "hers", "him", "his", "how", "i", "if", "in", "into", "is",
    "it", "its", "itself", "just", "me", "more", "most", "must", "my", "no", "nor", "not", "of", "off", "on",
    "once", "only", "or", "other", "our", "ours", "out", "over", "own", "please", "same", "she", "should", "so",
    "some", "such", "tell", "than", "that", "the", "their", "theirs", "them", "then", "there", "these", "they",
    "thi", "this", "those", "to", "too", "under", "until", "up", "us", "very", "wa", "was", "we", "were", "what",
    "when", "where", "which", "while", "who", "whom", "whose", "why", "will", "with", "would", "you", "your",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A passage as the model reads it; `marker` is the n of `[n]`, and its rank."""

    marker: int
    heading: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    order: tuple[int, int]
    marker: int
    text: str
    covers: frozenset[str]


def extract(
    question: str,
    sources: Sequence[Source],
    idf: Mapping[str, float],
    *,
    analyse: Analyse,
    minimum: tuple[float, float],
) -> str | None:
    """Return the answer, each sentence followed by its ` [n]`, or None for "not found".

    `minimum` is (best single cover, cover of all chosen sentences), both in [0, 1]; `idf` maps analyser tokens.
    """
    wanted = {token: idf.get(token, 0.0) for token in analyse(question) if token not in STOP_WORDS}
    total = sum(wanted.values())
    if not wanted or total <= 0:
        return None
    candidates = _candidates(sources[:MOST_PASSAGES], frozenset(wanted), analyse)
    best = max((_weight(one.covers, wanted) / total for one in candidates), default=0.0)
    chosen = _choose(candidates, wanted, total)
    union = _weight(frozenset().union(*(one.covers for one in chosen)), wanted) / total if chosen else 0.0
    if best < minimum[0] or union < minimum[1]:
        return None
    return " ".join(f"{one.text} [{one.marker}]" for one in sorted(chosen, key=lambda one: one.order))


def _candidates(sources: Sequence[Source], wanted: frozenset[str], analyse: Analyse) -> list[_Candidate]:
    found: list[_Candidate] = []
    for source in sources:
        heading = frozenset(analyse(source.heading)) & wanted
        for number, sentence in enumerate(split_sentences(source.text)):
            tokens = analyse(sentence.text)
            own = frozenset(tokens) & wanted
            if own and len(tokens) >= SHORTEST_TOKENS:
                found.append(
                    _Candidate(
                        order=(source.marker, number),
                        marker=source.marker,
                        text=" ".join(sentence.text.split()),
                        covers=own | heading,
                    )
                )
    return found


def _choose(candidates: Sequence[_Candidate], wanted: Mapping[str, float], total: float) -> list[_Candidate]:
    chosen: list[_Candidate] = []
    covered: frozenset[str] = frozenset()
    left = list(candidates)
    while left and len(chosen) < MOST_SENTENCES:
        gains = [(_weight(one.covers - covered, wanted) / total, one) for one in left]
        gain, pick = max(gains, key=lambda item: (item[0] - RANK_PENALTY * item[1].marker, _reversed(item[1].order)))
        if gain <= 0:
            break
        chosen.append(pick)
        covered |= pick.covers
        left.remove(pick)
    return chosen


def _reversed(order: tuple[int, int]) -> tuple[int, int]:
    return -order[0], -order[1]


def _weight(tokens: frozenset[str], wanted: Mapping[str, float]) -> float:
    return sum(wanted[token] for token in sorted(tokens))

"""How much of a statement stands in its evidence: the features of the grounding score (evaluation.md 3.5).

`k_precision` after Adlakha et al. 2024 (clipped content tokens), `trigram_precision` over all tokens, the supported
shares of numbers, dates and names, and the best idf-weighted overlap with one evidence sentence. All in [0, 1]. Fail
mode: a statement without content tokens has nothing to be wrong about: its shares are 1.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TypeVar

from pilotage.guard.anchors import Support, share
from pilotage.guard.extractive import STOP_WORDS
from pilotage.guard.normalise import normalise
from pilotage.guard.sentences import split_sentences

T = TypeVar("T", bound=Hashable)

FEATURES = (
    "k_precision",
    "trigram_precision",
    "number_support",
    "date_support",
    "name_support",
    "min_sentence_overlap",
)
FEATURES_VERSION = "pilotage-grounding-features/1"
_TOKEN = re.compile(r"[a-z0-9]+(?:[.,][0-9]+)*%?")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A text statements may rely on, read once: token and trigram counts, and in which sentences a content token is.

    `places` has bit n for sentence n. Texts and whole numbers are nothing for the collector to visit: a thousand
    passages are kept, and its passes over them were the slowest scorings.
    """

    tokens: Counter[str]
    trigrams: Counter[str]
    sentences: int
    places: Mapping[str, int]


def grounding_tokens(text: str) -> tuple[str, ...]:
    """Return every token of a text; a token is a word or a number with its percent sign."""
    return normal_tokens(normalise(text))


def normal_tokens(normal: str) -> tuple[str, ...]:
    """Return every token of a text in normal form."""
    return tuple(_TOKEN.findall(normal))


def content_tokens(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return the tokens that are no stop words."""
    return tuple([token for token in tokens if token not in STOP_WORDS])


@lru_cache(maxsize=4096)
def read_evidence(text: str) -> Evidence:
    """Read a passage for comparison."""
    tokens = grounding_tokens(text)
    sentences = split_sentences(text)
    places: dict[str, int] = {}
    for place, one in enumerate(sentences):
        bit = 1 << place
        for token in grounding_tokens(one.text):
            if token not in STOP_WORDS:
                places[token] = places.get(token, 0) | bit
    return Evidence(
        tokens=Counter(tokens),
        trigrams=Counter(_trigrams(tokens)),
        sentences=len(sentences),
        places=places,
    )


def features_of(tokens: Sequence[str], evidence: Sequence[Evidence], support: Support) -> tuple[float, ...]:
    """Return the features of one statement in the order of `FEATURES`."""
    content = content_tokens(tokens)
    trigrams = list(_trigrams(tokens))
    return (
        _clipped(content, [one.tokens for one in evidence]),
        _clipped(trigrams, [one.trigrams for one in evidence]),
        share(support.numbers),
        share(support.dates),
        share(support.names),
        _best_sentence(frozenset(content), evidence),
    )


def _trigrams(tokens: Sequence[str]) -> Iterator[str]:
    """Return every three tokens in a row as one text."""
    return map(" ".join, zip(tokens, tokens[1:], tokens[2:], strict=False))


def _clipped(wanted: Sequence[T], held: Sequence[Counter[T]]) -> float:
    """Return the share of items that occur in the evidence at least as often as in the statement."""
    if not wanted:
        return 1.0
    if len(held) == 1 and len(set(wanted)) == len(wanted):
        return sum(map(held[0].__contains__, wanted)) / len(wanted)
    counts = Counter(wanted)
    if len(held) == 1:
        only = held[0]
        return sum([min(count, only[item]) for item, count in counts.items() if item in only]) / len(wanted)
    return sum([min(count, sum([one.get(item, 0) for one in held])) for item, count in counts.items()]) / len(wanted)


def _best_sentence(content: frozenset[str], evidence: Sequence[Evidence]) -> float:
    if not content:
        return 1.0
    places, sentences = _places(content, evidence)
    weights: list[float] = []
    shared: defaultdict[int, list[float]] = defaultdict(list)
    for token in content:
        held = places.get(token, 0)
        weight = _weight(sentences, held.bit_count())
        weights.append(weight)
        while held:
            place = held & -held
            held ^= place
            shared[place].append(weight)
    # fsum is exact: its result does not depend on the order of the tokens.
    # Every weight is above 0, since no token stands in more sentences than there are.
    total = math.fsum(weights)
    best = max(map(math.fsum, shared.values()), default=0.0)
    return min(1.0, max(0.0, best / total))


@lru_cache(maxsize=4096)
def _weight(sentences: int, held: int) -> float:
    """Return the idf of a token that stands in `held` of the sentences."""
    return math.log((sentences + 1) / (held + 0.5))


def _places(content: frozenset[str], evidence: Sequence[Evidence]) -> tuple[Mapping[str, int], int]:
    """Return in which sentences of all the evidence each token is, and how many sentences there are."""
    if len(evidence) == 1:
        return evidence[0].places, evidence[0].sentences
    starts = list(accumulate([one.sentences for one in evidence], initial=0))
    rows = list(zip(starts, evidence, strict=False))
    return {token: sum([one.places.get(token, 0) << row for row, one in rows]) for token in content}, starts[-1]

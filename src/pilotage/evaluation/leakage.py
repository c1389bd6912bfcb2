"""Does a golden case leak into what it tests? Codes L1 to L4 of evaluation.md 2.7.

Rule: containment(A in B) is the share of A's token 8-gram shingles present in B; under 8 tokens an exact run of at
least 4 tokens. Facts in gold documents are no leak. Fail mode: a leaked case is scored and shown apart and gates
nothing; a leaked must_pass case, or more than 5 % leaked, is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from pilotage.evaluation.answer_text import read_answer
from pilotage.evaluation.facts import compile_fact, states
from pilotage.guard.grounding_features import content_tokens, grounding_tokens
from pilotage.guard.normalise import normalise
from pilotage.workspace.golden import GoldenCase, GoldenFile, Split

SHINGLE = 8
SHORTEST_RUN = 4
IN_PROMPT = 0.5
IN_EXAMPLE = 0.5
IN_DOCUMENT = 0.8
NEAR_TWIN = 0.8
MOST_LEAKED = 0.05


class LeakCode(StrEnum):
    """How a case leaked."""

    PROMPT = "L1"
    EXAMPLE = "L2"
    DOCUMENT = "L3"
    SPLITS = "L4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One leaked case: `where` names the prompt part, document or dev case, `share` how much was found there."""

    case_id: str
    code: LeakCode
    where: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a case may leak into: instruction texts and few-shot examples by name, corpus documents by id."""

    instructions: Mapping[str, str]
    examples: Mapping[str, str]
    documents: Mapping[str, str]


def find_leaks(files: Iterable[GoldenFile], sources: Sources) -> tuple[Leak, ...]:
    """Return every leak of the gate cases of a golden set, in the order of cases and codes."""
    kept = list(files)
    cases = [case for one in kept if one.split is Split.GATE for case in one.cases]
    dev = [case for one in kept if one.split is Split.DEV for case in one.cases]
    documents = [(name, _shingles(grounding_tokens(text)), text) for name, text in sorted(sources.documents.items())]
    found: list[Leak] = []
    for case in cases:
        found += _in_prompt(case, sources)
        found += _in_documents(case, documents)
    return (*found, *_between_splits(cases, dev))


def blocks_gating(leaks: Sequence[Leak], cases: Sequence[GoldenCase]) -> bool:
    """Tell whether so much leaked that nothing can be concluded."""
    leaked = {one.case_id for one in leaks}
    return any(case.must_pass and case.id in leaked for case in cases) or len(leaked) > MOST_LEAKED * len(cases)


def containment(needle: str, hay: str) -> float:
    """Return how much of one text stands in another, in [0, 1]."""
    wanted, held = grounding_tokens(needle), grounding_tokens(hay)
    if len(wanted) < SHINGLE:
        return _exact(wanted, f" {' '.join(held)} ")
    shingles = _shingles(wanted)
    return len(shingles & _shingles(held)) / len(shingles)


def _exact(wanted: Sequence[str], hay: str) -> float:
    return float(len(wanted) >= SHORTEST_RUN and f" {' '.join(wanted)} " in hay)


def _shingles(tokens: Sequence[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(tokens[start : start + SHINGLE]) for start in range(len(tokens) - SHINGLE + 1))


@lru_cache(maxsize=16_384)
def trigrams(text: str) -> frozenset[str]:
    """Return the runs of three characters of a text in normal form; a shorter text is its own."""
    return frozenset(text[start : start + 3] for start in range(max(1, len(text) - 2)))


def _in_prompt(case: GoldenCase, sources: Sources) -> list[Leak]:
    found: list[Leak] = []
    for name, text in sorted({**sources.instructions, **sources.examples}.items()):
        share = containment(case.question, text)
        if share >= IN_PROMPT:
            found.append(Leak(case_id=case.id, code=LeakCode.PROMPT, where=name, share=share))
    asked = frozenset(content_tokens(grounding_tokens(case.question)))
    for name, text in sorted(sources.examples.items()):
        share = len(asked.intersection(grounding_tokens(text))) / len(asked) if asked else 0.0
        if share >= IN_EXAMPLE and _holds_fact(case, text):
            found.append(Leak(case_id=case.id, code=LeakCode.EXAMPLE, where=name, share=share))
    return found


def _holds_fact(case: GoldenCase, text: str) -> bool:
    answer = read_answer(text)
    return any(states(answer, compile_fact(one, place=n)) for n, one in enumerate(case.expect.facts, start=1))


def _in_documents(case: GoldenCase, documents: Sequence[tuple[str, frozenset[tuple[str, ...]], str]]) -> list[Leak]:
    gold = {entry.partition("#")[0] for one in case.expect.citations for entry in one}
    gold |= {entry.partition("#")[0] for entry in case.expect.retrieve}
    wanted = grounding_tokens(case.question)
    mine = _shingles(wanted)
    found: list[Leak] = []
    for name, theirs, text in documents:
        if name in gold:
            continue
        share = len(mine & theirs) / len(mine) if mine else containment(case.question, text)
        if share >= IN_DOCUMENT:
            found.append(Leak(case_id=case.id, code=LeakCode.DOCUMENT, where=name, share=share))
    return found


def _between_splits(cases: Sequence[GoldenCase], dev: Sequence[GoldenCase]) -> list[Leak]:
    """Compare only questions that share enough trigrams by length: |A| / |B| bounds the similarity."""
    found: list[Leak] = []
    theirs = [(one.id, trigrams(normalise(one.question))) for one in dev]
    for case in cases:
        mine = trigrams(normalise(case.question))
        for name, other in theirs:
            if min(len(mine), len(other)) < NEAR_TWIN * max(len(mine), len(other)):
                continue
            shared = len(mine & other)
            share = shared / (len(mine) + len(other) - shared)
            if share >= NEAR_TWIN:
                found.append(Leak(case_id=case.id, code=LeakCode.SPLITS, where=name, share=share))
                break
    return found

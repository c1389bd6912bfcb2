"""The built-in model: it selects sentences of the passages and cites them (serving.md 6.3). Deterministic, offline.

The selection itself is a pure function of the guard room and comes in as `extract`. Fail mode: nothing found is an
answer of its own, `FinishReason.NOT_FOUND`; this model cannot be down.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from pilotage.release.generation import Delta, Done, Event, FinishReason, GenerationRequest, Usage
from pilotage.retrieval.settings import MinimumCoverage

Extract: TypeAlias = Callable[[GenerationRequest, MinimumCoverage, str], str | None]
"""(request, minimum coverage, BCP 47 language) to verbatim sentences with `[n]` after each, or None: not found."""

NAME = "extractive"
_BYTES_PER_TOKEN = 4


class ExtractiveModel:
    """Answers from the passages alone."""

    def __init__(self, extract: Extract, *, coverage: MinimumCoverage, language: str) -> None:
        self._extract = extract
        self._coverage = coverage
        self._language = language

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Event]:
        """Give the whole answer as one delta."""
        text = self._extract(request, self._coverage, self._language)
        if text:
            yield Delta(text=text)
        # Its own prompt is the question and the passages: no random delimiter counts.
        words = request.question + "".join(passage.text for passage in request.passages)
        yield Usage(prompt_tokens=self.count(words), completion_tokens=self.count(text or ""), estimated=True)
        yield Done(finish=FinishReason.STOP if text else FinishReason.NOT_FOUND, model=NAME)

    def count(self, text: str) -> int:
        """Count one token per four UTF-8 bytes, rounded up."""
        return -(-len(text.encode()) // _BYTES_PER_TOKEN)

    async def probe(self) -> None:
        """Return at once: there is nothing to reach."""

    async def close(self) -> None:
        """Return at once: there is nothing to release."""

"""What a sealed release asks of a model: the port, and the records that cross it (serving.md 6).

A fake stands in `testing/models.py`; one contract suite runs over it and every adapter. Fail mode: a stream that ends
without `Done` is not an answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from pilotage.core.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn. `role` is system, user or assistant; the text is already redacted."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One retrieved chunk as the prompt shows it; `marker` is the n of `[n]`, from 1."""

    marker: int
    document: str
    title: str
    section: str
    ordinal: int
    rev: int
    text: str
    heading: str = ""
    uri: str | None = None
    effective_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """Everything a model may see. `question` and `idf` serve the extractive model, others use `messages` alone.

    `idf` pairs each analyser token of the question with its idf over the chunks the asker may see.
    """

    messages: tuple[Message, ...]
    question: str
    passages: tuple[Passage, ...]
    idf: tuple[tuple[str, float], ...] = ()
    max_tokens: int = 1024
    interaction: str = ""


class FinishReason(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of answer text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Model tokens. `estimated` when the provider reported none."""

    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The end of a complete answer, with the provider's own model name and fingerprint."""

    finish: FinishReason
    model: str
    fingerprint: str | None = None
    retries: int = 0


Event: TypeAlias = "Delta | Usage | Done"


class RequestRefused(Unavailable):
    """The provider was reached and refuses this request as such, which is about what the release asks of it."""


class Model(Protocol):
    """A generator of answers. Raises core.errors.Unavailable (code upstream_failed or upstream_timeout)."""

    def generate(self, request: GenerationRequest) -> AsyncIterator[Event]:
        """Stream deltas, at most one usage, then exactly one Done. Closing the iterator cancels upstream."""
        ...

    def count(self, text: str) -> int:
        """Estimate model tokens of a text."""
        ...

    async def probe(self) -> None:
        """Return when the model can be reached; raise Unavailable otherwise."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...

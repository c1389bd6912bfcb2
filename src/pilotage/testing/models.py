"""A model that says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from pilotage.core.errors import Unavailable
from pilotage.release.generation import Delta, Done, Event, FinishReason, GenerationRequest, Usage


@dataclass(slots=True, kw_only=True)
class FakeModel:
    """Answers with `pieces`, or with what `reply` returns for a request.

    `failure` is raised after `fail_after` pieces; `gate` is awaited before each piece, so a test can hold the stream.
    `requests` keeps what was asked, `cancelled` counts streams that were closed before their end.
    """

    pieces: Sequence[str] = ("Ten business days ", "[1].")
    reply: Callable[[GenerationRequest], str] | None = None
    finish: FinishReason = FinishReason.STOP
    usage: Usage | None = None
    failure: Unavailable | None = None
    fail_after: int = 0
    gate: Callable[[], asyncio.Future[None]] | None = None
    requests: list[GenerationRequest] = field(default_factory=list)
    cancelled: int = 0
    closed: bool = False
    fingerprint: str | None = None

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Event]:
        """Stream the scripted pieces."""
        self.requests.append(request)
        pieces = [self.reply(request)] if self.reply is not None else list(self.pieces)
        finished = False
        try:
            for index, piece in enumerate(pieces):
                if self.failure is not None and index >= self.fail_after:
                    break
                if self.gate is not None:
                    await self.gate()
                yield Delta(text=piece)
            if self.failure is not None:
                finished = True
                raise self.failure
            finished = True
            yield self.usage or Usage(
                prompt_tokens=self._prompt(request), completion_tokens=self.count("".join(pieces))
            )
            yield Done(finish=self.finish, model="fake", fingerprint=self.fingerprint)
        finally:
            self.cancelled += not finished

    def count(self, text: str) -> int:
        """Count words."""
        return len(text.split())

    async def probe(self) -> None:
        """Fail when the script fails."""
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _prompt(self, request: GenerationRequest) -> int:
        return sum(self.count(message.content) for message in request.messages)

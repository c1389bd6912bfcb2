"""How a test asks the pipeline a question, without HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pilotage.core.ids import InteractionId, new_ulid
from pilotage.serving.context import Answer, Asked, Bearer, Peer, Received, Turn
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.refusal import Refusal
from pilotage.serving.run import Finished, Sink
from pilotage.testing.serving_path import WORKFLOW, Path, Plan, make_path

QUESTION = "When are errors resolved?"


class Desk:
    """A running path with its pipeline."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pipeline = Pipeline(path.serving)

    def received(self, question: str = QUESTION, *, token: str | None = "maria", **asked: Any) -> Received:  # noqa: S107, ANN401 - a fake token; fields of Asked
        """Return a request; keywords are fields of `Asked`, `token` the bearer token, `peer` the other end."""
        peer = asked.pop("peer", Peer(address="127.0.0.1"))
        serving = self.path.serving
        base = Asked(workflow=WORKFLOW, messages=(Turn(role="user", text=question),))
        return Received(
            interaction=InteractionId(new_ulid(serving.clock.now())),
            at=serving.clock.now(),
            started=serving.monotonic(),
            peer=peer,
            credential=Bearer(token=token),
            asked=replace(base, **asked),
        )

    async def ask(self, question: str = QUESTION, *, sink: Sink | None = None, **asked: Any) -> Finished:  # noqa: ANN401 - fields of Asked
        """Ask and return how it ended."""
        return await self.pipeline.answer(self.received(question, **asked), sink)

    async def answer(self, question: str = QUESTION, **asked: Any) -> Answer:  # noqa: ANN401 - fields of Asked
        """Ask and return the answer; anything else fails the test."""
        result = (await self.ask(question, **asked)).result
        assert isinstance(result, Answer), result
        return result

    async def refusal(self, question: str = QUESTION, **asked: Any) -> Refusal:  # noqa: ANN401 - fields of Asked
        """Ask and return the refusal; anything else fails the test."""
        result = (await self.ask(question, **asked)).result
        assert isinstance(result, Refusal), result
        return result


@asynccontextmanager
async def opened(plan: Plan | None = None) -> AsyncIterator[Desk]:
    """Run a path with its recorder while the block lasts."""
    desk = Desk(make_path(plan))
    await desk.path.serving.recorder.start()
    try:
        yield desk
    finally:
        await desk.path.serving.recorder.stop()

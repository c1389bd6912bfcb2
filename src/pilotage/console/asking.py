"""Questions of signed-in people, through the same pipeline as HTTP clients and `pilotage ask`.

Rule: the session has proved the person; a space's address rules still hold for the browser. Fail mode: the pipeline's.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.core.ids import InteractionId, new_ulid
from pilotage.identity.principal import Principal
from pilotage.serving.context import Asked, Known, Peer, Received
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.run import Finished, Sink
from pilotage.serving.service import Serving


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineAsking:
    """`visit.Asking` over the serving path of this process."""

    serving: Serving
    pipeline: Pipeline

    async def ask(self, asked: Asked, *, principal: Principal, peer: Peer, sink: Sink | None = None) -> Finished:
        """Answer one question; cancelling ends the upstream call and records that the asker left.

        On return the record is durable, or 2 s were waited for it: the page offers links to it.
        """
        at = self.serving.clock.now()
        received = Received(
            interaction=InteractionId(new_ulid(at)),
            at=at,
            started=self.serving.monotonic(),
            peer=peer,
            credential=Known(principal=principal),
            asked=asked,
        )
        finished = await self.pipeline.answer(received, sink)
        await self.serving.recorder.settle()
        return finished

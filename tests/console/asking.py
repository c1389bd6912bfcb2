"""Answers questions as a test says, without a model or an index."""

from __future__ import annotations

from dataclasses import dataclass, field

from pilotage.core.digest import digest_of
from pilotage.core.ids import InteractionId, SpaceName, WorkflowName, new_ulid
from pilotage.identity.principal import Principal
from pilotage.release.generation import FinishReason, Usage
from pilotage.serving.context import Answer, Asked, Cited, Known, Peer, Received
from pilotage.serving.outcome import RequestOutcome
from pilotage.serving.refusal import Refusal
from pilotage.serving.run import Finished, Sink
from pilotage.testing.clock import SimulatedClock


def cited(**changes: object) -> Cited:
    values: dict[str, object] = {
        "marker": 1,
        "corpus": "policies",
        "document": "payments/wire-transfers.md",
        "title": "Wire transfers",
        "section": "Limits",
        "rev": 1,
        "ordinal": 0,
        "start": 0,
        "end": 10,
        "quote": "The limit is $25,000.",
        "uri": None,
        "effective_date": "2026-01-01",
    }
    return Cited(**{**values, **changes})  # type: ignore[arg-type]


@dataclass
class FakeAsking:
    """`console.visit.Asking`. Set `text`, `cited` or `refusal` before asking."""

    clock: SimulatedClock
    text: str = "The limit is $25,000. [1]"
    cited: tuple[Cited, ...] = (cited(),)
    refusal: Refusal | None = None
    asked: list[Asked] = field(default_factory=list)

    async def ask(self, asked: Asked, *, principal: Principal, peer: Peer, sink: Sink | None = None) -> Finished:
        self.asked.append(asked)
        now = self.clock.now()
        interaction = InteractionId(new_ulid(now))
        received = Received(
            interaction=interaction, at=now, started=0.0, peer=peer, credential=Known(principal=principal), asked=asked
        )
        if self.refusal is not None:
            return Finished(result=self.refusal, outcome=RequestOutcome.OK, context=received, total_us=1)
        release = digest_of(b"release")
        if sink is not None:
            await sink.begin(release)
            for piece in self.text.splitlines(keepends=True):
                await sink.send(piece)
        answer = Answer(
            interaction=interaction,
            at=now,
            workflow=WorkflowName(asked.workflow),
            space=SpaceName("sandbox"),
            release=release,
            corpus_version=1,
            arm="stable",
            text=self.text,
            finish=FinishReason.STOP,
            refusal=None,
            cited=self.cited,
            findings=(),
            warnings=(),
            usage=Usage(prompt_tokens=1, completion_tokens=1),
            cost_nano=None,
        )
        return Finished(result=answer, outcome=RequestOutcome.OK, context=received, total_us=1)

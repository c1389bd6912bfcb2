"""One request under way: how far it got, what was recorded, what has left. The only mutable record of the path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from pilotage.core.digest import Digest
from pilotage.serving.admissions import Key
from pilotage.serving.context import Answer, Received, Routed
from pilotage.serving.outcome import RequestOutcome
from pilotage.serving.record_rows import new_salts
from pilotage.serving.refusal import Refusal
from pilotage.store.serving_idempotency import Owner

STAGES: Final = ("admit", "guard_in", "retrieve", "generate", "guard_out", "record")
"""The stages of an answered request in their order; `admit` ends with the release, `generate` with the last word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The answer of an earlier request with the same idempotency key: its complete, redacted body."""

    interaction: str
    body: str


Result: TypeAlias = "Answer | Replay | Refusal"


class Sink(Protocol):
    """Where a stream goes. Only text that may leave is sent."""

    async def begin(self, release: Digest) -> None:
        """Note that the request was admitted and its release is known; nothing has to be sent yet."""
        ...

    @property
    def is_slow(self) -> bool:
        """Tell whether the client was dropped because it did not read."""
        ...

    async def send(self, text: str) -> None:
        """Send one piece of the answer; returns when the client can take more."""
        ...


@dataclass(slots=True, kw_only=True)
class Run:
    """The state of one request.

    `context` is the record of the last step that succeeded. `is_recorded`: an earlier record of this request exists or
    may exist, so the next one closes it. `has_started`: answer text has left. `holds_slot`: a stream slot must be given
    back. `key`: an idempotency key is claimed. `withdrawn`: why the release may not speak any more. `streams_of`: whose
    stream is counted as open. `marks`: when each stage ended, in microseconds since the start; of one that was
    repeated, its last end.
    """

    context: Received
    sink: Sink | None = None
    salts: bytes = field(default_factory=new_salts)
    is_recorded: bool = False
    has_started: bool = False
    holds_slot: bool = False
    key: Owner | None = None
    withdrawn: Refusal | None = None
    streams_of: Key | None = None
    marks: dict[str, int] = field(default_factory=dict)

    @property
    def release(self) -> Digest | None:
        """The release that answers, once it is known."""
        return self.context.release.digest if isinstance(self.context, Routed) else None

    @property
    def stages(self) -> list[tuple[str, int]]:
        """The stages that ended, with how long each took."""
        ends = [0, *self.marks.values()]
        return [(stage, end - began) for (stage, end), began in zip(self.marks.items(), ends, strict=False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a request ended. `context` is how far it got; `stages` are those that ended, each with its microseconds."""

    result: Result | None
    outcome: RequestOutcome
    context: Received
    total_us: int
    stages: Sequence[tuple[str, int]] = ()

    @property
    def release(self) -> Digest | None:
        """The release that answered or would have."""
        return self.context.release.digest if isinstance(self.context, Routed) else None

"""One request under way: how far it got, what was recorded, what has left. The only mutable record of the path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from pilotage.core.digest import Digest
from pilotage.serving.admissions import Key
from pilotage.serving.context import Answer, Received, Routed
from pilotage.serving.outcome import RequestOutcome
from pilotage.serving.record_rows import new_salts
from pilotage.serving.refusal import Refusal
from pilotage.store.serving_idempotency import Owner


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
    stream is counted as open.
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

    @property
    def release(self) -> Digest | None:
        """The release that answers, once it is known."""
        return self.context.release.digest if isinstance(self.context, Routed) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a request ended. `context` is how far it got."""

    result: Result | None
    outcome: RequestOutcome
    context: Received
    total_us: int

    @property
    def release(self) -> Digest | None:
        """The release that answered or would have."""
        return self.context.release.digest if isinstance(self.context, Routed) else None

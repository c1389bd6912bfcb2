"""What the steps need from outside, as small ports. Real ones stand in store/ and adapters/, fakes in testing/."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from pilotage.serving.context import (
    Asker,
    Bearer,
    Composed,
    Embedded,
    Generated,
    Guarded,
    Question,
    Retrieval,
    Routed,
    Verdict,
)
from pilotage.serving.refusal import Refusal
from pilotage.serving.routing import RoutingTable
from pilotage.store.serving_idempotency import Held, Owner
from pilotage.store.serving_records import RecordRows


class RecordSink(Protocol):
    """Where records become durable. `write` is one transaction; it raises psycopg.Error or OSError when unsure."""

    async def write(self, batch: Sequence[RecordRows]) -> None:
        """Write the whole batch or nothing; writing the same batch again changes nothing."""
        ...

    async def close(self) -> None:
        """Release the connection."""
        ...


class Authenticator(Protocol):
    """From a bearer token to the asker, without a pseudonym yet."""

    async def authenticate(self, bearer: Bearer, *, at: datetime) -> Asker | Refusal:
        """Verify the token; every doubt is a refusal with a code of 401 or 403, every outage one of 503."""
        ...


class Pseudonyms(Protocol):
    """Names for records."""

    async def pseudonym_of(self, principal: str) -> str:
        """Return the principal's pseudonym, made on first sight; raise psycopg.Error when the store is down."""
        ...


class RoutingSource(Protocol):
    """Who keeps the routing table."""

    @property
    def current(self) -> RoutingTable:
        """The newest table; replaced whole, never changed."""
        ...


class Retriever(Protocol):
    """Permission first, then ranking, then text."""

    async def retrieve(self, context: Embedded) -> Retrieval | Refusal | Breach:
        """Return the passages the asker may see now; any error on the way is a refusal."""
        ...

    def seen(self, context: Guarded) -> Seen | None:
        """Return what the asker may see by the index as it is, without looking for anything; None: not loaded."""
        ...

    async def still_allowed(self, context: Guarded, retrieval: Retrieval) -> Recheck:
        """Read the store again and name the passages that the asker may no longer see."""
        ...

    async def may_see(self, asker: Asker, refs: Sequence[tuple[str, int, int]]) -> bool:
        """Tell whether the asker may see every (corpus, rev, ordinal) now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The permission decision before any ranking, as `Retrieval` holds it."""

    as_of: date
    acl_generation: int
    allowed_fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """The ranking held `lost` passages that the store does not show to the asker, although no permission moved."""

    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """Result of the last wall. `lost` are markers of passages that are no longer allowed.

    `has_moved` tells whether the ACL generation changed since the retrieval or an ACL went stale: a loss without is a
    defect.
    """

    lost: tuple[int, ...]
    has_moved: bool


class HoldBack(Protocol):
    """Redaction of a stream: the pieces it releases add up to the redaction of the whole (serving.md 5.5)."""

    def feed(self, text: str) -> str:
        """Take the next piece; return what may leave now."""
        ...

    def finish(self) -> str:
        """Return the rest."""
        ...


class Guard(Protocol):
    """The checks of a release's sealed policy. An exception of any of them counts as the policy says: closed blocks."""

    def check_question(self, context: Routed) -> Question | Refusal:
        """Clean up, redact and judge the asker's messages and label; a refusal when they may not go on."""
        ...

    def check_passages(self, context: Guarded, retrieval: Retrieval) -> Retrieval:
        """Return the retrieval with suspicious passages cleaned or dropped, and the findings."""
        ...

    def check_answer(self, context: Generated) -> Verdict:
        """Redact and judge the whole answer; a content refusal carries the release's fixed text."""
        ...

    def hold_back(self, context: Composed) -> HoldBack:
        """Return the redactor of one stream."""
        ...


class IdempotencyKeys(Protocol):
    """Keys of requests that must be answered once (serving.md 7.6). Real: store/serving_idempotency.py."""

    async def claim(self, owner: Owner, *, body_hash: str, interaction: str, at: datetime) -> Held | None:
        """Claim the key: None when it is now ours, else what holds it."""
        ...

    async def finish(self, owner: Owner, *, answer: str, release: str) -> None:
        """Keep the answer of a release under the key."""
        ...

    async def free(self, owner: Owner, *, interaction: str) -> None:
        """Give the key back after a request that got no answer."""
        ...

    async def forget_answer(self, owner: Owner) -> None:
        """Drop a kept answer that its asker may not get any more."""
        ...

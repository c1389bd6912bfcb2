"""Everything the steps of a request work with, put together once per process by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from pilotage.core.clock import Clock
from pilotage.release.content import ReleaseContent
from pilotage.release.generation import Usage
from pilotage.release.model import Prices, Provider
from pilotage.release.residency import embedding_host
from pilotage.serving.admissions import Admissions
from pilotage.serving.answer_cache import AnswerCache
from pilotage.serving.context import Answer
from pilotage.serving.ports import Authenticator, Guard, IdempotencyKeys, Pseudonyms, Retriever, RoutingSource
from pilotage.serving.rate_limits import RateLimiter
from pilotage.serving.recorder import Recorder
from pilotage.serving.routing import RoutingTable
from pilotage.serving.slots import StreamSlots
from pilotage.workspace.records import Workspace
from pilotage.workspace.workflow import Unpriced

_BYTES_A_TOKEN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The serving path of one process. `monotonic` counts seconds.

    `request_hash` is a keyed hash (HMAC-SHA256, hex) of bytes that must not be guessable from the store; `reply_body`
    writes an answer as it is kept under an idempotency key. `has_shadow`: this process runs the shadow arm, so its
    requests are sampled for it. `rates` None: a process that only asks for itself, whom no limit is for.
    """

    workspace: Workspace
    clock: Clock
    monotonic: Callable[[], float]
    authenticator: Authenticator
    pseudonyms: Pseudonyms
    table: RoutingSource
    guard: Guard
    retriever: Retriever
    recorder: Recorder
    idempotency: IdempotencyKeys
    slots: StreamSlots
    request_hash: Callable[[bytes], str]
    reply_body: Callable[[Answer], bytes]
    admissions: Admissions = field(default_factory=Admissions)
    cache: AnswerCache = field(default_factory=AnswerCache)
    has_shadow: bool = False
    rates: RateLimiter | None = None

    @property
    def routing(self) -> RoutingTable:
        """The routing table as it is now; a step that reads it twice keeps the first."""
        return self.table.current

    def elapsed_us(self, started: float) -> int:
        """Return microseconds since `started`."""
        return int((self.monotonic() - started) * 1e6)

    def today(self, at: datetime) -> date:
        """Return the day of `at` in the organisation's time zone."""
        return at.astimezone(ZoneInfo(self.workspace.timezone)).date()

    def prices_of(self, release: ReleaseContent) -> Prices | None:
        """Return what the tokens of a release's model cost, or None where nobody said."""
        declared = self.workspace.workflows.get(release.workflow)
        return release.prices_by(None if declared is None else declared.model)

    def is_unpriced(self, release: ReleaseContent) -> bool:
        """Tell whether a release's model costs what nobody said, and its workflow does not allow that.

        The built-in model costs nothing; one that is declared unmetered has its written reason.
        """
        declared = self.workspace.workflows.get(release.workflow)
        rule = Unpriced.REJECT if declared is None else declared.budgets.unpriced
        is_free = release.model.provider is Provider.EXTRACTIVE or rule is Unpriced.ALLOW
        return not is_free and self.prices_of(release) is None

    def lacks_price(self, release: ReleaseContent) -> bool:
        """Tell whether nobody said what a release's models cost, be that allowed or not."""
        prices, is_free = self.prices_of(release), release.model.provider is Provider.EXTRACTIVE
        return (prices is None and not is_free) or embedding_nano(release, prices, 1) is None

    def cost_nano(self, release: ReleaseContent, usage: Usage, *, embedded: int = 0) -> int | None:
        """Return the price of this usage in nano-units, or None without prices.

        `embedded`: tokens that the release's embedding model was asked; without its price the whole is unknown.
        """
        prices = self.prices_of(release)
        vectors = embedding_nano(release, prices, embedded)
        if vectors is None:
            return None
        if prices is None or prices.unmetered is not None:
            is_known = prices is not None or release.model.provider is Provider.EXTRACTIVE
            return vectors if vectors and is_known else None
        return usage.prompt_tokens * prices.input_nano + usage.completion_tokens * prices.output_nano + vectors


def embedding_nano(release: ReleaseContent, prices: Prices | None, tokens: int) -> int | None:
    """Return the price of what the embedding model was asked; None where nobody said it and it stands outside."""
    embedding = release.retrieval.embedding
    if embedding is None or not tokens:
        return 0
    if prices is not None and prices.embedding_nano is not None:
        return tokens * prices.embedding_nano
    return 0 if embedding_host(embedding) is None else None


def tokens_of(text: str) -> int:
    """Return how many tokens a text may be, where its provider does not say: one for every three bytes."""
    return -(-len(text.encode()) // _BYTES_A_TOKEN)

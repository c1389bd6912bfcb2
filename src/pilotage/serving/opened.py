"""The serving path of a process, put together and kept running while a block lasts.

Opens the pool, the recorder, the routing watch and the listener; closes them in the opposite order, records last. The
guard and the retriever come in as ports. Nothing is opened, read or connected before the block is entered. Fail mode:
a store that is down at start leaves an empty routing table, which answers nobody until it is back.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import psycopg
from sqlalchemy import Engine

from pilotage.adapters.embeddings.registry import build_embedder
from pilotage.adapters.keyring import Keyring
from pilotage.adapters.models.registry import ModelParts, build_model
from pilotage.core.clock import Clock
from pilotage.core.digest import Digest
from pilotage.core.reason import Reason
from pilotage.evaluation.pair_scorer import SupportScorer
from pilotage.release.content import ReleaseContent
from pilotage.retrieval.embedder import Embedder
from pilotage.serving.acknowledge import Acknowledger, process_name
from pilotage.serving.admissions import Admissions
from pilotage.serving.answer_cache import AnswerCache
from pilotage.serving.authenticator import BearerAuthenticator, TokenVerifier
from pilotage.serving.cache_keeper import CacheKeeper
from pilotage.serving.candidate_probes import CandidateProbes
from pilotage.serving.candidate_watch import CandidateWatch
from pilotage.serving.context import Answer
from pilotage.serving.critical_rounds import CriticalRounds
from pilotage.serving.ending import end
from pilotage.serving.failover_probes import FailoverProbes
from pilotage.serving.health_checks import HealthChecks, always_indexed
from pilotage.serving.holdings import CorpusHeld, nothing_held
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.ports import Guard, Retriever
from pilotage.serving.rate_limits import RateLimiter
from pilotage.serving.recorder import Recorder
from pilotage.serving.rollback_probes import RollbackProbes
from pilotage.serving.routing import Release
from pilotage.serving.routing_watch import RoutingWatch
from pilotage.serving.service import Serving
from pilotage.serving.shadow import ShadowArm
from pilotage.serving.slots import StreamSlots
from pilotage.space.settings import Space
from pilotage.store.engine import psycopg_url
from pilotage.store.notify import Channel, Heard, Listener
from pilotage.store.releases import load_release
from pilotage.store.serving_acks import AckWriter
from pilotage.store.serving_idempotency import IdempotencyStore
from pilotage.store.serving_keys import PooledKeys
from pilotage.store.serving_pairs import PairWriter
from pilotage.store.serving_pool import Pool, PooledPseudonyms, make_pool
from pilotage.store.serving_probes import ProbeWriter
from pilotage.store.serving_rates import RateCells
from pilotage.store.serving_records import RecordWriter
from pilotage.store.serving_reports import ReportWriter
from pilotage.store.serving_routes import RouteReader
from pilotage.workspace.records import Workspace

_REQUEST_PURPOSE = "serving/request-hash/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingParts:
    """What the composition root hands over. `url` is the database, `listen_url` where a pooler stands in front of it.

    `prepare` makes a release's documents searchable before it is routed, `indexed` tells whether they are and
    `corpus_held` what is held of them; `heard` is told of every notification, `resync` after the listener
    (re)connected. `has_shadow`: sampled requests are answered again by a shadow.
    """

    workspace: Workspace
    engine: Engine
    url: str
    clock: Clock
    keyring: Keyring
    models: ModelParts
    guard: Guard
    retriever: Retriever
    reply_body: Callable[[Answer], bytes]
    tokens: TokenVerifier | None = None
    listen_url: str | None = None
    prepare: Callable[[ReleaseContent], Awaitable[None]] | None = None
    heard: Callable[[Heard], Awaitable[None]] | None = None
    resync: Callable[[], Awaitable[None]] | None = None
    indexed: Callable[[ReleaseContent, Space], bool] = always_indexed
    corpus_held: CorpusHeld = nothing_held
    monotonic: Callable[[], float] = time.monotonic
    has_shadow: bool = False
    cache: AnswerCache = field(default_factory=AnswerCache)


class OpenServing:
    """The running parts; `serving` is what the pipeline takes."""

    def __init__(self, parts: ServingParts) -> None:
        conninfo, gateway = psycopg_url(parts.url), parts.workspace.gateway
        secret = parts.keyring.derive(_REQUEST_PURPOSE)
        self._parts = parts
        self.pool: Pool = make_pool(conninfo)
        self.keys = PooledKeys(self.pool, monotonic=parts.monotonic)
        self.recorder = Recorder(lambda: RecordWriter.connect(conninfo), flush_s=gateway.record_flush_ms / 1000)
        self.admissions = Admissions()
        self.rates = RateLimiter(RateCells(self.pool), monotonic=parts.monotonic)
        name = process_name(parts.clock.now())
        self.acknowledger = self._acknowledger(name)
        self.keeper = CacheKeeper(parts.cache, table=lambda: self.routing.current, clock=parts.clock)
        self.routing = RoutingWatch(
            RouteReader(self.pool, process=name),
            load=self.load,
            monotonic=parts.monotonic,
            swapped=self._swapped,
        )
        self.serving = Serving(
            workspace=parts.workspace,
            clock=parts.clock,
            monotonic=parts.monotonic,
            authenticator=BearerAuthenticator(parts.workspace, keys=self.keys, tokens=parts.tokens),
            pseudonyms=PooledPseudonyms(self.pool),
            table=self.routing,
            guard=parts.guard,
            retriever=parts.retriever,
            recorder=self.recorder,
            idempotency=IdempotencyStore(self.pool),
            slots=StreamSlots(process=gateway.limits.streams, principal=gateway.limits.streams_per_principal),
            request_hash=lambda data: hmac.new(secret, data, hashlib.sha256).hexdigest(),
            reply_body=parts.reply_body,
            admissions=self.admissions,
            has_shadow=parts.has_shadow,
            cache=parts.cache,
            rates=self.rates,
        )
        self.shadow = ShadowArm(self.serving, PairWriter(self.pool), SupportScorer())
        self.rounds = self._rounds(name)
        self.checks = self._health(name)

    def _acknowledger(self, name: str) -> Acknowledger:
        """Return what says which rows this process serves by."""
        return Acknowledger(
            AckWriter(self.pool, process=name, now=self._parts.clock.now),
            table=lambda: self.routing.current,
            admissions=self.admissions,
            monotonic=self._parts.monotonic,
            kept=self._parts.cache.count,
        )

    def _swapped(self) -> None:
        """Act on a new routing table: first forget what may not be said any more, then say that it holds here."""
        self.keeper.swapped()
        self.acknowledger.wake()

    def _health(self, name: str) -> HealthChecks:
        """Return what looks at the health of this process's spaces."""
        return HealthChecks(
            self.serving,
            ReportWriter(self.pool, process=name),
            table=lambda: self.routing.current,
            not_loaded=self.routing.not_loaded,
            indexed=self._parts.indexed,
            corpus_held=self._parts.corpus_held,
        )

    def _rounds(self, name: str) -> tuple[CriticalRounds, ...]:
        """Return what asks this process critical questions: a release gone back to, a candidate, a drill's partner."""
        sink, answer = ProbeWriter(self.pool, process=name), Pipeline(self.serving).answer
        return (
            RollbackProbes(self.serving, sink, table=lambda: self.routing.current, answer=answer),
            CandidateProbes(self.serving, sink, table=lambda: self.routing.current),
            CandidateWatch(self.serving, sink, table=lambda: self.routing.current),
            FailoverProbes(self.serving, sink, table=lambda: self.routing.current, answer=answer),
        )

    async def against(self) -> Sequence[Reason]:
        """Return what stands against readiness: store, routing table, releases not loaded, spaces found unhealthy."""
        found: list[Reason] = []
        try:
            async with asyncio.timeout(1), self.pool.connection() as connection:
                await connection.execute("SELECT 1")
        except (psycopg.Error, OSError, TimeoutError) as error:
            found.append(Reason(code="STORE_UNREACHABLE", text=f"The store does not answer ({type(error).__name__})."))
        table = self.routing.current
        age = self._parts.monotonic() - table.confirmed_at
        if age > self._parts.workspace.gateway.routing_stale_s:
            found.append(Reason(code="ROUTING_STALE", text="The routing table was not confirmed in time."))
        missing = {row.stable for row in table.rows.values() if row.stable and not table.is_serving(row.stable)}
        found += [
            Reason(code="RELEASE_NOT_LOADED", text=self.routing.not_loaded(digest), where=digest)
            for digest in sorted(missing)
        ]
        if self.recorder.failing_since is not None:
            found.append(Reason(code="RECORDER_STALLED", text=f"{self.recorder.waiting} records cannot be written."))
        evicted = [row for row in table.rows.values() if row.evicted]
        found += [
            Reason(code="DRIFTED", text=f"{row.workflow} in {row.space} is not what was approved.", where=row.space)
            for row in evicted
        ]
        found += [reason for reason in self.checks.against() if reason.code not in {one.code for one in found}]
        return found

    async def load(self, digest: Digest) -> Release:
        """Return a release, verified and searchable, with the model that speaks for it; raise when it cannot serve."""
        content = await asyncio.to_thread(self._read, digest)
        if self._parts.prepare is not None:
            await self._parts.prepare(content)
        languages = {self._parts.workspace.corpora[pin.name].language for pin in content.corpora.values()}
        model = build_model(
            content.model,
            self._parts.models,
            coverage=content.retrieval.minimum_coverage,
            language=languages.pop() if len(languages) == 1 else "en",
            egress=content.guard.egress,
        )
        return Release(content=content, model=model, embedder=self._embedder(content))

    def _embedder(self, content: ReleaseContent) -> Embedder | None:
        if content.retrieval.embedding is None:
            return None
        root, egress = self._parts.models.root, content.guard.egress
        return build_embedder(content.retrieval.embedding, root=root, egress=egress)

    def _read(self, digest: Digest) -> ReleaseContent:
        with self._parts.engine.connect() as connection:
            return load_release(connection, digest)

    async def heard(self, heard: Heard) -> None:
        """Act on a notification."""
        match heard.channel:
            case Channel.ROUTING:
                self.routing.wake()
            case Channel.KEYS:
                self.keys.forget(heard.payload)
            case Channel.CORPUS | Channel.RUN:
                pass
        if self._parts.heard is not None:
            await self._parts.heard(heard)

    async def resync(self) -> None:
        """Assume that anything was missed."""
        self.routing.wake()
        self.keys.forget()
        if self._parts.resync is not None:
            await self._parts.resync()


@asynccontextmanager
async def open_serving(parts: ServingParts) -> AsyncIterator[OpenServing]:
    """Run the serving path of this process while the block lasts."""
    running = OpenServing(parts)
    await running.pool.open(wait=False)
    await running.recorder.start()
    channels = (Channel.ROUTING, Channel.KEYS, Channel.CORPUS)
    listener = Listener(parts.listen_url or parts.url, channels, running.heard, running.resync)
    listening = asyncio.create_task(listener.run(), name="listener")
    try:
        await running.routing.start()
        running.acknowledger.start()
        running.keeper.start()
        running.rates.start()
        running.checks.start()
        for rounds in running.rounds:
            rounds.start()
        if parts.has_shadow:
            running.shadow.start()
        yield running
    finally:
        await end(listening)
        await running.checks.stop()
        await running.shadow.stop()
        for rounds in running.rounds:
            await rounds.stop()
        await running.keeper.stop()
        await running.rates.stop()
        await running.acknowledger.stop()
        await running.routing.stop()
        await running.recorder.stop()
        await running.pool.close()

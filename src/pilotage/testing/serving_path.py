"""A whole serving path without a store: a small declared bank, its fakes, and one call that puts them together."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pilotage.core.digest import Digest, digest_of
from pilotage.core.ids import CorpusName, PersonId, SpaceName, WorkflowName
from pilotage.core.pins import PinKind
from pilotage.corpus.settings import Classification, CorpusSettings, DataStage, Source, SourceKind
from pilotage.gateway.answers import complete_body
from pilotage.guard.policy import GuardPolicy, StreamMode
from pilotage.identity.principal import Principal, PrincipalKind, local_principal_id
from pilotage.release.content import CorpusPin, ReleaseContent
from pilotage.release.generation import Model
from pilotage.release.model import ModelSettings, Provider
from pilotage.release.prompt import Prompt
from pilotage.retrieval.settings import CorpusRef, RetrievalSettings
from pilotage.serving.ports import Guard
from pilotage.serving.rate_limits import RateLimiter
from pilotage.serving.recorder import Recorder
from pilotage.serving.routing import Release, RoutingRow, RoutingTable
from pilotage.serving.service import Serving
from pilotage.serving.slots import StreamSlots
from pilotage.space.settings import Hardware, RecordMode, Scaling, Security, Space, Tier
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.models import FakeModel
from pilotage.testing.serving import (
    Document,
    FakeAuthenticator,
    FakeGuard,
    FakeIdempotency,
    FakePseudonyms,
    FakeRetriever,
    FakeSink,
)
from pilotage.workspace.gateway import GatewayLimits, GatewaySettings
from pilotage.workspace.people import IdentityMode, IdentitySettings
from pilotage.workspace.records import Workspace

WORKFLOW = WorkflowName("policy-assistant")
SPACE = SpaceName("sandbox")
CORPUS = CorpusName("policies")


def person(name: str, *groups: str, region: str | None = None) -> Principal:
    """Return a declared person of local identity mode."""
    return Principal(
        id=local_principal_id(PersonId(name)),
        kind=PrincipalKind.PERSON,
        person=PersonId(name),
        groups=frozenset(groups),
        region=region,
        label=name,
        via="local",
    )


def space(name: SpaceName = SPACE, *, mode: RecordMode = RecordMode.ASYNC, **changes: Any) -> Space:  # noqa: ANN401 - fields of the record
    """Return a space of tier sandbox; `changes` replace fields, `ips` its allowed addresses."""
    ips = changes.pop("ips", None)
    fields: dict[str, Any] = {
        "name": name,
        "tier": Tier.SANDBOX,
        "data_stage": DataStage.UAT,
        "hardware": Hardware(vcpu=1, memory_bytes=2**30),
        "scaling": Scaling(min_instances=1, max_instances=1),
        "security": Security(allowed_ips=ips),
        "record_mode": mode,
        "soak_s": 0,
    }
    return Space(**(fields | changes))


def content(name: str = "release-1", *, stream: StreamMode = StreamMode.BUFFER, **changes: Any) -> ReleaseContent:  # noqa: ANN401 - fields of the record
    """Return the content of a release named after the digest of `name`."""
    settings = ModelSettings(provider=Provider.EXTRACTIVE, model="extractive", pin_kind=PinKind.BUILTIN, pin="1")
    fields: dict[str, Any] = {
        "digest": digest_of(name.encode()),
        "workflow": WORKFLOW,
        "prompt": Prompt(template="Answer from the passages.\n{passages}\n{question}"),
        "model": settings,
        "retrieval": RetrievalSettings(corpora={DataStage.UAT: CorpusRef(name=CORPUS)}),
        "corpora": {DataStage.UAT: CorpusPin(name=CORPUS, version=3, digest=digest_of(b"v3"), documents=1, chunks=1)},
        "guard": GuardPolicy(version=1, stream=stream, checks=()),
    }
    return ReleaseContent(**(fields | changes))


@dataclass(slots=True, kw_only=True)
class FixedRouting:
    """A routing table that a test sets."""

    current: RoutingTable


@dataclass(slots=True, kw_only=True)
class Path:
    """A serving path and all its fakes. Tokens: `maria` (group lending), `omar` (no group)."""

    serving: Serving
    model: Model
    sink: FakeSink
    guard: Guard
    retriever: FakeRetriever
    authenticator: FakeAuthenticator
    idempotency: FakeIdempotency
    routing: FixedRouting
    clock: SimulatedClock


@dataclass(slots=True, kw_only=True)
class Plan:
    """What to put together; every part has a default."""

    model: Model = field(default_factory=FakeModel)
    spaces: Sequence[Space] = ()
    content: ReleaseContent = field(default_factory=content)
    documents: Sequence[Document] = (Document(id="errors", text="Errors are resolved within ten business days."),)
    guard: Guard = field(default_factory=FakeGuard)
    limits: GatewayLimits = field(default_factory=GatewayLimits)
    trusted_proxies: tuple[str, ...] = ()
    default_space: SpaceName | None = None
    flush_s: float = 0.01
    recorder: Recorder | None = None
    rates: RateLimiter | None = None


def make_path(plan: Plan | None = None) -> Path:
    """Put a serving path together. Start and stop `serving.recorder` yourself."""
    plan = plan or Plan()
    spaces = plan.spaces or (space(),)
    sink, retriever = FakeSink(), FakeRetriever(documents=list(plan.documents))
    authenticator = FakeAuthenticator(principals={"maria": person("maria", "lending"), "omar": person("omar")})
    idempotency, clock, routing = FakeIdempotency(), SimulatedClock(), FixedRouting(current=_table(plan, spaces))

    async def connect() -> FakeSink:
        return sink

    serving = Serving(
        workspace=_workspace(plan, spaces),
        clock=clock,
        monotonic=time.monotonic,
        authenticator=authenticator,
        pseudonyms=FakePseudonyms(),
        table=routing,
        guard=plan.guard,
        retriever=retriever,
        recorder=plan.recorder or Recorder(connect, flush_s=plan.flush_s),
        idempotency=idempotency,
        slots=StreamSlots(process=plan.limits.streams, principal=plan.limits.streams_per_principal),
        request_hash=lambda data: hashlib.sha256(data).hexdigest(),
        reply_body=complete_body,
        rates=plan.rates,
    )
    return Path(
        serving=serving,
        model=plan.model,
        sink=sink,
        guard=plan.guard,
        retriever=retriever,
        authenticator=authenticator,
        idempotency=idempotency,
        routing=routing,
        clock=clock,
    )


def _table(plan: Plan, spaces: Sequence[Space]) -> RoutingTable:
    release = Release(content=plan.content, model=plan.model)
    rows = {
        (one.name, WORKFLOW): RoutingRow(space=one.name, workflow=WORKFLOW, generation=1, stable=release.digest)
        for one in spaces
    }
    releases: dict[Digest, Release] = {release.digest: release}
    return RoutingTable(rows=rows, releases=releases, confirmed_at=float("inf"))


def _workspace(plan: Plan, spaces: Sequence[Space]) -> Workspace:
    corpus = CorpusSettings(
        name=CORPUS,
        source=Source(kind=SourceKind.FOLDER, path="documents"),
        owner=PersonId("maria"),
        steward=PersonId("omar"),
        classification=Classification.INTERNAL,
        region="us",
        data_stage=DataStage.UAT,
    )
    return Workspace(
        id="test-bank",
        organisation="Test Bank",
        timezone="UTC",
        ledger="ledger.test-bank.example",
        identity=IdentitySettings(mode=IdentityMode.LOCAL),
        people={},
        groups=frozenset(),
        roster={},
        seats=(),
        order=tuple(one.name for one in spaces),
        spaces={one.name: one for one in spaces},
        gates={},
        workflows={},
        corpora={CORPUS: corpus},
        gateway=GatewaySettings(
            default_space=plan.default_space, limits=plan.limits, trusted_proxies=plan.trusted_proxies
        ),
        digest=digest_of(b"workspace"),
    )

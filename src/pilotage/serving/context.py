"""What a request is at each step: a frozen record that gains one typed part per step.

`Received -> Authenticated -> Located -> Admitted -> Routed -> Guarded -> Retrieved -> Composed -> Generated -> Checked
-> Answer`; on the way to its passages a question is `Embedded`. A step takes the record before it and returns the next
or a Refusal, so an answer without a principal, a permission decision or a recorded check does not type-check. Times in
`*_us` are microseconds since arrival.
These records have no slots: from one step to the next all parts are taken over at once (`steps/extend.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeAlias

from pilotage.core.canonical import Json
from pilotage.core.digest import Digest
from pilotage.core.ids import InteractionId, SpaceName, WorkflowName
from pilotage.core.units import Rate
from pilotage.guard.finding import Finding
from pilotage.identity.principal import Principal
from pilotage.release.generation import FinishReason, GenerationRequest, Passage, Usage
from pilotage.retrieval.arrays import F32
from pilotage.serving.outcome import TrafficKind
from pilotage.serving.routing import Arm, Place, Release
from pilotage.workspace.workflow import HumanReview


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of the asker: `role` is user, assistant, system or developer; the text is as it came."""

    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked, parsed and not yet believed. `pinned` are parameters only the release may set.

    `label` is the client's own `user` and `metadata`, an untrusted text. `body_hash` is the keyed hash of the request
    body that an idempotency key is compared with.
    """

    workflow: WorkflowName
    messages: tuple[Turn, ...]
    space: SpaceName | None = None
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    as_of: date | None = None
    label: str = ""
    idempotency_key: str | None = None
    body_hash: str = ""
    pinned: Mapping[str, Json] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """A bearer token as it came over HTTP, with the subject token of the person a service acts for."""

    token: str | None = field(repr=False)
    subject_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A principal that code of ours has authenticated already: `pilotage ask`, evaluation, a session of the console.

    The gateway never makes one.
    """

    principal: Principal
    kind: TrafficKind = TrafficKind.USER


Credential: TypeAlias = Bearer | Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end of the connection; `address` None is our own process.

    `forwarded_for` and `forwarded_proto` as the headers came; `is_forwarded`: any header tells of a client behind the
    peer; `is_tls`: the connection to this process is encrypted.
    """

    address: str | None
    forwarded_for: tuple[str, ...] = ()
    forwarded_proto: str = ""
    is_forwarded: bool = False
    is_tls: bool = False


@dataclass(frozen=True, kw_only=True)
class Received:
    """Step 0. `started` is monotonic time in seconds."""

    interaction: InteractionId
    at: datetime
    started: float
    peer: Peer
    credential: Credential
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """What a key may be used for; empty sets of spaces, workflows and addresses mean every one.

    `needs_subject`: the key never speaks for itself, only for a person whose token it brings.
    """

    key: str
    spaces: frozenset[str] = frozenset()
    workflows: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    ips: tuple[str, ...] = ()
    needs_subject: bool = False


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks. `acl_names` is what documents are matched with: the person's, and where a service acts, both's.

    `also_visible_to` are the names of the service that acts for the person: documents must be visible to both;
    `actors` are services the person's token lets act. `signed_in_at` is when the person proved themselves to the
    provider, and `second_factor` whether with two; None: it does not say.
    `acting_service` is the service that brought the person's token. `pseudonym` is the only name that is recorded.
    """

    principal: Principal
    acl_names: frozenset[str]
    pseudonym: str
    via: str
    kind: TrafficKind = TrafficKind.USER
    acting_service: str | None = None
    also_visible_to: frozenset[str] | None = None
    key: KeyLimits | None = None
    authenticated_at: datetime | None = None
    signed_in_at: datetime | None = None
    second_factor: bool | None = None
    actors: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Authenticated(Received):
    """Step 1: who asks."""

    asker: Asker


@dataclass(frozen=True, kw_only=True)
class Located(Authenticated):
    """Step 2a: the space whose rules hold, and the routing row the request keeps."""

    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RateUsed:
    """How far the fullest limit was used with this request. `whose`: `space`, `principal` or `key`."""

    whose: str
    used: int
    limit: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Where the request came from, and the rule that let it in: a CIDR, `any`, `loopback_local`, `in_process`.

    `failover_from`: the unhealthy space that was asked, where another one answers for it. `rate` None: no limit holds.
    """

    client: str | None
    ip_rule: str
    failover_from: SpaceName | None = None
    rate: RateUsed | None = None


@dataclass(frozen=True, kw_only=True)
class Admitted(Located):
    """Step 2b: the request may enter."""

    admission: Admission
    admitted_us: int


@dataclass(frozen=True, kw_only=True)
class Routed(Admitted):
    """Step 3: the release that answers, verified in this process.

    `shadowed_for`: the rollout whose candidate answers this request once more afterwards, unseen; None for most.
    """

    release: Release
    arm: Arm
    shadowed_for: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What may be stored, searched and sent: cleaned and redacted. `turns` ends with the question itself.

    `stored` is the question and `label` the client's label, both with the tokens of stored text (5.4). `blocked_by` is
    the check that stopped it: it is answered with a fixed refusal and goes nowhere.
    """

    text: str
    turns: tuple[Turn, ...]
    stored: str
    label: str
    findings: tuple[Finding, ...]
    blocked_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Guarded(Routed):
    """Step 4: the question passed the input checks."""

    question: Question


@dataclass(frozen=True, kw_only=True)
class Embedded(Guarded):
    """Step 5a: the question as the release's embedding model sees it; None where it finds by words alone."""

    vector: F32 | None
    embedded_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ByVectors:
    """How vectors took part in a ranking: of which model, in which cells (None: every chunk), `embedded_us` after."""

    model: str
    key: Digest
    cells: Digest | None
    embedded_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One retrieved chunk: its passage as the prompt shows it, and its place in the ranking."""

    passage: Passage
    corpus: str
    rank: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """What the asker may see of what was asked. Counts and fingerprint are for auditors, never for the asker.

    `vectors` is None where words alone ranked. `allowed_until` is the last moment that the permission decision holds
    at; None: for good. `is_blocked`: a check of the passages stopped the question, so `found` is empty.
    """

    corpus: str | None
    corpus_version: int | None
    as_of: date
    found: tuple[Found, ...]
    idf: tuple[tuple[str, float], ...]
    acl_generation: int
    allowed_count: int
    allowed_fingerprint: str
    allowed_until: datetime | None = None
    findings: tuple[Finding, ...] = ()
    is_blocked: bool = False
    vectors: ByVectors | None = None


@dataclass(frozen=True, kw_only=True)
class Retrieved(Guarded):
    """Step 5: the permission decision and its passages."""

    retrieval: Retrieval
    retrieved_us: int


@dataclass(frozen=True, kw_only=True)
class Composed(Retrieved):
    """Step 6a: what the model will see. `canary` must never appear in an answer."""

    prompt: GenerationRequest
    canary: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What the model said. `cost_nano` is None for an unmetered or unpriced model; `retries` is the adapter's count.

    `model` and `fingerprint` are what the provider calls the model that answered.

    `cached`: it had said so before and was not asked now, so there is no usage and no first token.
    """

    text: str
    finish: FinishReason
    usage: Usage
    model: str
    retries: int
    cost_nano: int | None
    first_us: int | None
    cached: bool = False
    fingerprint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Generated(Composed):
    """Step 6b: the model's answer, unchecked."""

    generation: Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer after the output checks. `refusal` names the content refusal: not_found, guard, grounding, citation.

    `stored` is the text with the tokens of stored text; `scores` are the check results that are recorded.
    """

    text: str
    stored: str
    refusal: str | None
    findings: tuple[Finding, ...]
    cited: tuple[Cited, ...]
    scores: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """One citation of the answer; `start` and `end` are code-point offsets of the text it supports."""

    marker: int
    corpus: str
    document: str
    title: str
    section: str
    rev: int
    ordinal: int
    start: int
    end: int
    quote: str
    uri: str | None
    effective_date: str | None


@dataclass(frozen=True, kw_only=True)
class Checked(Generated):
    """Step 7: every output check ran."""

    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What leaves, after the permission re-check and the record. `cost_nano` counts nano-units of the currency.

    `reviews`: the uses for which it is a draft until a person in the role has reviewed it.
    """

    interaction: InteractionId
    at: datetime
    workflow: WorkflowName
    space: SpaceName
    release: Digest
    corpus_version: int | None
    arm: str
    text: str
    finish: FinishReason
    refusal: str | None
    cited: tuple[Cited, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...]
    usage: Usage
    cost_nano: int | None
    cached: bool = False
    reviews: tuple[HumanReview, ...] = ()

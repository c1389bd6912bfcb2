"""Releases as evaluation meets them: `evaluation.target.Target` over the headless serving path.

Rule: what is scored is what an asker would have got. Whether a passage was allowed is decided again by the oracle, from
the store's rows and not from the index. Fail mode: a refusal by authority is a refused answer, an outage an error.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Final

from sqlalchemy import Engine

from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import NotFound, Unavailable
from pilotage.core.ids import SpaceName
from pilotage.evaluation.answering_model import Identity
from pilotage.evaluation.generation import Citation, Generation, Passage, TargetFailure
from pilotage.evaluation.oracle import VersionFacts
from pilotage.evaluation.overlay import Overlay, OverlayDocument
from pilotage.evaluation.target import Ask, Look, Reply, Surfaces, Target
from pilotage.guard.citations import MARKER
from pilotage.identity.principal import acl_names
from pilotage.release.assemble import CorpusPin
from pilotage.release.generation import Usage
from pilotage.release.model import Provider
from pilotage.release.stages import stage_problem
from pilotage.retrieval.embedder import Embedder
from pilotage.retrieval.settings import Vectors
from pilotage.serving.context import Asked, Checked, Composed, Found, Generated, Retrieval, Retrieved, Turn
from pilotage.serving.headless import HeadlessPath, Walked, headless_space
from pilotage.serving.overlay_retriever import OverlayRetriever
from pilotage.serving.ports import Retriever
from pilotage.serving.refusal import STATUS, Code
from pilotage.serving.routing import Release
from pilotage.serving.service import Serving, embedding_nano
from pilotage.store.evaluation_facts import counts_of, version_facts

_FAILURES: Final = MappingProxyType(
    {
        Code.UPSTREAM_TIMEOUT: TargetFailure.TIMEOUT,
        Code.DEADLINE_EXCEEDED: TargetFailure.TIMEOUT,
        Code.UPSTREAM_FAILED: TargetFailure.UNREACHED,
        Code.STORE_UNAVAILABLE: TargetFailure.UNREACHED,
    }
)
"""What ended a question without saying anything of the release; every other end is an error of the release."""
_MARK: Final = re.compile(r"Text between marks that carry ([0-9a-f]{32}) is data")
_TOO_LONG: Final = Code.QUESTION_TOO_LONG
_NOT_PERMITTED: Final = frozenset({401, 403})
_FRAME: Final = 64
"""Tokens a provider may put around one message of a prompt, generously."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What an overlay is laid on: a corpus version, and the vectors and the model by which a release searches it.

    `batch`: so many texts at a time go to the model.
    """

    pin: CorpusPin
    vectors: Vectors | None
    embedder: Embedder | None
    batch: int


LaidOver = Callable[[Overlay, frozenset[int] | None, Ground], Awaitable[Retriever]]
"""Returns a retriever that also sees the overlay's documents, in an index of these revisions only (None: of all)."""


class ServingTargets:
    """`evaluation.target.Targets` over a running serving path. `load` verifies and readies a release."""

    def __init__(
        self,
        serving: Serving,
        engine: Engine,
        *,
        load: Callable[[Digest], Awaitable[Release]],
        overlaid: LaidOver,
    ) -> None:
        self._serving = serving
        self._engine = engine
        self._load = load
        self._overlaid = overlaid
        self._loaded: dict[Digest, Release] = {}

    async def open(
        self, release: Digest, space: SpaceName | None, overlay: Overlay, only: frozenset[int] | None = None
    ) -> ServingTarget:
        """Load a release and give it its place."""
        found = self._loaded.get(release)
        if found is None:
            found = self._loaded[release] = await self._load(release)
        place = headless_space(found) if space is None else self._serving.workspace.spaces.get(space)
        if place is None:
            known = ", ".join(self._serving.workspace.spaces) or "none"
            raise NotFound("SPACE_UNKNOWN", f"There is no space {space!r}.", hint=f"Declared spaces: {known}.")
        pin = found.content.corpora.get(place.data_stage)
        problem = stage_problem(found.content, place, self._serving.workspace.corpora)
        if problem is not None:
            message = f"Release {release[:19]} cannot answer in {place.name}. {problem}"
            raise Unavailable("NO_DOCUMENTS", message, hint="Name another space, or none.")
        serving = self._serving
        if (overlay.documents or only is not None) and pin is not None:
            rules = found.content.retrieval
            ground = Ground(
                pin=pin,
                vectors=rules.vectors_of(place.data_stage),
                embedder=found.embedder,
                batch=1 if rules.embedding is None else rules.embedding.batch,
            )
            serving = replace(serving, retriever=await self._overlaid(overlay, only, ground))
        return ServingTarget(HeadlessPath(serving, found, place), self._engine, pin=pin, overlay=overlay)

    async def withdraw(self, target: Target, readers: Mapping[str, frozenset[str] | None]) -> None:
        """Commit other readers in the overlay that the target's retriever reads."""
        _overlaid(target).withdraw(readers)

    async def settle(self, target: Target) -> None:
        """Let the target's index follow."""
        _overlaid(target).settle()

    async def close(self) -> None:
        """Release the models."""
        for release in self._loaded.values():
            await release.close()


def _overlaid(target: Target) -> OverlayRetriever:
    """Return the retriever of a target that was opened here with an overlay."""
    assert isinstance(target, ServingTarget)
    retriever = target.retriever
    assert isinstance(retriever, OverlayRetriever)
    return retriever


class ServingTarget:
    """One release in one place, with the oracle's facts about its documents."""

    def __init__(self, path: HeadlessPath, engine: Engine, *, pin: CorpusPin | None, overlay: Overlay) -> None:
        self._path = path
        self._engine = engine
        self._pin = pin
        self._overlay = {one.id: one for one in overlay.documents}
        self._facts: VersionFacts | None = None
        self._reading = asyncio.Lock()
        self._begun = self._done = 0

    @property
    def retriever(self) -> Retriever:
        """What finds its passages."""
        return self._path.serving.retriever

    @property
    def fingerprint(self) -> str:
        """Provider, model and pin of the sealed release."""
        return self._path.release.content.model.fingerprint

    async def facts(self) -> VersionFacts | None:
        """Return the facts as committed now; read again only when the corpus moved.

        Whoever waits while somebody reads is served by the next look at the store: it begins after they came.
        """
        if self._pin is None:
            return None
        came = self._begun
        async with self._reading:
            if self._done <= came:
                self._begun += 1
                self._facts = await asyncio.to_thread(self._read, self._pin, self._facts)
                self._done = self._begun
            return self._facts

    def _read(self, pin: CorpusPin, earlier: VersionFacts | None) -> VersionFacts:
        with self._engine.connect() as connection:
            if earlier is not None:
                counted = (earlier.generation, earlier.confirmations)
                if counts_of(connection, pin.name) == counted:
                    return earlier
            serving = self._path.serving
            since = serving.workspace.acls_confirmed_since(pin.name, serving.clock.now())
            return version_facts(connection, pin.name, pin.version, since)

    def _asked(self, ask: Ask) -> Asked:
        earlier = (Turn(role=turn.role, text=turn.content) for turn in ask.history)
        messages = (*earlier, Turn(role="user", text=ask.question))
        return Asked(workflow=self._path.release.content.workflow, messages=messages, as_of=ask.as_of)

    async def look(self, ask: Ask) -> Look:
        """Go as far as the prompt, without the model."""
        walked = await self._path.ask(ask.principal, self._asked(ask), is_answered=False)
        context = walked.context
        judge = _Judge(facts=await self.facts(), overlay=self._overlay, names=acl_names(ask.principal))
        if not isinstance(context, Composed):
            return Look(code="internal" if walked.refusal is None else walked.refusal.code.value)
        return Look(
            passages=_passages(context.retrieval, judge),
            scores=tuple(item.score for item in context.retrieval.found),
            prompt=plain_prompt(context),
            allowed=context.retrieval.allowed_fingerprint,
            code="" if walked.refusal is None else walked.refusal.code.value,
        )

    async def answer(self, ask: Ask) -> Reply:
        """Answer one question as serving would."""
        walked = await self._path.ask(ask.principal, self._asked(ask))
        judge = _Judge(facts=await self.facts(), overlay=self._overlay, names=acl_names(ask.principal))
        generation = _generation(walked, judge)
        said = walked.context.generation if isinstance(walked.context, Generated) else None
        return Reply(
            generation=generation,
            latency_us=walked.total_us if generation.error is None else None,
            ttft_us=None if said is None else said.first_us,
            corpus=None if self._pin is None else self._pin.name,
            identity=None if said is None else Identity(model=said.model, fingerprint=said.fingerprint or ""),
            surfaces=_surfaces(walked),
        )

    async def most_nano(self, ask: Ask) -> int | None:
        """Return the price of the whole prompt, a token for every byte of it, and the longest answer."""
        serving, content = self._path.serving, self._path.release.content
        prices = serving.prices_of(content)
        embedded = len(ask.question.encode())
        if content.model.provider is Provider.EXTRACTIVE or (prices is not None and prices.unmetered is not None):
            return embedding_nano(content, prices, embedded)
        walked = await self._path.ask(ask.principal, self._asked(ask), is_answered=False)
        messages = walked.context.prompt.messages if isinstance(walked.context, Composed) else ()
        tokens = sum(len(message.content.encode()) + _FRAME for message in messages)
        usage = Usage(prompt_tokens=tokens, completion_tokens=content.model.max_tokens)
        return serving.cost_nano(content, usage, embedded=embedded)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """Says of a document whether the asker may read it and whether it is in force: by the store's rows."""

    facts: VersionFacts | None
    overlay: Mapping[str, OverlayDocument]
    names: frozenset[str]

    def allowed(self, document: str) -> bool:
        laid = self.overlay.get(document)
        if laid is not None:
            return bool(laid.acl & self.names)
        return self.facts is not None and self.facts.may_read(self.names, document)

    def effective(self, item: Found, day: date) -> bool:
        document, rev = item.passage.document, item.passage.rev
        return document in self.overlay or (self.facts is not None and self.facts.is_in_force(document, day, rev=rev))


def _generation(walked: Walked, judge: _Judge) -> Generation:
    context = walked.context
    if walked.refusal is not None or not isinstance(context, Checked):
        return _unanswered(walked, judge)
    verdict, usage = context.verdict, context.generation.usage
    return Generation(
        answer=verdict.text,
        refused=verdict.refusal is not None,
        refusal_reason=verdict.refusal,
        citations=() if verdict.refusal else _citations(verdict.text, context.retrieval, judge),
        passages=_passages(context.retrieval, judge),
        prompt_sha256=digest_of(plain_prompt(context).encode()),
        findings=(*context.question.findings, *context.retrieval.findings, *verdict.findings),
        tokens_in=usage.prompt_tokens,
        tokens_out=usage.completion_tokens,
        cost_nano=context.generation.cost_nano,
    )


def _unanswered(walked: Walked, judge: _Judge) -> Generation:
    """Return the generation of a request that ended early: refused by a rule, or failed."""
    context, refusal = walked.context, walked.refusal
    passages = _passages(context.retrieval, judge) if isinstance(context, Retrieved) else ()
    prompt = digest_of(plain_prompt(context).encode()) if isinstance(context, Composed) else ""
    code = Code.INTERNAL if refusal is None else refusal.code
    if STATUS[code] in _NOT_PERMITTED or code is _TOO_LONG:
        return Generation(
            answer="" if refusal is None else refusal.message,
            refused=True,
            refusal_reason="not_permitted" if STATUS[code] in _NOT_PERMITTED else "policy",
            passages=passages,
            prompt_sha256=prompt,
        )
    is_of_release = refusal is not None and refusal.is_of_release
    failure = TargetFailure.TARGET_ERROR if is_of_release else _FAILURES.get(code, TargetFailure.TARGET_ERROR)
    return Generation(answer="", passages=passages, prompt_sha256=prompt, error=failure)


def _passages(retrieval: Retrieval, judge: _Judge) -> tuple[Passage, ...]:
    return tuple(
        Passage(
            marker=item.passage.marker,
            document=item.passage.document,
            section=item.passage.section,
            chunk=_chunk(item),
            text=_shown(item),
            allowed=judge.allowed(item.passage.document),
            effective=judge.effective(item, retrieval.as_of),
        )
        for item in retrieval.found
    )


def _citations(text: str, retrieval: Retrieval, judge: _Judge) -> tuple[Citation, ...]:
    """Return one record for each marker of the answer, in order; one that resolves to nothing is not valid."""
    found = {item.passage.marker: item for item in retrieval.found}
    markers = dict.fromkeys(int(one[1]) for one in MARKER.finditer(text))
    return tuple(_citation(marker, found.get(marker), retrieval.as_of, judge) for marker in markers)


def _citation(marker: int, item: Found | None, day: date, judge: _Judge) -> Citation:
    if item is None:
        return Citation(
            marker=marker, document="", section="", chunk="", text="", valid=False, allowed=False, effective=False
        )
    document = item.passage.document
    return Citation(
        marker=marker,
        document=document,
        section=item.passage.section,
        chunk=_chunk(item),
        text=_shown(item),
        allowed=judge.allowed(document),
        effective=judge.effective(item, day),
    )


def _chunk(item: Found) -> str:
    return f"{item.passage.rev}:{item.passage.ordinal}"


def _shown(item: Found) -> str:
    return f"{item.passage.heading}\n{item.passage.text}" if item.passage.heading else item.passage.text


def plain_prompt(context: Composed) -> str:
    """Return every message of the prompt, with the random marks of this request replaced by fixed ones."""
    text = "\n\n".join(f"{message.role}: {message.content}" for message in context.prompt.messages)
    nonce = _MARK.search(text)
    if nonce is not None:
        text = text.replace(nonce[1], "MARK")
    return text.replace(context.canary, "CANARY")


def _surfaces(walked: Walked) -> Surfaces:
    context = walked.context
    if not isinstance(context, Composed):
        return Surfaces()
    return Surfaces(
        prompt=plain_prompt(context),
        canary=context.canary,
        scores=tuple((_chunk(item), item.score) for item in context.retrieval.found),
        said=context.generation.text if isinstance(context, Generated) else "",
    )

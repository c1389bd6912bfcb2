"""Fakes of the serving path's ports; `testing/serving_path.py` puts them together.

The fakes keep the promises of their ports: the retriever decides by ACL names before it ranks, the guard redacts before
anything is stored or sent, records can be read back from `FakeSink`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from pilotage.core.digest import digest_of
from pilotage.guard.finding import Finding
from pilotage.guard.policy import Action
from pilotage.identity.principal import Principal, acl_names
from pilotage.release.generation import FinishReason, Passage
from pilotage.serving.context import (
    Asker,
    Bearer,
    Cited,
    Composed,
    Embedded,
    Found,
    Generated,
    Guarded,
    KeyLimits,
    Question,
    Retrieval,
    Routed,
    Turn,
    Verdict,
)
from pilotage.serving.ports import Recheck, Seen
from pilotage.serving.refusal import Code, Refusal
from pilotage.store.serving_idempotency import Held, Owner
from pilotage.store.serving_records import RecordRows

SECRET = re.compile(r"\b\d{3}-\d{2}-\d{4}\b")
"""What the fake guard redacts: the form of a US social security number."""

_MARKER = re.compile(r"\[(\d{1,3})\]")


@dataclass(slots=True, kw_only=True)
class FakeSink:
    """Keeps records. `failure` is raised by the next writes until it is None again."""

    batches: list[list[RecordRows]] = field(default_factory=list)
    failure: Exception | None = None

    @property
    def rows(self) -> list[RecordRows]:
        """Every record written."""
        return [row for batch in self.batches for row in batch]

    async def write(self, batch: Sequence[RecordRows]) -> None:
        """Keep a batch."""
        if self.failure is not None:
            raise self.failure
        self.batches.append(list(batch))

    async def close(self) -> None:
        """Nothing to release."""


@dataclass(slots=True, kw_only=True)
class FakeAuthenticator:
    """Knows tokens by heart."""

    principals: dict[str, Principal] = field(default_factory=dict)
    keys: dict[str, KeyLimits] = field(default_factory=dict)

    async def authenticate(self, bearer: Bearer, *, at: datetime) -> Asker | Refusal:
        """Return who holds the token."""
        del at
        principal = self.principals.get(bearer.token or "")
        if principal is None:
            return Refusal(code=Code.INVALID_KEY, message="This key is not known.")
        return Asker(
            principal=principal,
            acl_names=acl_names(principal),
            pseudonym="",
            via=principal.via,
            key=self.keys.get(bearer.token or ""),
        )


@dataclass(slots=True, kw_only=True)
class FakePseudonyms:
    """Hands out numbered pseudonyms."""

    given: dict[str, str] = field(default_factory=dict)

    async def pseudonym_of(self, principal: str) -> str:
        """Return the pseudonym."""
        return self.given.setdefault(principal, f"p_{len(self.given):026d}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A one-chunk document; `acl` are ACL names."""

    id: str
    text: str
    acl: frozenset[str] = frozenset({"group:everyone"})
    title: str = ""
    uri: str | None = None


@dataclass(slots=True, kw_only=True)
class FakeRetriever:
    """Permission first: ranks by shared words among the documents the asker may see, in order of id for ties.

    `leak` are ACL names that the index wrongly grants to everybody: what the last wall must catch.
    """

    documents: list[Document] = field(default_factory=list)
    generation: int = 1
    failure: Exception | None = None
    top: int = 5
    leak: frozenset[str] = frozenset()

    async def retrieve(self, context: Embedded) -> Retrieval | Refusal:
        """Rank what the asker may see."""
        if self.failure is not None:
            raise self.failure
        asked = _words(context.question.text)
        names = context.asker.acl_names | self.leak
        allowed = [document for document in self.documents if names & document.acl]
        ranked = sorted(allowed, key=lambda document: (-len(asked & _words(document.text)), document.id))
        hits = [document for document in ranked if asked & _words(document.text)][: self.top]
        pin = context.release.content.corpora.get(context.place.space.data_stage)
        return Retrieval(
            corpus=None if pin is None else pin.name,
            corpus_version=None if pin is None else pin.version,
            as_of=context.asked.as_of or context.at.date(),
            found=tuple(
                Found(passage=self._passage(document, rank), corpus="policies", rank=rank, score=1 / rank)
                for rank, document in enumerate(hits, 1)
            ),
            idf=tuple((word, 1.0) for word in sorted(asked)),
            acl_generation=self.generation,
            allowed_count=len(allowed),
            allowed_fingerprint=digest_of("\n".join(document.id for document in allowed).encode()),
        )

    def seen(self, context: Guarded) -> Seen:
        """Decide what the asker may see."""
        names = context.asker.acl_names | self.leak
        allowed = [document.id for document in self.documents if names & document.acl]
        return Seen(
            as_of=context.asked.as_of or context.at.date(),
            acl_generation=self.generation,
            allowed_fingerprint=digest_of("\n".join(allowed).encode()),
        )

    async def still_allowed(self, context: Guarded, retrieval: Retrieval) -> Recheck:
        """Look again."""
        if self.failure is not None:
            raise self.failure
        now = {document.id for document in self.documents if self._may(context.asker, document)}
        lost = tuple(item.passage.marker for item in retrieval.found if item.passage.document not in now)
        return Recheck(lost=lost, has_moved=self.generation != retrieval.acl_generation)

    async def may_see(self, asker: Asker, refs: Sequence[tuple[str, int, int]]) -> bool:
        """Look each reference up; `rev` is the position of the document."""
        return all(rev < len(self.documents) and self._may(asker, self.documents[rev]) for _, rev, _ in refs)

    def revoke(self, document: str) -> None:
        """Take every reader away from a document, as an ACL change does."""
        self.documents = [replace(one, acl=frozenset()) if one.id == document else one for one in self.documents]
        self.generation += 1

    def _may(self, asker: Asker, document: Document) -> bool:
        return bool(asker.acl_names & document.acl)

    def _passage(self, document: Document, marker: int) -> Passage:
        rev = next(index for index, one in enumerate(self.documents) if one.id == document.id)
        return Passage(
            marker=marker,
            document=document.id,
            title=document.title or document.id.title(),
            section="1",
            ordinal=0,
            rev=rev,
            text=document.text,
            uri=document.uri,
        )


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{4,}", text.casefold()))


class FakeHoldBack:
    """Holds the last word back, so that a number is never cut."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Release whole words."""
        held = self._held + text
        cut = max(held.rfind(" "), held.rfind("\n")) + 1
        self._held = held[cut:]
        return SECRET.sub("<US_SSN_1>", held[:cut])

    def finish(self) -> str:
        """Release the rest."""
        rest, self._held = self._held, ""
        return SECRET.sub("<US_SSN_1>", rest)


@dataclass(slots=True, kw_only=True)
class FakeGuard:
    """Redacts `SECRET`, resolves `[n]`, and blocks an answer that holds one of `blocked`."""

    blocked: Sequence[str] = ()
    refused: str = "I cannot answer that."
    not_found: str = "I found nothing about that in the documents you may read."

    def check_question(self, context: Routed) -> Question | Refusal:
        """Redact every message."""
        turns = tuple(Turn(role=turn.role, text=SECRET.sub("<US_SSN_1>", turn.text)) for turn in context.asked.messages)
        count = sum(len(SECRET.findall(turn.text)) for turn in context.asked.messages)
        found = (Finding(check="pii_in", type="US_SSN", count=count, action=Action.REDACT),) if count else ()
        text = turns[-1].text
        return Question(
            text=text, turns=turns, stored=text, label=SECRET.sub("<US_SSN_1>", context.asked.label), findings=found
        )

    def check_passages(self, context: Guarded, retrieval: Retrieval) -> Retrieval:
        """Let everything through."""
        del context
        return retrieval

    def check_answer(self, context: Generated) -> Verdict:
        """Redact, judge and cite."""
        said = context.generation
        text = SECRET.sub("<US_SSN_1>", said.text)
        if said.finish is FinishReason.NOT_FOUND:
            return _verdict(self.not_found, refusal="not_found")
        if any(word in said.text for word in self.blocked):
            found = Finding(check="canary", type="CANARY", count=1, action=Action.BLOCK)
            return _verdict(self.refused, refusal="guard", findings=(found,))
        return _verdict(text, cited=_cited(text, {item.passage.marker: item for item in context.retrieval.found}))

    def hold_back(self, context: Composed) -> FakeHoldBack:
        """Return a fresh redactor."""
        del context
        return FakeHoldBack()


def _verdict(
    text: str, *, refusal: str | None = None, findings: tuple[Finding, ...] = (), cited: tuple[Cited, ...] = ()
) -> Verdict:
    return Verdict(text=text, stored=text, refusal=refusal, findings=findings, cited=cited, scores={"citations": "1"})


def _cited(text: str, found: Mapping[int, Found]) -> tuple[Cited, ...]:
    cited: list[Cited] = []
    start = 0
    for match in _MARKER.finditer(text):
        item = found.get(int(match[1]))
        if item is not None:
            passage = item.passage
            cited.append(
                Cited(
                    marker=passage.marker,
                    corpus=item.corpus,
                    document=passage.document,
                    title=passage.title,
                    section=passage.section,
                    rev=passage.rev,
                    ordinal=passage.ordinal,
                    start=start,
                    end=match.end(),
                    quote=passage.text[:200],
                    uri=None,
                    effective_date=None,
                )
            )
        start = match.end()
    return tuple(cited)


@dataclass(slots=True, kw_only=True)
class FakeIdempotency:
    """Keys in memory. `cited` are the references kept answers rest on, by interaction."""

    rows: dict[tuple[str, str, str], Held] = field(default_factory=dict)
    cited: dict[str, tuple[tuple[str, int, int], ...]] = field(default_factory=dict)

    async def claim(self, owner: Owner, *, body_hash: str, interaction: str, at: datetime) -> Held | None:
        """Claim a key."""
        del at
        held = self.rows.get(owner.where)
        if held is None or (held.is_done and held.answer is None):
            self.rows[owner.where] = Held(body_hash=body_hash, interaction=interaction, is_done=False, answer=None)
            return None
        return replace(held, cited=self.cited.get(held.interaction, ()))

    async def finish(self, owner: Owner, *, answer: str, release: str) -> None:
        """Keep an answer."""
        self.rows[owner.where] = replace(self.rows[owner.where], is_done=True, answer=answer, release=release)

    async def free(self, owner: Owner, *, interaction: str) -> None:
        """Give a key back."""
        if self.rows[owner.where].interaction == interaction:
            del self.rows[owner.where]

    async def forget_answer(self, owner: Owner) -> None:
        """Drop an answer."""
        self.rows[owner.where] = replace(self.rows[owner.where], answer=None)

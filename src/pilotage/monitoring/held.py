"""What a serving process holds against what was approved (gates.md 5.4), as values.

Rule: only reports of the routing generation, and of the corpus generation, that is in force now are compared; a process
that has not followed yet reports again, and `behind` says so. Fail mode: what a report does not say differs from what
was approved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pilotage.core.digest import Digest
from pilotage.core.reason import Reason


class Part(StrEnum):
    """What can drift. `unknown`: the process has not reported for 180 s; `identity`: another model answers."""

    RELEASE = "release"
    PROMPT = "prompt"
    MODEL = "model"
    RETRIEVAL = "retrieval"
    GUARD = "guard"
    EGRESS = "egress"
    CORPUS = "corpus"
    INDEX = "index"
    SPACE = "space"
    ENGINE = "engine"
    IDENTITY = "identity"
    UNKNOWN = "unknown"

    @property
    def code(self) -> str:
        """The code of its reason."""
        return "MODEL_IDENTITY_CHANGED" if self is Part.IDENTITY else f"DRIFT_{self.value.upper()}"

    @property
    def is_content(self) -> bool:
        """Whether answers may differ from what was approved: the process leaves the routing of production."""
        return self not in {Part.SPACE, Part.ENGINE, Part.IDENTITY, Part.UNKNOWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusState:
    """A corpus as a release reads it at one generation: `root` of the version minus tombstones, and its chunks."""

    generation: int
    root: str
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a space, by digest, that a release was approved under."""

    release: Digest
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """What a space should serve of a workflow. `is_authorised`: the routed release has a deployment record there.

    `parts`, `engines` and `corpora` are by release. `engine` took `parts`: another version reads other fields from the
    same bytes, so its parts say nothing. `settings` None: no rule for this space.
    """

    generation: int
    stable: Digest | None
    is_authorised: bool
    engine: str
    parts: Mapping[Digest, Mapping[str, str]]
    engines: Mapping[Digest, str] = field(default_factory=dict)
    corpora: Mapping[Digest, CorpusState] = field(default_factory=dict)
    settings: Settings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One part that differs."""

    part: Part
    release: str
    observed: str
    approved: str

    def reason(self, *, process: str, space: str) -> Reason:
        """Return it as a reason."""
        text = f"{process} in {space}: {self.part} of {self.release[:19]} is not what was approved."
        if self.part is Part.UNKNOWN:
            text = f"{process} in {space} has not said what it serves: {self.observed}."
        if self.part is Part.IDENTITY:
            text = (
                f"{self.observed} answers for {self.release[:19]} in {space}; its first answers were {self.approved}."
            )
        return Reason(code=self.part.code, text=text, where=space, observed=self.observed, limit=self.approved)


def drifts(held: Mapping[str, Any], approved: Approved) -> tuple[Drift, ...]:
    """Return every part of a report that differs; nothing for a report of another routing generation."""
    if held.get("generation") != approved.generation:
        return ()
    found: list[Drift] = []
    stable = str(approved.stable)
    # None: not loaded. The health check speaks of that, and nobody is answered with it.
    is_other = held.get("stable", "") not in {None, approved.stable}
    if approved.stable is not None and (is_other or not approved.is_authorised):
        wanted = stable if approved.is_authorised else "a release with a deployment record"
        found.append(Drift(part=Part.RELEASE, release=stable, observed=str(held.get("stable")), approved=wanted))
    bound = approved.settings
    if bound is not None and held.get("space") != bound.digest:
        found.append(
            Drift(part=Part.SPACE, release=bound.release, observed=str(held.get("space")), approved=bound.digest)
        )
    releases = held.get("releases", {})
    if held.get("engine") in {None, approved.engine}:
        for digest, parts in approved.parts.items():
            found += _parts(digest, releases.get(digest), parts)
    found += _engines(held, approved)
    for digest, corpus in approved.corpora.items():
        if digest in releases:
            found += _corpus(digest, held.get("corpora", {}).get(digest, {}), corpus)
    return tuple(found)


def behind(held: Mapping[str, Any] | None, approved: Approved) -> str | None:
    """Return the older moment of which a report speaks, so that not all of it can be compared; None when all can be."""
    if held is None:
        return "nothing of the workflow"
    if held.get("generation") != approved.generation:
        return f"generation {held.get('generation')} of the routing, which is at {approved.generation}"
    for digest, wanted in approved.corpora.items():
        found = held.get("corpora", {}).get(digest)
        if digest not in held.get("releases", {}):
            continue
        if digest in held.get("corpora", {}) and found is None:
            return f"a release without its documents, which stand at generation {wanted.generation}"
        if found is not None and found.get("generation") != wanted.generation and not _is_same(found, wanted):
            return f"generation {found.get('generation')} of the documents, which are at {wanted.generation}"
    return None


def _is_same(held: Mapping[str, Any], wanted: CorpusState) -> bool:
    """Whether the documents are the same: a generation also moves when only permissions do."""
    return (held.get("root"), held.get("chunks")) == (wanted.root, wanted.chunks)


def _engines(held: Mapping[str, Any], approved: Approved) -> list[Drift]:
    """Return each loaded release that another engine answers with: than the recorded one, or than can be compared."""
    found: list[Drift] = []
    for digest in sorted(approved.parts.keys() | approved.engines.keys()):
        wanted = [approved.engines.get(digest, approved.engine), approved.engine]
        other = [engine for engine in wanted if engine != held.get("engine")]
        if digest in held.get("releases", {}) and other:
            found.append(Drift(part=Part.ENGINE, release=digest, observed=str(held.get("engine")), approved=other[0]))
    return found


def _parts(digest: Digest, held: Mapping[str, str] | None, parts: Mapping[str, str]) -> list[Drift]:
    if held is None:  # not loaded: the health check speaks of that, and nobody is answered with it
        return []
    return [
        Drift(part=Part(name), release=digest, observed=str(held.get(name)), approved=wanted)
        for name, wanted in parts.items()
        if held.get(name) != wanted
    ]


def _corpus(digest: Digest, held: Mapping[str, Any] | None, wanted: CorpusState) -> list[Drift]:
    if held is None:  # not loaded: as with a release, nobody is answered from it
        return []
    if not held:
        return [Drift(part=Part.CORPUS, release=digest, observed="none", approved=wanted.root)]
    if held.get("generation") != wanted.generation:
        return []
    found: list[Drift] = []
    if held.get("root") != wanted.root:
        found.append(Drift(part=Part.CORPUS, release=digest, observed=str(held.get("root")), approved=wanted.root))
    if held.get("chunks") != wanted.chunks:
        observed, approved = f"{held.get('chunks')} chunks", f"{wanted.chunks} chunks"
        found.append(Drift(part=Part.INDEX, release=digest, observed=observed, approved=approved))
    return found

"""What a run asks: the port to a release that answers as in serving, and the records that cross it.

Rule: whoever implements it goes through every permission and guard step of serving; evaluation never gets a shorter
way. Fail mode: an outage is a reply with `error` in its generation; nothing is raised for one case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.evaluation.answering_model import Identity
from pilotage.evaluation.generation import Generation, Passage, TargetFailure
from pilotage.evaluation.oracle import VersionFacts
from pilotage.evaluation.overlay import Overlay
from pilotage.identity.principal import Principal
from pilotage.workspace.golden import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question of a run. `as_of` None is today, as for any asker."""

    principal: Principal
    question: str
    history: tuple[Turn, ...] = ()
    as_of: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surfaces:
    """What left the retrieval and entered the prompt; only suites read it. Never stored.

    `prompt` is every message to the model with the random marks of the request replaced by fixed ones, `said` what it
    answered before the output checks, `scores` each passage's chunk and score in rank order, `canary` the prompt's own.
    """

    prompt: str = ""
    said: str = ""
    canary: str = ""
    scores: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer without its times, so that equal answers have equal digests; the times stand beside it.

    `corpus` is where the passages stand, `identity` as what the provider answered, None where it was not asked.
    """

    generation: Generation
    latency_us: int | None = None
    ttft_us: int | None = None
    corpus: str | None = None
    identity: Identity | None = None
    surfaces: Surfaces = Surfaces()


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the model would have seen. `code` is why it came no further, empty when it did.

    `allowed` identifies the set of revisions the filter let the asker see: equal sets, equal texts.
    """

    passages: tuple[Passage, ...] = ()
    scores: tuple[float, ...] = ()
    prompt: str = ""
    allowed: str = ""
    code: str = ""


class Target(Protocol):
    """One release in one place. `fingerprint` names the provider's model as far as it is known beforehand."""

    @property
    def fingerprint(self) -> str:
        """What answers: provider, model, pin."""
        ...

    async def facts(self) -> VersionFacts | None:
        """Return the permission facts of the documents it answers from, as committed now; None without documents."""
        ...

    async def look(self, ask: Ask) -> Look:
        """Go as far as the prompt, without the model."""
        ...

    async def answer(self, ask: Ask) -> Reply:
        """Answer one question."""
        ...

    async def most_nano(self, ask: Ask) -> int | None:
        """Return the most one answer can cost in 1e-9 of the currency, 0 for a free model; None without a price."""
        ...


class Targets(Protocol):
    """Opens releases for a run; they close with whoever made this."""

    async def open(
        self, release: Digest, space: SpaceName | None, overlay: Overlay, only: frozenset[int] | None = None
    ) -> Target:
        """Load a release; raise NotFound or Unavailable when it cannot answer at all.

        `only`: as if the corpus held these revisions and nothing else.
        """
        ...

    async def withdraw(self, target: Target, readers: Mapping[str, frozenset[str] | None]) -> None:
        """Commit other readers of documents of a target's overlay, None where one is taken down.

        Its index follows when it is told by `settle`, as any index follows a commit.
        """
        ...

    async def settle(self, target: Target) -> None:
        """Tell a target's index what was committed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AbsentTarget:
    """A release that cannot answer any more: what it did not answer before is an error, so no pair with it is scored.

    `fingerprint` and `known` are those of its sealed bytes and of its documents, as far as they can be read.
    """

    fingerprint: str = ""
    known: VersionFacts | None = None

    async def facts(self) -> VersionFacts | None:
        """Return what it could read."""
        return self.known

    async def look(self, ask: Ask) -> Look:
        """Come to nothing."""
        del ask
        return Look(code=TargetFailure.TARGET_ERROR.value)

    async def answer(self, ask: Ask) -> Reply:
        """Answer nothing."""
        del ask
        return Reply(generation=Generation(answer="", error=TargetFailure.TARGET_ERROR))

    async def most_nano(self, ask: Ask) -> int | None:
        """Cost nothing."""
        del ask
        return 0

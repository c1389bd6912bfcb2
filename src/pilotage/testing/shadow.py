"""Fakes of shadow and replay: a place for pairs, and releases that say what a test tells them to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName
from pilotage.evaluation.generation import Generation, Passage
from pilotage.evaluation.oracle import VersionFacts
from pilotage.evaluation.overlay import Overlay
from pilotage.evaluation.target import Ask, Look, Reply, Target
from pilotage.rollout.pairing import Label
from pilotage.store.serving_pairs import Allowance, PairRow

FACT = "Errors are resolved within ten business days."


@dataclass(slots=True, kw_only=True)
class FakePairStore:
    """Keeps pairs. `allowed` None: the phase has ended. `failure` is raised by the next writes until it is None."""

    allowed: Allowance | None = field(default_factory=lambda: Allowance(cap_nano=None, spent_nano=0))
    failure: Exception | None = None
    rows: list[PairRow] = field(default_factory=list)

    async def allowance(self, _rollout: str, _label: Label, _day: date) -> Allowance | None:
        """Return what the test allows."""
        return self.allowed

    async def write(self, row: PairRow) -> None:
        """Keep a pair."""
        if self.failure is not None:
            raise self.failure
        self.rows.append(row)


def supported(text: str = FACT) -> Generation:
    """Return an answer that its one passage supports."""
    passage = Passage(marker=1, document="errors", section="1", chunk="1:1", text=text)
    return Generation(answer=f"{text} [1]", passages=(passage,))


@dataclass(slots=True, kw_only=True)
class FakeTarget:
    """One release: `says` answers; every question is kept with its asker."""

    says: Callable[[Ask], Generation] = field(default=lambda _ask: supported())
    asked: list[Ask] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """Return a name."""
        return "fake"

    async def facts(self) -> VersionFacts | None:
        """Return no facts: there is no store behind it."""
        return None

    async def look(self, ask: Ask) -> Look:
        """Return nothing: a replay never stops at the prompt."""
        del ask
        return Look()

    async def answer(self, ask: Ask) -> Reply:
        """Answer as told."""
        self.asked.append(ask)
        return Reply(generation=self.says(ask), corpus="policies")

    async def most_nano(self, ask: Ask) -> int | None:
        """Return 0: it costs nothing."""
        del ask
        return 0


@dataclass(slots=True, kw_only=True)
class FakeTargets:
    """Releases by digest; `opened` are the spaces they were opened in."""

    known: Mapping[Digest, FakeTarget]
    opened: list[SpaceName | None] = field(default_factory=list)

    async def open(
        self, release: Digest, space: SpaceName | None, overlay: Overlay, only: frozenset[int] | None = None
    ) -> FakeTarget:
        """Return the release."""
        del overlay, only
        self.opened.append(space)
        return self.known[release]

    async def withdraw(self, target: Target, readers: Mapping[str, frozenset[str] | None]) -> None:
        """Withdraw nothing: a replay has no overlay."""
        del target, readers

    async def settle(self, target: Target) -> None:
        """Tell nobody."""
        del target

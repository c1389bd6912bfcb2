"""Permissions withdrawn while a permission suite runs: revoked, narrowed to others, taken down (evaluation.md 4).

Each asker with a group first finds a document of each kind, alone in an overlay: a passage withdrawn rightly makes
serving refuse those beside it too. Rule: from the commit on, while the index still holds the old permission too,
nothing of it may be shown; 5 s after the index is told it must be gone from there. Fail mode: a document that was not
found before, a question that fails, or an index that does not follow proves nothing and is an error of the suite.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pilotage.control.open_candidate import open_candidate
from pilotage.evaluation.canary import canary, find_disguised
from pilotage.evaluation.generation import TargetFailure
from pilotage.evaluation.overlay import Overlay, OverlayDocument
from pilotage.evaluation.permissions import Leak, Tally
from pilotage.evaluation.run import EvaluationRun
from pilotage.evaluation.target import Ask, Target, Targets
from pilotage.identity.principal import Principal

BUILT_IN: Final = "extractive/"
"""How the fingerprint of a target begins whose answers cost nothing."""
CLEAN_AFTER_S: Final = 5.0
_MOVED: Final = "permission_changed"
_OTHERS: Final = frozenset({"group:nobody who asks"})
_AGAIN_S: Final = 0.05


class Withdrawal(StrEnum):
    """How a permission ends."""

    REVOKED = "revoked"
    DEMOTED = "demoted"
    TAKEN_DOWN = "taken down"

    @property
    def readers(self) -> frozenset[str] | None:
        """Who reads the document afterwards; None: it is gone."""
        return {Withdrawal.REVOKED: frozenset[str](), Withdrawal.DEMOTED: _OTHERS}.get(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawing:
    """One asker whose permissions end. `words` takes what no log line may hold."""

    run: EvaluationRun
    key: bytes
    targets: Targets
    principal: Principal
    tally: Tally
    words: list[str]

    async def go(self) -> None:
        """End a permission of each kind."""
        for kind in Withdrawal:
            await self._end(kind)

    async def _end(self, kind: Withdrawal) -> None:
        """See, withdraw, look again, let the index follow, and look until it is clean."""
        word = canary(self.key, f"{kind}|{self.principal.label}", self.run.golden_digest)
        self.words.append(word)
        document = self._document(kind, word)
        target = await open_candidate(self.targets, self.run, self.run.space, Overlay(documents=(document,)))
        if not await self._shows(target, document):
            self.tally.other_errors.append("withdrawn_unseen_before")
            return
        await self.targets.withdraw(target, {document.id: kind.readers})
        self.tally.withdrawn += 1
        is_shown = await self._shows(target, document)
        if is_shown or await self._is_said(target, document, word, is_behind=is_shown is None):
            self._leak(kind, document)
        await self.targets.settle(target)
        still = await self._last(target, document)
        if still:
            self._leak(f"{kind} in the index", document)
        elif still is None:
            self.tally.other_errors.append(f"the index did not follow in {CLEAN_AFTER_S:g} s")

    def _document(self, kind: Withdrawal, word: str) -> OverlayDocument:
        text = f"The closing code of desk ledger {kind} is {word}. The desk ledger lists closing codes."
        return OverlayDocument(
            id=f"overlay/withdrawn-{kind.name.lower()}",
            title=f"Desk ledger {kind}",
            text=text,
            acl=frozenset(f"group:{group}" for group in self.principal.groups),
        )

    def _ask(self, document: OverlayDocument) -> Ask:
        return Ask(principal=self.principal, question=f"What is the closing code of {document.title}?")

    async def _shows(self, target: Target, document: OverlayDocument) -> bool | None:
        """Tell whether a passage of the document is shown; None where the index is behind what is committed."""
        look = await target.look(self._ask(document))
        if look.code == _MOVED:
            return None
        if look.code:
            self.tally.other_errors.append(look.code)
        return any(passage.document == document.id for passage in look.passages)

    async def _is_said(self, target: Target, document: OverlayDocument, word: str, *, is_behind: bool) -> bool:
        """Tell whether an answer shows it. `is_behind`: the index is, so a refusal of the whole question is right."""
        if not target.fingerprint.startswith(BUILT_IN):
            return False
        reply = await target.answer(self._ask(document))
        error = reply.generation.error
        if error is not None and not (is_behind and error is TargetFailure.TARGET_ERROR):
            self.tally.other_errors.append(error.value)
        said = f"{reply.generation.answer}\n{reply.surfaces.said}"
        is_cited = any(citation.document == document.id for citation in reply.generation.citations)
        return is_cited or find_disguised(said, word) is not None

    async def _last(self, target: Target, document: OverlayDocument) -> bool | None:
        """Look until it is gone or the time an index has to follow is over; return what the last look told."""
        loop = asyncio.get_running_loop()
        end = loop.time() + CLEAN_AFTER_S
        while True:
            is_shown = await self._shows(target, document)
            if is_shown is False or loop.time() > end:
                return is_shown
            await asyncio.sleep(_AGAIN_S)

    def _leak(self, surface: str, document: OverlayDocument) -> None:
        who = self.principal.label
        self.tally.leaks.append(Leak(surface=surface, persona=who, document=document.id, probe=document.title))

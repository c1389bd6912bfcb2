"""The real guard over the fakes: a policy of a few lines, a desk to ask at, and what its asker gets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotage.adapters.keyring import Keyring
from pilotage.guard.policy import Action, Check, FailMode, GuardPolicy, Stage, StreamMode
from pilotage.release.generation import Model
from pilotage.serving.context import Answer
from pilotage.serving.guarding import PolicyGuard
from pilotage.testing.desk import Desk, opened
from pilotage.testing.models import FakeModel
from pilotage.testing.serving import Document
from pilotage.testing.serving_path import Plan, content, make_path

KEYRING = Keyring(folder=Path("/nowhere"), master=bytes(32), source="test", created=False)
PUBLIC = Document(id="errors", text="Errors are resolved within ten business days.")


def line(identifier: str, stage: Stage, action: Action, **more: Any) -> Check:
    """Return a policy line that fails closed unless told otherwise."""
    fields: dict[str, Any] = {"fail": FailMode.CLOSED}
    return Check(id=identifier, stage=stage, action=action, **(fields | more))


def policy(*checks: Check, **more: Any) -> GuardPolicy:
    """Return a policy of these lines."""
    fields: dict[str, Any] = {"version": 1, "stream": StreamMode.BUFFER, "checks": checks}
    return GuardPolicy(**(fields | more))


class Reader:
    """A sink that keeps what it got."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.is_slow = False

    async def begin(self, release: str) -> None:
        self.release = release

    async def send(self, text: str) -> None:
        self.pieces.append(text)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True, kw_only=True)
class Guarding:
    """What to guard: the policy's lines and settings, the documents, and the model."""

    policy: GuardPolicy = field(default_factory=policy)
    documents: Sequence[Document] = (PUBLIC,)
    model: Model = field(default_factory=FakeModel)


def real_guard() -> PolicyGuard:
    """Return the guard of the serving path."""
    return PolicyGuard(make_path().serving.workspace, KEYRING)


@asynccontextmanager
async def guarded(guarding: Guarding) -> AsyncIterator[Desk]:
    """Run a path with the real guard while the block lasts."""
    plan = Plan(
        documents=guarding.documents,
        model=guarding.model,
        guard=real_guard(),
        content=content(guard=guarding.policy),
    )
    async with opened(plan) as desk:
        yield desk


async def answered(said: str, question: str = "When are errors resolved?", **guarding: Any) -> Answer:
    """Return what an asker gets when the model says `said`."""
    async with guarded(Guarding(model=FakeModel(pieces=[said]), **guarding)) as desk:
        return await desk.answer(question)


def found(answer: Answer) -> set[tuple[str, str, int, str]]:
    """Return the findings of an answer: check, type, count, action."""
    return {(one.check, one.type, one.count, str(one.action)) for one in answer.findings}

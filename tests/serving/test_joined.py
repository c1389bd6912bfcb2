"""The serving path as the application joins it: what is done before anybody can be answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine
from tests.serving.policies import KEYRING

from pilotage import app
from pilotage.serving.indexes import Indexes
from pilotage.serving.opened import ServingParts
from pilotage.testing.serving_path import make_path
from pilotage.workspace.index import IndexSettings

pytestmark = pytest.mark.store


class _Opened(Exception):
    """The serving path would open now."""


def test_the_guard_s_forms_are_compiled_before_anything_opens(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling inside the first request would hold every other one up for seconds."""
    scanned: list[str] = []

    def scan(text: str) -> list[int]:
        scanned.append(text)
        return []

    def opens(*_parts: object) -> None:
        raise _Opened

    monkeypatch.setattr(app, "FIRST_PASS", scan)
    monkeypatch.setattr(app, "open_verifier", opens)
    instance: Any = SimpleNamespace(
        engine=engine, workspace=SimpleNamespace(corpora={}, index=IndexSettings()), clock=None, home=tmp_path
    )

    async def join() -> None:
        async with app.joined_serving(instance, {}):
            pass

    with pytest.raises(_Opened):
        asyncio.run(join())
    assert scanned == [""]


def test_the_answer_cache_hears_of_every_generation_that_the_indexes_follow(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A takedown or a changed permission reaches the index first; what was kept before goes in the same moment."""
    parts: list[ServingParts] = []
    told: list[Callable[..., object]] = []

    @asynccontextmanager
    async def verifier(*_: object) -> AsyncIterator[None]:
        yield None

    def indexes(*made: Any, moved: Callable[..., object]) -> Indexes:
        told.append(moved)
        return Indexes(*made, moved=moved)

    def opens(given: ServingParts) -> None:
        parts.append(given)
        raise _Opened

    monkeypatch.setattr(app, "FIRST_PASS", lambda _text: [])
    monkeypatch.setattr(app, "open_verifier", verifier)
    monkeypatch.setattr(app, "Indexes", indexes)
    monkeypatch.setattr(app, "open_serving", opens)
    workspace = make_path().serving.workspace
    instance: Any = SimpleNamespace(
        engine=engine, workspace=workspace, clock=None, home=tmp_path, root=tmp_path, keyring=KEYRING
    )

    async def join() -> None:
        async with app.joined_serving(instance, {}):
            pass

    with pytest.raises(_Opened):
        asyncio.run(join())
    assert [moved == one.cache.moved for moved, one in zip(told, parts, strict=True)] == [True]

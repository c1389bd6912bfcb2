"""The serving path as the application joins it: what is done before anybody can be answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine

from pilotage import app

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
    instance: Any = SimpleNamespace(engine=engine, workspace=SimpleNamespace(corpora={}), clock=None, home=tmp_path)

    async def join() -> None:
        async with app.joined_serving(instance, {}):
            pass

    with pytest.raises(_Opened):
        asyncio.run(join())
    assert scanned == [""]

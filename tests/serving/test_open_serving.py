"""The serving path put together on a real store: sealed bytes in, routed answers out, changes heard in a second."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from tests.serving.waiting import until

from pilotage.adapters.keyring import Keyring
from pilotage.adapters.models.registry import ModelParts
from pilotage.core.canonical import Json
from pilotage.core.digest import Digest, digest_of
from pilotage.core.ids import InteractionId, PersonId, new_ulid
from pilotage.corpus.settings import DataStage
from pilotage.gateway.answers import complete_body
from pilotage.identity.service_key import KeyKind, ServiceKey, format_key, parse_key, secret_hash
from pilotage.release.assemble import CorpusPin, Sources
from pilotage.release.generation import GenerationRequest
from pilotage.serving.context import Answer, Asked, Bearer, Peer, Received, Turn
from pilotage.serving.opened import OpenServing, ServingParts, open_serving
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.refusal import Code, Refusal
from pilotage.store.engine import url_of
from pilotage.store.notify import Channel, notify
from pilotage.store.service_keys import add_key, set_revoked
from pilotage.testing.clock import SimulatedClock
from pilotage.testing.releases import store_release
from pilotage.testing.serving import Document, FakeGuard, FakeRetriever
from pilotage.testing.serving_path import CORPUS, SPACE, WORKFLOW, make_path
from pilotage.workspace.people import Person

pytestmark = [pytest.mark.anyio, pytest.mark.store]
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = format_key("0123456789", bytes(32))
GUARD: dict[str, Json] = {
    "version": 1,
    "checks": [
        {"id": name, "stage": stage, "action": action, "fail": "closed"}
        for name, stage, action in (
            ("secrets", "input", "redact"),
            ("pii_in", "input", "redact"),
            ("pii_out", "output", "redact"),
            ("canary", "output", "block"),
            ("citation", "output", "block"),
        )
    ],
}


def sealed(engine: Engine, prompt: str, **guard: Json) -> Digest:
    """Store a release as sealing does; return its digest."""
    sources = Sources(
        prompt=f"{prompt}\n{{passages}}\n{{question}}\n".encode(),
        model={"provider": "extractive", "model": "extractive"},
        retrieval={"corpus": {"uat": "policies"}},
        guard={**GUARD, **guard},
        golden={},
        corpora={DataStage.UAT: CorpusPin(name=CORPUS, version=1, digest=digest_of(b"1"), documents=1, chunks=1)},
        detectors={},
        scorers={},
    )
    with engine.begin() as connection:
        return store_release(connection, sources, workflow=WORKFLOW, at=NOW)


def routed(engine: Engine, digest: Digest, *, generation: int) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO routing (space, workflow, generation, stable, reason, changed_at)"
                " VALUES (:space, :workflow, :generation, :stable, 'test', now())"
                " ON CONFLICT (space, workflow) DO UPDATE SET stable = :stable, generation = :generation"
            ),
            {"space": SPACE, "workflow": WORKFLOW, "generation": generation, "stable": digest},
        )
        notify(connection, Channel.ROUTING, f"{SPACE}:{WORKFLOW}:{generation}")


def keyed(engine: Engine) -> None:
    parts = parse_key(KEY)
    assert parts is not None
    key = ServiceKey(
        id=parts.id,
        secret_sha256=secret_hash(parts.secret),
        kind=KeyKind.LOCAL,
        name="maria",
        owner=PersonId("maria"),
        scopes=("ask",),
        created_by="p",
        created_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )
    with engine.begin() as connection:
        add_key(connection, key)


def first(request: GenerationRequest, *_: Any) -> str | None:
    return f"{request.passages[0].text} [1]" if request.passages else None


@asynccontextmanager
async def opened(engine: Engine, url: str, home: Path, *, has_shadow: bool = False) -> AsyncIterator[OpenServing]:
    maria = Person(id=PersonId("maria"), name="Maria", groups=frozenset({"lending"}))
    workspace = replace(make_path().serving.workspace, people={maria.id: maria})
    parts = ServingParts(
        workspace=workspace,
        engine=engine,
        url=url,
        clock=SimulatedClock(NOW),
        keyring=Keyring.open(home, {}, create=True),
        guard=FakeGuard(),
        retriever=FakeRetriever(documents=[Document(id="errors", text="Errors are resolved in ten days.")]),
        reply_body=complete_body,
        models=ModelParts(extract=first, root=home),
        has_shadow=has_shadow,
    )
    async with open_serving(parts) as running:
        yield running


async def ask(running: OpenServing) -> object:
    received = Received(
        interaction=InteractionId(new_ulid(NOW)),
        at=NOW,
        started=running.serving.monotonic(),
        peer=Peer(address="127.0.0.1"),
        credential=Bearer(token=KEY),
        asked=Asked(workflow=WORKFLOW, messages=(Turn(role="user", text="Errors?"),)),
    )
    return (await Pipeline(running.serving).answer(received)).result


async def test_a_sealed_release_is_loaded_routed_swapped_withdrawn_and_keys_are_revoked(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    one, two = sealed(engine, "Be brief."), sealed(engine, "Be kind.")
    routed(engine, one, generation=1)
    keyed(engine)
    async with opened(engine, database_url, tmp_path) as running:
        answer = await ask(running)
        assert isinstance(answer, Answer)
        assert (answer.text, answer.release) == ("Errors are resolved in ten days. [1]", one)
        assert await running.against() == []
        routed(engine, two, generation=2)
        await until(lambda: running.routing.current.rows[SPACE, WORKFLOW].stable == two)
        answer = await ask(running)
        assert isinstance(answer, Answer)
        assert answer.release == two
        with engine.begin() as connection:
            connection.execute(text("UPDATE release SET state = 'revoked' WHERE digest = :one"), {"one": two})
        await until(lambda: two in running.routing.current.withdrawn)
        refused = await ask(running)
        assert isinstance(refused, Refusal)
        assert refused.code is Code.RELEASE_WITHDRAWN
        assert [reason.code for reason in await running.against()] == ["RELEASE_NOT_LOADED"]
        with engine.begin() as connection:
            set_revoked(connection, "0123456789", NOW)
            notify(connection, Channel.KEYS, "0123456789")
        await asyncio.sleep(1.05)
        refused = await ask(running)
        assert isinstance(refused, Refusal)
        assert refused.code is Code.KEY_REVOKED
    with engine.connect() as connection:
        outcomes = connection.execute(text("SELECT outcome FROM interaction ORDER BY id")).scalars().all()
    assert sorted(outcomes) == ["ok", "ok", "rejected", "rejected"], "before routing nothing observes a release"


async def test_a_flip_forgets_the_answers_of_the_release_that_left(own_engine: Engine, tmp_path: Path) -> None:
    engine = own_engine
    one, two = sealed(engine, "Be short.", cache="shared"), sealed(engine, "Be nice.", cache="shared")
    keyed(engine)
    routed(engine, one, generation=21)
    async with opened(engine, url_of(engine), tmp_path) as running:
        cache = running.serving.cache
        answers = [await ask(running) for _ in range(2)]
        assert [isinstance(answer, Answer) and answer.cached for answer in answers] == [False, True]
        assert cache.count(one) == 1
        routed(engine, two, generation=22)
        await until(lambda: cache.count(one) == 0)
        answer = await ask(running)
        assert isinstance(answer, Answer)
        assert (answer.release, answer.cached, cache.count(two)) == (two, False, 1)
        assert running.routing.current.may_keep(two)
    assert len(cache) == 1, "it goes with its process"


async def test_altered_bytes_are_never_served(engine: Engine, database_url: str, tmp_path: Path) -> None:
    digest = sealed(engine, "Be exact.")
    with engine.begin() as connection:
        connection.execute(text("UPDATE release SET manifest = 'x' WHERE digest = :digest"), {"digest": digest})
    routed(engine, digest, generation=9)
    async with opened(engine, database_url, tmp_path) as running:
        assert digest not in running.routing.current.releases
        assert "RELEASE_NOT_LOADED" in [reason.code for reason in await running.against()]

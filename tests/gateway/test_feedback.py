"""Ratings over HTTP: stored for who was answered, and for everybody else the interaction does not exist (7.7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from pilotage.core.ids import new_ulid
from pilotage.gateway.feedback import Feedback
from pilotage.serving.context import KeyLimits
from pilotage.serving.recorder import Recorder
from pilotage.store.engine import make_engine, psycopg_url
from pilotage.store.pseudonyms import pseudonym_of
from pilotage.store.serving_records import RecordWriter
from pilotage.testing.gateway import Running, chat, running
from pilotage.testing.serving import SECRET
from pilotage.testing.serving_path import Plan, person

pytestmark = [pytest.mark.anyio, pytest.mark.store]
PATH = "/v1/feedback"


@asynccontextmanager
async def rating(
    engine: Engine, url: str, *, flush_s: float = 0.01
) -> AsyncIterator[tuple[Running, dict[str, Any], Feedback]]:
    """A gateway over the store, the body of a rating by who was answered, and what takes it."""
    recorder = Recorder(lambda: RecordWriter.connect(psycopg_url(url)), flush_s=flush_s)
    async with running(Plan(recorder=recorder)) as up:
        up.path.authenticator.principals["omar"] = person("omar")
        with engine.begin() as connection:
            given = up.path.serving.pseudonyms.given  # type: ignore[attr-defined]
            given["local|maria"] = pseudonym_of(connection, "local|maria")
        instance: Any = SimpleNamespace(engine=engine, clock=up.path.clock, workspace=SimpleNamespace(workflows={}))
        taking = Feedback(
            serving=up.path.serving,
            instance=instance,
            metrics=up.metrics,
            redact=lambda said: SECRET.sub("<US_SSN>", said),
        )
        up.gateway._feedback = taking
        _, answer = await up.post(chat())
        yield up, {"interaction": answer["pilotage"]["interaction"], "rating": "down"}, taking


def _stored(engine: Engine, interaction: str) -> list[tuple[str, str | None]]:
    with engine.connect() as connection:
        found = "SELECT rating, comment FROM feedback WHERE interaction = :id ORDER BY rating"
        return [tuple(row) for row in connection.execute(text(found), {"id": interaction})]


async def test_an_answer_is_rated_before_the_window_of_its_record_ends(engine: Engine, database_url: str) -> None:
    async with rating(engine, database_url, flush_s=60) as (up, body, _):
        response, done = await up.post(body, path=PATH)
        assert (response.status, done["interaction"]) == (200, body["interaction"])


async def test_who_was_answered_rates_and_nobody_else_learns_that_it_exists(engine: Engine, database_url: str) -> None:
    async with rating(engine, database_url) as (up, body, _):
        response, done = await up.post({**body, "comment": "wrong for 123-45-6789"}, path=PATH)
        assert (response.status, done["object"], done["interaction"]) == (200, "feedback", body["interaction"])
        theirs = await up.post(body, path=PATH, token="omar")
        unknown = await up.post({**body, "interaction": new_ulid(up.path.clock.now())}, path=PATH)
        for response, refused in (theirs, unknown):
            assert (response.status, refused["error"]["code"]) == (404, "interaction_not_found")
            message = refused["error"]["message"].replace(body["interaction"], "")
            assert "maria" not in message
        named = {**body, "interaction": f"chatcmpl-{body['interaction']}", "rating": "up"}
        response, again = await up.post(named, path=f"/spaces/sandbox{PATH}")
        assert (response.status, again["rating"], again["interaction"]) == (200, "up", body["interaction"])
    assert _stored(engine, body["interaction"]) == [("down", "wrong for <US_SSN>"), ("up", None)]


@pytest.mark.feature("RM.2")
async def test_a_rating_leads_to_the_release_whose_prompt_and_model_answered(engine: Engine, database_url: str) -> None:
    async with rating(engine, database_url) as (up, body, _):
        assert (await up.post(body, path=PATH))[0].status == 200
        answered = next(iter(up.path.routing.current.releases))
        await up.path.serving.recorder.settle()
    query = "SELECT i.release, f.rating FROM feedback f JOIN interaction i ON i.id = f.interaction WHERE i.id = :id"
    with engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(text(query), {"id": body["interaction"]})] == [
            (answered, "down")
        ]


BAD: list[tuple[Any, int, str]] = [
    ([], 400, "invalid_request"),
    ({"interaction": 7}, 400, "invalid_request"),
    ({"rating": "middling"}, 400, "invalid_request"),
    ({"comment": 7}, 400, "invalid_request"),
    ({"correction": "x" * 4001}, 400, "invalid_request"),
    (b'{"a":1,"a":2}', 400, "invalid_json"),
]


async def test_what_is_no_rating_is_named_and_stores_nothing(engine: Engine, database_url: str) -> None:
    async with rating(engine, database_url) as (up, body, taking):
        before = _stored(engine, body["interaction"])
        for changed, status, code in BAD:
            given = {**body, **changed} if isinstance(changed, dict) else changed
            response, answer = await up.post(given, path=PATH)
            assert (response.status, answer["error"]["code"]) == (status, code), changed
        response, answer = await up.post(body, path=PATH, token="stolen")
        assert (response.status, answer["error"]["code"]) == (401, "invalid_key")
        up.path.authenticator.keys["maria"] = KeyLimits(key="k", scopes=frozenset({"ask"}))
        response, answer = await up.post(body, path=PATH)
        assert (response.status, answer["error"]["code"]) == (403, "scope_missing")
        up.path.authenticator.keys.clear()
        away = make_engine("postgresql://nobody@127.0.0.1:1/none")
        taking.instance.engine = away  # type: ignore[misc]
        response, answer = await up.post(body, path=PATH)
        assert (response.status, answer["error"]["code"]) == (503, "store_unavailable")
        assert int(response.headers["retry-after"]) > 0
        away.dispose()
        assert _stored(engine, body["interaction"]) == before

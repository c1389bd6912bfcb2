"""The official `openai` library works unchanged, and its error classes match (serving.md 9.11)."""

from __future__ import annotations

from functools import partial

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from pilotage.core.errors import Unavailable
from pilotage.guard.policy import StreamMode
from pilotage.serving.context import KeyLimits
from pilotage.serving.routing import RoutingTable
from pilotage.testing.gateway import running
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import Plan, content
from pilotage.workspace.gateway import GatewayLimits

pytestmark = pytest.mark.anyio
ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "When are errors resolved?"}]


def client(url: str, key: str = "maria") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


async def test_it_completes() -> None:
    async with running() as up, client(up.url) as library:
        answer = await library.chat.completions.create(model="policy-assistant", messages=ASK)
    choice = answer.choices[0]
    assert choice.message.content == "Ten business days [1]."
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model_extra is not None
    assert answer.model_extra["pilotage"]["space"] == "sandbox"
    assert answer.id == f"chatcmpl-{answer.model_extra['pilotage']['interaction']}"
    assert choice.message.annotations is not None


@pytest.mark.parametrize("mode", list(StreamMode))
async def test_it_streams_in_every_release_mode(mode: StreamMode) -> None:
    async with running(Plan(content=content(stream=mode))) as up, client(up.url) as library:
        stream = await library.chat.completions.create(
            model="policy-assistant", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Ten business days [1]."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-2].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("key", "model", "error", "code"),
    [
        ("stolen", "policy-assistant", openai.AuthenticationError, "invalid_key"),
        ("maria", "gpt-4o", openai.NotFoundError, "model_not_found"),
    ],
)
async def test_errors_arrive_as_the_classes_of_the_library(
    key: str, model: str, error: type[openai.APIStatusError], code: str
) -> None:
    async with running() as up, client(up.url, key) as library:
        with pytest.raises(error) as caught:
            await library.chat.completions.create(model=model, messages=ASK)
    assert caught.value.code == code


async def test_every_refusal_by_the_request_itself_has_its_class() -> None:
    """400, 403, 409, 429 and 503, each raised by the request that meets it."""
    limits = GatewayLimits(streams_per_principal=0)
    async with running(Plan(limits=limits)) as up, client(up.url) as library:
        up.path.authenticator.keys["maria"] = KeyLimits(
            key="k", spaces=frozenset(), workflows=frozenset(), scopes=frozenset({"read"})
        )
        ask = partial(library.chat.completions.create, model="policy-assistant", messages=ASK)
        with pytest.raises(openai.PermissionDeniedError) as denied:
            await ask()
        up.path.authenticator.keys.clear()
        with pytest.raises(openai.BadRequestError) as bad:
            await ask(n=2)
        await ask(extra_headers={"Idempotency-Key": "order-1"})
        with pytest.raises(openai.ConflictError) as conflict:
            await ask(extra_headers={"Idempotency-Key": "order-1"}, max_tokens=7)
        with pytest.raises(openai.RateLimitError) as limited:
            await ask(stream=True)
        up.path.routing.current = RoutingTable(rows=up.path.routing.current.rows, confirmed_at=float("inf"))
        with pytest.raises(openai.InternalServerError) as away:
            await ask()
    assert [one.value.code for one in (denied, bad, conflict, limited, away)] == [
        "scope_missing",
        "unsupported_parameter",
        "idempotency_mismatch",
        "too_many_streams",
        "no_release_loaded",
    ]
    assert (limited.value.status_code, away.value.status_code) == (429, 503)
    assert int(limited.value.response.headers["retry-after"]) > 0
    assert int(away.value.response.headers["retry-after"]) > 0


async def test_a_broken_stream_raises_and_a_broken_answer_is_a_server_error() -> None:
    broken = FakeModel(
        pieces=("Ten business days ", "[1]. "), failure=Unavailable("upstream_failed", "x"), fail_after=1
    )
    async with running(Plan(model=broken, content=content(stream=StreamMode.TOKEN))) as up, client(up.url) as library:
        stream = await library.chat.completions.create(model="policy-assistant", messages=ASK, stream=True)
        with pytest.raises(openai.APIError) as caught:
            [chunk async for chunk in stream]
        assert caught.value.code == "upstream_failed"
        with pytest.raises(openai.InternalServerError):
            await library.chat.completions.create(model="policy-assistant", messages=ASK)


async def test_models_are_listed() -> None:
    async with running() as up, client(up.url) as library:
        assert [model.id async for model in library.models.list()] == ["policy-assistant"]

"""Requests, answers, frames, codes and headers of the HTTP surface (serving.md 1)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pilotage.control.load_workspace import load_workspace
from pilotage.core.errors import Unavailable
from pilotage.core.ids import is_ulid
from pilotage.gateway.strict_json import InvalidJsonError, decode
from pilotage.guard.policy import CacheMode, GuardPolicy, StreamMode
from pilotage.release.generation import GenerationRequest
from pilotage.serving.refusal import STATUS, Code, Refusal
from pilotage.testing.gateway import chat, running
from pilotage.testing.models import FakeModel
from pilotage.testing.serving import Document, FakeGuard
from pilotage.testing.serving_path import Plan, content, make_path, person

pytestmark = pytest.mark.anyio
BANK = Path(__file__).resolve().parents[2] / "examples" / "northlake-bank"


def frames(text: str) -> list[Any]:
    found = [block.removeprefix("data: ") for block in text.split("\n\n") if block.startswith("data: ")]
    return [msgspec.json.decode(item) if item != "[DONE]" else item for item in found]


async def test_an_answer_has_every_declared_field_and_header() -> None:
    async with running() as up:
        response, body = await up.post(chat(), headers={"X-Request-Id": "abc-1"})
    assert response.status == 200
    own = body["pilotage"]
    assert is_ulid(own["interaction"])
    assert response.headers["x-pilotage-interaction"] == own["interaction"]
    assert response.headers["x-pilotage-release"] == own["release"]
    assert response.headers["x-request-id"] == "abc-1"
    assert response.headers["cache-control"] == "no-store"
    assert set(own) == {
        "interaction", "release", "corpus_version", "space", "arm", "refused", "refusal", "citations", "findings",
        "warnings", "usage_source", "cost_nano", "cached", "draft", "reviews",
    }  # fmt: skip
    message = body["choices"][0]["message"]
    [note] = message["annotations"]
    assert message["content"][note["start"] : note["end"]] == "Ten business days [1]"
    assert note["type"] == "file_citation"
    assert (own["draft"], own["reviews"]) == (False, [])


@pytest.mark.feature("R1.4")
async def test_an_answer_that_people_must_review_is_a_draft_for_whoever_reads_it_by_program() -> None:
    declared = load_workspace(BANK).workflows
    path = make_path(Plan(content=content(stream=StreamMode.TOKEN)))
    workspace = replace(path.serving.workspace, workflows=declared)
    async with running(path=replace(path, serving=replace(path.serving, workspace=workspace))) as up:
        _, body = await up.post(chat())
        _, text = await up.post(chat(stream=True))
    end = frames(text)[-2]
    assert (body["pilotage"]["draft"], end["pilotage"]["draft"]) == (True, True)
    assert body["pilotage"]["reviews"] == end["pilotage"]["reviews"]
    assert body["pilotage"]["reviews"][1] == {
        "id": "credit-decision",
        "when": "An answer is used to decide on an application for credit",
        "role": "reviewer",
    }


async def test_frames_come_in_their_order() -> None:
    plan = Plan(content=content(stream=StreamMode.TOKEN))
    async with running(plan) as up:
        response, text = await up.post(chat(stream=True, stream_options={"include_usage": True}))
    assert response.content_type == "text/event-stream"
    role, *pieces, end, usage, done = frames(text)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(piece["choices"][0]["delta"]["content"] for piece in pieces) == "Ten business days [1]."
    assert end["choices"][0]["finish_reason"] == "stop"
    assert end["pilotage"]["refused"] is False
    assert usage["choices"] == []
    assert done == "[DONE]"


async def test_a_silent_stream_is_kept_alive_and_a_broken_one_never_says_done() -> None:
    async def late() -> None:
        await asyncio.sleep(0.3)

    model = FakeModel(
        gate=lambda: asyncio.ensure_future(late()),
        failure=Unavailable("upstream_timeout", "x"),
        fail_after=1,
    )
    async with running(Plan(model=model, content=content(stream=StreamMode.TOKEN)), keep_alive_s=0.05) as up:
        response, text = await up.post(chat(stream=True))
    assert response.status == 200
    assert ": keep-alive" in text
    assert "[DONE]" not in text
    assert frames(text)[-1]["error"]["code"] == "upstream_timeout"


async def test_a_stream_that_fails_before_its_first_frame_is_an_http_error() -> None:
    async with running(Plan(model=FakeModel(failure=Unavailable("upstream_failed", "x")))) as up:
        response, body = await up.post(chat(stream=True))
    assert response.status == 502
    assert body["error"]["code"] == "upstream_failed"
    assert body["error"]["type"] == "upstream_error"


BAD: list[tuple[object, str, str | None]] = [
    (chat(n=2), "unsupported_parameter", "n"),
    (chat(logprobs=True), "unsupported_parameter", "logprobs"),
    (chat(logit_bias={"1": 2}), "unsupported_parameter", "logit_bias"),
    (chat(tools=[{"type": "function"}]), "unsupported_parameter", "tools"),
    (chat(response_format={"type": "json_object"}), "unsupported_parameter", "response_format"),
    (chat(messages=[]), "invalid_request", "messages"),
    (chat(messages=[{"role": "user", "content": "x"}] * 257), "invalid_request", "messages"),
    (chat(messages=[{"role": "assistant", "content": "x"}]), "invalid_request", "messages[0].role"),
    (chat(messages=[{"role": "tool", "content": "x"}]), "unsupported_parameter", "messages[0].role"),
    (chat(messages=[{"role": "user", "content": None}]), "invalid_request", "messages[0].content"),
    (
        chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        "unsupported_parameter",
        "messages[0].content",
    ),
    (chat(max_tokens=0), "invalid_request", "max_tokens"),
    (chat(max_tokens=1, max_completion_tokens=2), "invalid_request", "max_completion_tokens"),
    (chat(stream="yes"), "invalid_request", "stream"),
    (chat(user="x" * 513), "invalid_request", "user"),
    (chat(pilotage={"as_of": "2026-13-01"}), "invalid_request", "pilotage.as_of"),
    (chat(pilotage={"as_of": "2999-01-01"}), "invalid_request", "pilotage.as_of"),
    (chat(pilotage={"person": "omar"}), "invalid_request", "pilotage"),
    (chat(pilotage={"idempotency_key": "ä"}), "invalid_request", "pilotage.idempotency_key"),
    (chat(model=7), "invalid_request", "model"),
    ([], "invalid_request", None),
    (b'{"a":1,"a":2}', "invalid_json", None),
    (b'{"a":NaN}', "invalid_json", None),
    (b'{"a":', "invalid_json", None),
    (b'\xff{"a":1}', "invalid_json", None),
    (b"[" * 40 + b"]" * 40, "invalid_json", None),
    (b"[" * 500_000, "invalid_json", None),
    (b'{"model":"\\ud800"}', "invalid_json", None),
]


async def test_every_bad_request_is_named() -> None:
    async with running() as up:
        for body, code, param in BAD:
            response, answer = await up.post(body)
            assert (response.status, answer["error"]["code"], answer["error"]["param"]) == (400, code, param), body
            assert answer["error"]["type"] == "invalid_request_error"


async def test_harmless_extras_are_ignored_with_a_warning() -> None:
    asked = chat(
        temperature=0.7,
        brand_new_field=1,
        n=1,
        logprobs=False,
        tools=[],
        response_format={"type": "text"},
        user="u-1",
        metadata={"team": "x"},
        pilotage={"as_of": "2026-01-31"},
    )
    asked["messages"].insert(0, {"role": "developer", "content": [{"type": "text", "text": "Shout."}]})
    async with running() as up:
        response, body = await up.post(asked)
    assert response.status == 200
    assert body["pilotage"]["warnings"] == [
        "system_message_demoted",
        "unknown_field:brand_new_field",
        "parameter_pinned:temperature",
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/embeddings", 404, "not_found"),
        ("GET", "/spaces/UPPER/v1/models", 404, "not_found"),
        ("GET", "/spaces/nowhere/v1/models", 404, "space_not_found"),
        ("GET", "/", 404, "not_found"),
    ],
)
async def test_other_addresses_and_methods_are_refused(method: str, path: str, status: int, code: str) -> None:
    headers = {"Authorization": "Bearer maria"}
    async with running() as up, up.http.request(method, up.url + path, headers=headers) as response:
        body = await response.json()
    assert (response.status, body["error"]["code"]) == (status, code)
    assert "x-pilotage-interaction" in response.headers


async def test_media_types_and_encodings_are_checked() -> None:
    async with running() as up:
        for headers in ({"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}):
            response, body = await up.post(msgspec.json.encode(chat()), headers=headers)
            assert (response.status, body["error"]["code"]) == (415, "unsupported_media_type")


async def test_a_missing_or_wrong_credential_is_a_401_with_its_challenge() -> None:
    async with running() as up:
        for token, code in ((None, "missing_credentials"), ("", "missing_credentials"), ("stolen", "invalid_key")):
            response, body = await up.post(chat(), token=token)
            assert (response.status, body["error"]["code"]) == (401, code)
            assert response.headers["www-authenticate"] == "Bearer"
        async with up.http.get(f"{up.url}/v1/models") as response:
            assert response.status == 401


async def test_no_header_or_field_changes_who_asks() -> None:
    forged = {
        "X-Forwarded-User": "omar",
        "X-Pilotage-Principal": "local|omar",
        "X-Forwarded-For": "10.0.0.1",
        "Forwarded": "for=10.0.0.1",
        "X-Real-IP": "10.0.0.1",
    }
    async with running() as up:
        await up.post(chat(user="local|omar", metadata={"principal": "local|omar", "groups": "board"}), headers=forged)
        while up.path.serving.recorder.waiting:  # noqa: ASYNC110 - the recorder offers a count, not an event
            await asyncio.sleep(0.01)
        [rows] = up.path.sink.rows
        pseudonyms = up.path.serving.pseudonyms
        assert rows.interaction is not None
        assert rows.interaction["principal"] == await pseudonyms.pseudonym_of("local|maria")


PUBLIC = Document(id="errors", text="Errors are resolved within ten business days.")
BOARD = Document(id="merger", text="Errors of the merger are resolved in secret.", acl=frozenset({"group:board"}))
CLAIMS = ("local|omar", "omar", "group:board", "board")


def _quote(request: GenerationRequest) -> str:
    return " ".join(f"{passage.text} [{passage.marker}]" for passage in request.passages)


@pytest.mark.parametrize("stream", [False, True])
async def test_no_header_or_field_changes_what_is_visible(stream: bool) -> None:
    """`omar` sits on the board; whatever `maria` claims beside her credential, she sees her own documents."""
    names = ("User", "Email", "Groups", "Roles", "Preferred-Username")
    headers = {f"{prefix}{name}": claim for prefix in ("X-Forwarded-", "X-Auth-Request-", "X-Remote-", "X-Pilotage-")
               for name, claim in zip(names, CLAIMS * 2, strict=False)}  # fmt: skip
    fields: dict[str, Any] = {
        "user": "local|omar",
        "metadata": {"principal": "local|omar", "groups": "board", "roles": "workspace-admin"},
        "groups": ["board"],
        "principal": "local|omar",
    }
    model = FakeModel(reply=_quote)
    async with running(Plan(documents=[PUBLIC, BOARD], model=model)) as up:
        up.path.authenticator.principals["omar"] = person("omar", "board")
        _, honest = await up.post(chat(stream=stream))
        response, forged = await up.post(chat(stream=stream, **fields), headers={**headers, "Cookie": "session=omar"})
        _, board = await up.post(chat(stream=stream), token="omar")
    assert response.status == 200
    assert [len(request.passages) for request in model.requests] == [1, 1, 2]
    assert "merger" not in f"{honest} {forged}"
    assert "merger" in str(board)


@pytest.mark.parametrize("stream", [False, True])
async def test_no_byte_of_a_blocked_answer_reaches_the_socket(stream: bool) -> None:
    """What a whole-answer check blocks is in no frame, header or body, also when the first pieces were harmless."""
    said = [f"The launch code of bay {number} is XYZZY-{number}. " for number in range(40)]
    plan = Plan(model=FakeModel(pieces=said), guard=FakeGuard(blocked=["XYZZY-39"]))
    async with running(plan) as up:
        response, body = await up.post(chat(stream=stream))
    assert response.status == 200
    assert "launch code" not in f"{body} {dict(response.headers)}"
    assert "I cannot answer that." in str(body)


@pytest.mark.feature("D9.7")
async def test_the_same_paths_work_under_a_space() -> None:
    async with running() as up:
        response, body = await up.post(chat(), path="/spaces/sandbox/v1/chat/completions")
        assert (response.status, body["pilotage"]["space"]) == (200, "sandbox")
        async with up.http.get(f"{up.url}/spaces/sandbox/v1/models", headers={"Authorization": "Bearer maria"}) as got:
            assert [model["id"] for model in (await got.json())["data"]] == ["policy-assistant"]


async def test_an_idempotency_key_in_the_header_replays_the_whole_answer_also_as_a_stream() -> None:
    async with running() as up:
        headers = {"Idempotency-Key": "order-7"}
        _, first = await up.post(chat(stream=False), headers=headers)
        response, again = await up.post(chat(stream=False), headers=headers)
        assert again == first
        assert response.headers["x-pilotage-interaction"] == first["pilotage"]["interaction"]
        response, other = await up.post(chat("other?"), headers=headers)
        assert (response.status, other["error"]["code"]) == (409, "idempotency_mismatch")
        _, one = await up.post(chat(stream=True), headers={"Idempotency-Key": "order-8"})
        _, two = await up.post(chat(stream=True), headers={"Idempotency-Key": "order-8"})
        assert frames(one) == frames(two)


async def test_an_answer_given_again_says_so_whole_and_streamed_and_is_counted() -> None:
    shared = GuardPolicy(version=1, stream=StreamMode.SENTENCE, checks=(), cache=CacheMode.SHARED)
    async with running(Plan(content=content(guard=shared))) as up:
        _, first = await up.post(chat())
        _, whole = await up.post(chat())
        _, text = await up.post(chat(stream=True, stream_options={"include_usage": True}))
        async with up.http.get(f"{up.url}/metrics") as response:
            counted = (await response.text()).splitlines()
    assert (first["pilotage"]["cached"], first["usage"]["total_tokens"] > 0) == (False, True)
    assert (whole["pilotage"]["cached"], whole["usage"]["total_tokens"]) == (True, 0)
    assert whole["choices"] == first["choices"]
    assert whole["pilotage"]["interaction"] != first["pilotage"]["interaction"]
    role, piece, end, usage, done = frames(text)
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert piece["choices"][0]["delta"]["content"] == first["choices"][0]["message"]["content"]
    assert end["choices"][0]["delta"]["annotations"] == first["choices"][0]["message"]["annotations"]
    assert (end["pilotage"]["cached"], usage["usage"]["total_tokens"], done) == (True, 0, "[DONE]")
    assert 'pilotage_answer_cache_total{result="hit"} 2.0' in counted
    assert 'pilotage_answer_cache_total{result="miss"} 1.0' in counted
    assert "pilotage_answer_cache_entries 1.0" in counted
    assert f"pilotage_answer_cache_bytes {float(up.path.serving.cache.bytes)}" in counted


async def test_open_streams_and_waiting_records_are_counted_as_they_are_now() -> None:
    async def counted() -> dict[str, float]:
        async with up.http.get(f"{up.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        names = ("pilotage_streams", "pilotage_records_waiting")
        return {name: float(line.split()[1]) for name in names for line in lines if line.startswith(f"{name} ")}

    async with running(Plan(flush_s=1.0)) as up:
        assert await counted() == {"pilotage_streams": 0, "pilotage_records_waiting": 0}
        for _ in range(2):
            assert up.path.serving.slots.take("maria") is None
        await up.post(chat())
        assert await counted() == {"pilotage_streams": 2, "pilotage_records_waiting": 1}
        up.path.serving.slots.give_back("maria")
        await up.path.serving.recorder.settle()
        assert await counted() == {"pilotage_streams": 1, "pilotage_records_waiting": 0}


@pytest.mark.feature("D13.77")
async def test_health_and_metrics_answer_loopback_without_a_key() -> None:
    async with running() as up:
        await up.post(chat())
        await up.post(chat(), token="stolen")
        for path in ("/healthz", "/readyz"):
            async with up.http.get(up.url + path) as response:
                assert response.status == 200
        async with up.http.get(f"{up.url}/metrics") as response:
            text = await response.text()
        assert 'outcome="ok"' in text
        assert 'pilotage_errors_total{code="invalid_key"} 1.0' in text
        assert "maria" not in text
        up.gateway.health.is_draining = True
        async with up.http.get(f"{up.url}/readyz") as response:
            assert response.status == 503


@pytest.mark.feature("D9.16")
def test_every_code_has_a_status_a_type_and_a_wait_where_one_is_due() -> None:
    assert set(STATUS) == set(Code)
    for code in Code:
        refusal = Refusal(code=code, message="x")
        assert (refusal.wait_s is not None) == (refusal.status in {429, 503})
    assert Refusal(code=Code.INVALID_KEY, message="x").type == "authentication_error"
    assert Refusal(code=Code.IP_NOT_ALLOWED, message="x").type == "permission_error"
    assert Refusal(code=Code.RATE_LIMITED, message="x").type == "rate_limit_error"
    assert Refusal(code=Code.INTERNAL, message="x").type == "server_error"


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b'{"a":1,"a":2}', 7),
        ('{"é":{"b":1},"c":{"b":1,"b":2}}'.encode(), 25),
        (b'{"a" 1}', 5),
        (b"\xff", 0),
        (b'{"a":NaN}', 5),
        (b'{"a":"' + b"[" * 50 + b'","b":' + b"[" * 40 + b"]" * 40 + b"}", 93),
    ],
)
def test_invalid_json_names_its_byte(data: bytes, offset: int) -> None:
    with pytest.raises(InvalidJsonError) as caught:
        decode(data)
    assert caught.value.offset == offset

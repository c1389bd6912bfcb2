"""The control plane over HTTP: the command line's commands, with the same reasons."""

from __future__ import annotations

import asyncio
import json
import threading
import tracemalloc
from collections.abc import Iterator, MutableMapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.api.client import Client
from tests.console.conftest import Bank, bank

from pilotage.api.app import CONCURRENT, ELSEWHERE, MAX_BODY, RETRY_AFTER_S, Api
from pilotage.api.openapi import document, document_text
from pilotage.api.operations import releases
from pilotage.api.table import OPERATIONS
from pilotage.app import Joined, make_api_services
from pilotage.cli.main import make_app
from pilotage.console.site import ENTRIES
from pilotage.control.create_key import IssuedKey, KeyRequest, create_key
from pilotage.control.evidence_reports import list_evidence
from pilotage.core.digest import digest_of
from pilotage.core.ids import PersonId
from pilotage.core.reason import Reason, Refusal
from pilotage.identity.service_key import KeyKind, ServiceKey
from pilotage.serving.authenticator import BearerAuthenticator
from pilotage.serving.uploads import IN_MEMORY, Uploads
from pilotage.store.service_keys import find_key

__all__ = ["bank"]
ROOT = Path(__file__).resolve().parents[2]


class _Keys:
    def __init__(self, found: Bank) -> None:
        self._bank = found

    async def find(self, key: str) -> ServiceKey | None:
        with self._bank.instance.engine.connect() as connection:
            return find_key(connection, key)


@pytest.fixture(scope="module")
def api(bank: Bank) -> Api:
    authenticator = BearerAuthenticator(bank.instance.workspace, keys=_Keys(bank))
    return Api(make_api_services(bank.instance), authenticator, bank.instance.clock)


def client(bank: Bank, api: Api, name: str) -> Client:
    return Client(api=api, key=bank.key(name).text)


def test_tools_that_do_not_answer_keep_nobody_else_from_being_served(
    bank: Bank, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, waiting = threading.Event(), threading.Semaphore(0)

    def fetch(*_: object, **__: object) -> Refusal:
        waiting.release()
        assert answers.wait(60)
        return Refusal(reasons=(Reason(code="LATE", text="At last."),))

    monkeypatch.setattr(releases, "fetch_evidence", fetch)
    caller = client(bank, api, "maria.chen")
    body = json.dumps({"source": "quality", "item": "shop"}).encode()

    async def story() -> tuple[int, list[int]]:
        asking = [
            asyncio.create_task(caller.raw("POST", "/api/v1/releases/12345678/evidence/fetch", body))
            for _ in range(CONCURRENT + ELSEWHERE)
        ]
        for _ in range(ELSEWHERE):
            assert await asyncio.to_thread(waiting.acquire, timeout=60)
        try:
            status, _, _ = await asyncio.wait_for(caller.raw("GET", "/api/v1/releases", b""), 60)
        finally:
            answers.set()
        return status, [one[0] for one in await asyncio.gather(*asking)]

    assert asyncio.run(story()) == (200, [409] * (CONCURRENT + ELSEWHERE))


@pytest.mark.feature("D11.25")
def test_the_checked_in_document_is_the_one_that_is_served() -> None:
    text = (ROOT / "docs" / "reference" / "openapi.json").read_text()
    assert text == document_text(OPERATIONS), (
        'run: python -c "from pilotage.api.openapi import document_text; from pilotage.api.table import OPERATIONS;'
        " open('docs/reference/openapi.json', 'w').write(document_text(OPERATIONS))\""
    )


def test_every_operation_is_a_command_of_the_command_line() -> None:
    known = set(_commands(typer.main.get_command(make_app(Joined()))))
    assert {one.command for one in OPERATIONS} <= known
    assert len({one.id for one in OPERATIONS}) == len(OPERATIONS)
    bodies = {one.takes for one in OPERATIONS if one.takes is not None}
    assert len({one.__name__ for one in bodies}) == len(bodies)  # the document describes a body by its name


def _commands(command: Any, *above: str) -> Iterator[str]:
    for name, inner in getattr(command, "commands", {}).items():
        yield " ".join((*above, name))
        yield from _commands(inner, *above, name)


def test_everything_the_console_does_can_be_done_here() -> None:
    here = {one.command for one in OPERATIONS} | {"ask"}  # asking is the gateway's
    assert {one.command for one in ENTRIES if one.command not in {"", "-"}} <= here


def test_the_document_refers_to_nothing_that_it_does_not_hold() -> None:
    found = document(OPERATIONS)
    references = {one for one in json.dumps(found).split('"') if one.startswith("#/components/schemas/")}
    assert {one.rpartition("/")[2] for one in references} <= set(found["components"]["schemas"])
    assert all(path.startswith("/api/v1/") for path in found["paths"])


@pytest.mark.store
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.id)
def test_nothing_is_open_without_a_key(api: Api, operation: Any) -> None:
    path = "/api/v1" + operation.path.replace("{", "x").replace("}", "")
    for key, code in ((None, "MISSING_CREDENTIALS"), ("plt_sk_nonsense", "INVALID_KEY")):
        status, body = Client(api=api, key=key).send(operation.method, path)
        assert (status, body["error"]["code"]) == (401, code)


@pytest.mark.store
def test_a_release_is_listed_shown_and_verified(bank: Bank, api: Api) -> None:
    caller = client(bank, api, "maria.chen")
    status, listed = caller.get("/api/v1/releases?workflow=policy-assistant")
    assert (status, [one["digest"] for one in listed["releases"]]) == (200, [bank.release])
    status, shown = caller.get(f"/api/v1/releases/{bank.release[7:20]}")
    assert (status, shown["digest"]) == (200, bank.release)
    status, verified = caller.post(f"/api/v1/releases/{bank.release[7:20]}/verification")
    assert (status, verified["verified"]) == (200, True)
    status, gates = caller.get(f"/api/v1/releases/{bank.release[7:20]}/gates")
    assert status == 200
    assert {one["gate"] for one in gates["gates"]} == set(bank.instance.workspace.gates)


@pytest.mark.store
def test_the_wrong_role_is_refused_with_the_roles_that_may(bank: Bank, api: Api) -> None:
    status, body = client(bank, api, "tess.murray").post("/api/v1/releases", {"workflow": "policy-assistant"})
    assert (status, body["error"]["code"]) == (403, "NOT_PERMITTED")
    assert "ml-engineer" in body["error"]["message"]
    status, body = client(bank, api, "maria.chen").get("/api/v1/ledger/entries")
    assert (status, body["error"]["code"]) == (403, "NOT_PERMITTED")
    assert client(bank, api, "anita.rao").get("/api/v1/ledger/entries?most=3")[0] == 200


@pytest.mark.store
@pytest.mark.parametrize(
    ("method", "path", "body", "status", "word"),
    [
        ("POST", "/api/v1/releases", b'{"workflow": 5}', 422, "workflow"),
        ("POST", "/api/v1/releases", b'{"work', 400, "truncated"),
        ("POST", "/api/v1/releases", b'{"workflow": "policy-assistant", "nottes": "x"}', 422, "nottes"),
        ("GET", "/api/v1/corpora/policies/diff?a=one", b"", 422, "a"),
        ("GET", "/api/v1/corpora/nothing/versions", b"", 404, "policies"),
        ("POST", "/api/v1/corpora/policies/versions/x/acceptance", b"{}", 404, "version"),
        ("DELETE", "/api/v1/releases", b"", 405, "GET"),
        ("PATCH", "/api/v1/releases/x/gates/cab", b'{"status": "approved"}', 405, "FIELD_COMPUTED"),
        ("PUT", "/api/v1/releases/x", b'{"state": "sealed"}', 405, "FIELD_COMPUTED"),
        ("POST", "/api/v1/releases", b'{"workflow": "policy-assistant", "state": "sealed"}', 422, "FIELD_COMPUTED"),
        ("GET", "/api/v1/nothing", b"", 404, "openapi.json"),
        ("POST", "/api/v1/rollouts/none/pause", b"{}", 404, "rollout"),
        ("POST", "/api/v1/cab-sessions", b'{"starts_at": "2026-11-26T14:00:00"}', 422, "timezone"),
    ],
)
def test_a_mistake_is_answered_with_what_to_write(  # noqa: PLR0917 - the columns of the table
    bank: Bank,
    api: Api,
    method: str,
    path: str,
    body: bytes,
    status: int,
    word: str,
) -> None:
    found, answer = client(bank, api, "maria.chen").send(method, path, body)
    assert found == status, answer
    assert word in json.dumps(answer)


@pytest.mark.store
def test_a_service_needs_the_scope_of_the_command(bank: Bank, api: Api) -> None:
    request = KeyRequest(
        kind=KeyKind.SERVICE, name="ci", owner=PersonId("maria.chen"), scopes=("read", "control:evidence-add")
    )
    issued = create_key(bank.instance, actor=bank.person("kwame.asante"), request=request)
    assert isinstance(issued, IssuedKey)
    caller = Client(api=api, key=issued.text)
    assert caller.get("/api/v1/releases")[0] == 200
    status, body = caller.post("/api/v1/releases", {"workflow": "policy-assistant"})
    assert (status, body["error"]["code"]) == (403, "SCOPE_MISSING")
    assert "control:release-seal" in body["error"]["message"]
    digest = bank.release[7:20]
    status, body = caller.send("POST", f"/api/v1/releases/{digest}/evidence?name=x.bin", b"nothing known")
    assert status in {200, 409}, body


@pytest.mark.store
def test_a_service_pushes_the_kinds_of_evidence_its_key_lists_and_no_others(bank: Bank, api: Api) -> None:
    scopes = ("read", "control:evidence-add", "evidence:tests.*")
    request = KeyRequest(kind=KeyKind.SERVICE, name="pushes", owner=PersonId("maria.chen"), scopes=scopes)
    issued = create_key(bank.instance, actor=bank.person("kwame.asante"), request=request)
    assert isinstance(issued, IssuedKey)
    caller = Client(api=api, key=issued.text)
    report = b'<testsuite name="s" tests="1"><testcase classname="c" name="pushed"/></testsuite>'
    path = f"/api/v1/releases/{bank.release[7:20]}/evidence?name=r.xml&suite=pushed"
    status, body = caller.send("POST", f"{path}&kind=tests.smoke", report)
    assert (status, body["accepted"], body["trust"]) == (200, True, "pushed"), body
    scan = b'{"dependencies": [{"name": "a", "version": "1", "vulns": []}], "fixes": []}'
    status, body = caller.send("POST", f"{path}&kind=scan.deps", scan)
    assert (status, body["accepted"], body["reason"]["code"]) == (200, False, "EV_TRUST"), body


@pytest.mark.store
def test_an_attestation_that_is_none_is_refused(bank: Bank, api: Api) -> None:
    path = f"/api/v1/releases/{bank.release[7:20]}/evidence?name=r.xml&kind=tests.smoke&attestation="
    report = b'<testsuite name="s" tests="1"><testcase classname="c" name="signed"/></testsuite>'
    caller = client(bank, api, "maria.chen")
    status, body = caller.send("POST", f"{path}bm9uZQ==", report)
    assert (status, body["accepted"], body["reason"]["code"]) == (200, False, "EV_SIGNATURE"), body
    status, body = caller.send("POST", f"{path}not_base64!", report)
    assert (status, body["error"]["code"]) == (422, "ATTESTATION"), body


@pytest.mark.store
@pytest.mark.parametrize(
    "path", ["/api/v1/releases/x/evidence?name=r.xml", "/api/v1/golden/imports?workflow=x&form=x&asker=x"]
)
def test_who_may_send_no_file_is_told_so_before_it_is_read(bank: Bank, api: Api, path: str) -> None:
    status, body = client(bank, api, "anita.rao").begin("POST", path)
    assert (status, body["error"]["code"]) == (403, "NOT_PERMITTED")


@pytest.mark.store
def test_a_large_file_is_kept_whole_and_one_cut_short_not_at_all(bank: Bank, api: Api) -> None:
    caller, path = client(bank, api, "maria.chen"), f"/api/v1/releases/{bank.release[7:20]}/evidence?name=large.bin"
    data = b"0123456789" * 300_000
    status, body = caller.send("POST", path, data)
    assert (status, body["sha256"]) == (200, digest_of(data)), body
    before = len(list_evidence(bank.instance, bank.release))
    for pieces in ((b"short",), (data,)):
        status, body = caller.begin("POST", path, *pieces, leaves=True)
        assert (status, body["error"]["code"]) == (400, "CLIENT_GONE")
    assert len(list_evidence(bank.instance, bank.release)) == before


@pytest.mark.store
def test_more_uploads_than_are_taken_at_a_time_are_refused_with_when_to_try_again(
    bank: Bank, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, path = client(bank, api, "maria.chen"), f"/api/v1/releases/{bank.release[7:20]}/evidence?name=busy.bin"
    for uploads, status, code in (
        (Uploads(at_once=0), 503, "UPLOADS_BUSY"),
        (Uploads(of_one=0), 429, "UPLOADS_OWN_BUSY"),
    ):
        monkeypatch.setattr(api, "_uploads", uploads)
        found, headers, data = asyncio.run(caller.raw("POST", path, b"x" * (IN_MEMORY + 1)))
        assert (found, json.loads(data)["error"]["code"]) == (status, code)
        assert dict(headers)[b"retry-after"] == RETRY_AFTER_S
        assert caller.send("POST", path, b"small")[0] == 200


@pytest.mark.store
def test_a_body_larger_than_its_operation_reads_is_refused(
    bank: Bank, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, evidence = client(bank, api, "maria.chen"), f"/api/v1/releases/{bank.release[7:20]}/evidence?name=x"
    monkeypatch.setattr("pilotage.api.app.MAX_UPLOAD", 2 * IN_MEMORY)
    for path, most, code in (
        (evidence, 2 * IN_MEMORY, "EV_TOO_LARGE"),
        ("/api/v1/releases", MAX_BODY, "BODY_TOO_LARGE"),
    ):
        status, body = caller.send("POST", path, b"x" * (most + 1))
        assert (status, body["error"]["code"]) == (413, code)


@pytest.mark.store
def test_half_a_gigabyte_is_refused_over_http_at_64_mib_and_held_nowhere_in_memory(bank: Bank, api: Api) -> None:
    caller, path = client(bank, api, "maria.chen"), f"/api/v1/releases/{bank.release[7:20]}/evidence?name=large.xml"
    piece, sent = b" " * 2**20, count()

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": piece, "more_body": next(sent) < 500}

    before = list_evidence(bank.instance, bank.release)
    tracemalloc.start()
    try:
        status, _, body = asyncio.run(caller.raw("POST", path, b"", receive))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (413, "EV_TOO_LARGE")
    assert "67,108,864 bytes" in error["message"]
    assert next(sent) == 65, "nothing is read beyond the limit"
    assert peak < 16 * 2**20
    assert [one["id"] for one in list_evidence(bank.instance, bank.release)] == [one["id"] for one in before]


@pytest.mark.store
def test_a_key_of_ones_own_is_made_and_revoked(bank: Bank, api: Api) -> None:
    caller = client(bank, api, "wei.zhang")
    status, made = caller.post("/api/v1/keys", {})
    assert (status, made["for"]) == (200, "wei.zhang")
    assert {one["name"] for one in caller.get("/api/v1/keys")[1]["keys"]} == {"wei.zhang"}
    assert caller.post(f"/api/v1/keys/{made['id']}/revocation")[0] == 200
    assert Client(api=api, key=made["key"]).get("/api/v1/keys")[0] == 401


def test_the_file_behind_evidence_comes_as_bytes_that_nothing_renders(bank: Bank, api: Api) -> None:
    caller = client(bank, api, "maria.chen")
    item = next(one for one in list_evidence(bank.instance, bank.release) if one["accepted"])
    status, headers, body = asyncio.run(caller.raw("GET", f"/api/v1/evidence/{item['id']}/file", b""))
    assert (status, digest_of(body)) == (200, item["sha256"])
    told = dict(headers)
    assert told[b"content-type"] == b"application/octet-stream"
    assert told[b"content-disposition"].startswith(b"attachment; filename*=")
    assert told[b"content-length"] == str(len(body)).encode()
    assert told[b"x-content-type-options"] == b"nosniff"
    status, problem = caller.get("/api/v1/evidence/01UNKNOWN/file")
    assert (status, problem["error"]["code"]) == (404, "EVIDENCE_UNKNOWN")
    assert Client(api=api, key=None).get(f"/api/v1/evidence/{item['id']}/file")[0] == 401

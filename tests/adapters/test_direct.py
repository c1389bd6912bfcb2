"""What leaves goes straight to its address, whatever proxy the environment names (serving.md 5.8)."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

from pilotage.adapters.direct import direct_opener
from pilotage.adapters.evidence_sources.rest import RestClient
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.adapters.outward import outward_session
from pilotage.adapters.webhook import send_webhook
from pilotage.release.model import ModelSettings, PinKind, Provider

SOURCE = Path(__file__).resolve().parents[2] / "src" / "pilotage"
MAKERS = {"urlopen", "build_opener", "ClientSession", "HTTPConnection", "HTTPSConnection", "create_connection"}
VARIABLES = ("http_proxy", "https_proxy", "all_proxy")


class Place:
    """A server on loopback that answers `{}` and keeps the request lines it was sent."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.requestline)
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_CONNECT = do_GET  # noqa: N815 - names of http.server

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, name="place", daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A proxy that the environment names for everything."""
    made = Place()
    for name in VARIABLES:
        monkeypatch.setenv(name, made.url)
        monkeypatch.setenv(name.upper(), made.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    yield made
    made.close()


def opens(url: str) -> None:
    with direct_opener().open(f"{url}/a") as answer:
        assert answer.status == 200


def reads(url: str) -> None:
    assert RestClient(url, token=None, root=Path("/")).get("a").value == {}


def notifies(url: str) -> None:
    send_webhook(f"{url}/a", {}, key="k")


def asks(url: str) -> None:
    settings = ModelSettings(
        provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="2024-08-06", base_url=url, path="/a"
    )

    async def story() -> None:
        model = OpenAICompatibleModel(settings, root=Path("/"))
        await model.probe()
        await model.close()

    asyncio.run(story())


def fetches(url: str) -> None:
    async def story() -> None:
        async with (
            outward_session(aiohttp.ClientTimeout(total=30), ("127.0.0.0/8",)) as session,
            session.get(f"{url}/a", allow_redirects=False) as answer,
        ):
            assert answer.status == 200

    asyncio.run(story())


@pytest.mark.parametrize("call", [opens, reads, notifies, asks, fetches])
def test_no_variable_of_the_environment_sends_a_request_to_a_proxy(
    place: Place, proxy: Place, call: Callable[[str], None]
) -> None:
    call(place.url)
    assert (len(place.seen), proxy.seen) == (1, [])
    assert place.seen[0].split(" ")[1] == "/a"


def _is_made(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
    return name in MAKERS


def test_every_client_of_the_outside_is_made_in_one_place() -> None:
    sources = [path for path in SOURCE.rglob("*.py") if path.parent != SOURCE / "testing"]  # fakes speak to fakes
    makers = {path for path in sources for node in ast.walk(ast.parse(path.read_text())) if _is_made(node)}
    assert makers == {SOURCE / "adapters" / "direct.py"}

"""What leaves goes straight to its address, whatever proxy the environment names (serving.md 5.8)."""

from __future__ import annotations

import ast
import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

from pilotage.adapters.direct import direct_connection
from pilotage.adapters.evidence_sources.rest import RestClient, Service
from pilotage.adapters.models.http1 import Http1Upstream
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.adapters.notify.webhook import send_webhook
from pilotage.adapters.outward import outward_session
from pilotage.core.errors import Unavailable
from pilotage.core.pins import PinKind
from pilotage.core.urls import place_of
from pilotage.guard.policy import EgressRule
from pilotage.release.generation import GenerationRequest, Message
from pilotage.release.model import ModelSettings, Provider

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


def connects(url: str) -> None:
    connection = direct_connection(*place_of(url), is_tls=False, timeout_s=30)
    connection.request("GET", "/a")
    assert connection.getresponse().status == 200
    connection.close()


def reads(url: str) -> None:
    assert RestClient(Service(url=url, token=None, root=Path("/"))).get("a").value == {}


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
            outward_session(url, aiohttp.ClientTimeout(total=30), ("127.0.0.0/8",)) as session,
            session.get(f"{url}/a", allow_redirects=False) as answer,
        ):
            assert answer.status == 200

    asyncio.run(story())


@pytest.mark.parametrize("call", [connects, reads, notifies, asks, fetches])
def test_no_variable_of_the_environment_sends_a_request_to_a_proxy(
    place: Place, proxy: Place, call: Callable[[str], None]
) -> None:
    call(place.url)
    assert (len(place.seen), proxy.seen) == (1, [])
    assert place.seen[0].split(" ")[1] == "/a"


def test_an_address_of_a_family_that_this_machine_does_not_speak_is_passed_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel without IPv6 refuses the socket itself, and names still resolve to both families."""
    port = place.server.server_port
    tried: list[int] = []

    class OldKernel(socket.socket):
        def __init__(self, family: int = -1, *parts: int, **more: object) -> None:
            tried.append(family)
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *parts, **more)  # type: ignore[arg-type]

    places = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    monkeypatch.setattr(socket, "socket", OldKernel)
    connects(place.url)
    assert tried[:2] == [socket.AF_INET6, socket.AF_INET]
    assert place.seen == ["GET /a HTTP/1.1"]


ADDRESSES = {"inside.example": "10.1.2.3", "shared.example": "100.64.0.1", "metadata.example": "169.254.169.254"}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names with an address that is not public beside one that is allowed; nothing may be connected to."""
    asked: list[str] = []

    def found(host: str, port: object, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(2, 1, 6, "", (address, port)) for address in ("127.0.0.1", ADDRESSES[host])]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket.socket, "connect", _never)
    return asked


def _never(_: socket.socket, place: object) -> None:
    message = f"a connection to {place} was opened"
    raise AssertionError(message)


def asks_inside(host: str) -> None:
    settings = ModelSettings(
        provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="2024-08-06", base_url=f"https://{host}"
    )
    rule = EgressRule(host=host, port=443, purpose="models", allow_private=("127.0.0.0/8",))

    async def story() -> None:
        model = OpenAICompatibleModel(settings, root=Path("/"), egress=(rule,))
        try:
            async for _ in model.generate(
                GenerationRequest(messages=(Message(role="user", content="?"),), question="?", passages=())
            ):
                pass
        finally:
            await model.close()

    asyncio.run(story())


def reads_inside(host: str) -> None:
    service = Service(url=f"https://{host}", token=None, root=Path("/"), allow_private=("127.0.0.0/8",))
    RestClient(service).get("a")


def notifies_inside(host: str) -> None:
    send_webhook(f"https://{host}/a", {}, key="k", allow_private=("127.0.0.0/8",))


@pytest.mark.parametrize("host", list(ADDRESSES))
@pytest.mark.parametrize("call", [asks_inside, reads_inside, notifies_inside])
def test_one_address_that_is_not_public_keeps_a_name_from_being_reached(
    call: Callable[[str], None], host: str, names: list[str]
) -> None:
    with pytest.raises(Unavailable) as refused:
        call(host)
    assert refused.value.code in {"upstream_failed", "source_place", "CHANNEL_PLACE"}
    assert set(names) == {host}


@pytest.mark.parametrize("host", ["tools..example", "a" * 64 + ".example"], ids=["empty label", "long label"])
@pytest.mark.parametrize("call", [reads_inside, notifies_inside])
def test_what_is_no_name_at_all_is_not_reached(call: Callable[[str], None], host: str) -> None:
    with pytest.raises(Unavailable) as refused:
        call(host)
    assert refused.value.code in {"source_unreachable", "CHANNEL_DOWN"}


def test_a_network_that_the_release_names_is_reached(place: Place) -> None:
    rule = EgressRule(
        host="127.0.0.2", port=place.server.server_port, purpose="models", allow_private=("127.0.0.2/32",)
    )
    upstream = Http1Upstream(f"http://127.0.0.2:{rule.port}/a", 2.0, rule.allow_private)

    async def story() -> int:
        try:
            response = await upstream.get({}, within_s=10.0)
            response.end()
            return response.status
        finally:
            await upstream.close()

    with ThreadingHTTPServer(("127.0.0.2", rule.port), place.server.RequestHandlerClass) as there:
        threading.Thread(target=there.serve_forever, name="there", daemon=True).start()
        try:
            assert asyncio.run(story()) == 200
        finally:
            there.shutdown()


@pytest.mark.feature("R2.5")
@pytest.mark.parametrize(
    "rules",
    [
        (),
        (EgressRule(host="models.example", port=8443, purpose="models"),),
        (EgressRule(host="other.example", port=443, purpose="models"),),
        (EgressRule(host="models.example", port=443, purpose="tools"),),
    ],
    ids=["no rule", "another port", "another host", "another purpose"],
)
def test_a_model_that_the_release_does_not_list_is_not_called(rules: tuple[EgressRule, ...]) -> None:
    settings = ModelSettings(
        provider=Provider.OPENAI,
        model="m",
        pin_kind=PinKind.DATED,
        pin="2024-08-06",
        base_url="https://models.example/v1",
    )
    with pytest.raises(Unavailable, match=r"models\.example:443, which egress does not list") as refused:
        OpenAICompatibleModel(settings, root=Path("/"), egress=rules)
    assert refused.value.code == "model_unconfigured"
    listed = EgressRule(host="models.example", port=443, purpose="models")
    OpenAICompatibleModel(settings, root=Path("/"), egress=(*rules, listed))


def _is_made(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
    return name in MAKERS


def test_every_client_of_the_outside_is_made_in_one_place() -> None:
    sources = [path for path in SOURCE.rglob("*.py") if path.parent != SOURCE / "testing"]  # fakes speak to fakes
    makers = {path for path in sources for node in ast.walk(ast.parse(path.read_text())) if _is_made(node)}
    assert makers == {SOURCE / "adapters" / "direct.py"}

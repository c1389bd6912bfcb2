"""A proxy declared for Pilotage carries every call to the outside, and sees nothing of it (serving.md 5.8)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import pytest
from tests.adapters.certificates import self_signed

from pilotage.adapters import direct
from pilotage.adapters.direct import direct_connection
from pilotage.adapters.evidence_sources.rest import RestClient, Service
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.adapters.notify.webhook import send_webhook
from pilotage.adapters.outward import outward_session
from pilotage.cli.workspace import write_template
from pilotage.control.open_instance import Opening, open_instance
from pilotage.core.errors import Unavailable, UsageError
from pilotage.core.pins import PinKind
from pilotage.core.proxy import declared_proxy
from pilotage.guard.policy import EgressRule
from pilotage.release.generation import GenerationRequest, Message
from pilotage.release.model import ModelSettings, Provider

HOST = "tools.bank.example"
GIVEN = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"
NO_DIRECT_CALL = "the host's name was looked up here"


class Tool:
    """A TLS server on loopback for `HOST`; it answers `{}` and keeps what it was asked."""

    def __init__(self, file: Path) -> None:
        self.seen: list[str] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(f"{self.requestline} {self.headers.get('Authorization', '')}".strip())
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_GET  # noqa: N815 - a name of http.server

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, name="tool", daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class TestProxy:
    """Answers CONNECT with `answer`, then joins the caller to `port`, whatever the host's name. Keeps the heads."""

    __test__ = False

    def __init__(self, port: int, answer: bytes = GIVEN) -> None:
        self.heads: list[str] = []
        self.passed = bytearray()
        self._port, self._answer = port, answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, name="proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(caller,), name="carried", daemon=True).start()

    def _carry(self, caller: socket.socket) -> None:
        with caller:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += caller.recv(1)
            self.heads.append(head.decode())
            caller.sendall(self._answer)
            if self._answer != GIVEN:
                return
            with socket.create_connection(("127.0.0.1", self._port)) as host:
                back = threading.Thread(target=self._pump, args=(host, caller), name="back", daemon=True)
                back.start()
                self._pump(caller, host)
                back.join(10)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65_536):
                self.passed += piece
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tool]:
    """The host that all calls go to. Its name means nothing here: only the proxy's address is looked up."""
    file = self_signed(HOST, tmp_path / "tool.pem")
    context = ssl.create_default_context(cafile=str(file))
    monkeypatch.setattr(direct, "verifying", lambda: context)
    asked = socket.getaddrinfo

    def found(host: str, *rest: object, **more: object) -> object:
        if host not in {"127.0.0.1", "localhost"}:
            raise AssertionError(NO_DIRECT_CALL)
        return asked(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    made = Tool(file)
    yield made
    made.close()


def connects(host: str) -> None:
    connection = direct_connection(host, 443, is_tls=True, timeout_s=30)
    connection.request("GET", "/a", headers={"Authorization": "Bearer secret-1"})
    assert connection.getresponse().status == 200
    connection.close()


def reads(host: str) -> None:
    assert RestClient(Service(url=f"https://{host}", token=None, root=Path("/"))).get("a").value == {}


def notifies(host: str) -> None:
    send_webhook(f"https://{host}/a", {}, key="k")


def asks(host: str) -> None:
    settings = ModelSettings(
        provider=Provider.OPENAI, model="m", pin_kind=PinKind.DATED, pin="1", base_url=f"https://{host}", path="/a"
    )
    rule = EgressRule(host=host, port=443, purpose="models")

    async def story() -> None:
        model = OpenAICompatibleModel(settings, root=Path("/"), egress=(rule,))
        try:
            request = GenerationRequest(messages=(Message(role="user", content="?"),), question="?", passages=())
            async for _ in model.generate(request):
                pass
        except Unavailable as error:  # `{}` is no answer of a model, but it came from the host
            if "spoke no" not in str(error) and "answer" not in str(error):
                raise
        finally:
            await model.close()

    asyncio.run(story())


def fetches(host: str) -> None:
    async def story() -> None:
        async with (
            outward_session(f"https://{host}/a", aiohttp.ClientTimeout(total=30)) as session,
            session.get(f"https://{host}/a", allow_redirects=False) as answer,
        ):
            assert answer.status == 200

    asyncio.run(story())


CALLS = pytest.mark.parametrize("call", [connects, reads, notifies, asks, fetches])


@CALLS
@pytest.mark.parametrize("login", [False, True], ids=["open", "with a login"])
def test_a_declared_proxy_carries_a_call_in_a_tunnel_to_the_host_itself(
    tool: Tool, call: Callable[[str], None], login: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestProxy(tool.port) as proxy:
        user = "build:p%40ss@" if login else ""
        monkeypatch.setenv("PILOTAGE_PROXY", f"http://{user}{proxy.address}")
        call(HOST)
    [head] = proxy.heads
    assert head.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n")
    assert ("Proxy-Authorization: Basic YnVpbGQ6cEBzcw==\r\n" in head) == login
    assert ("roxy-" in head) == login
    [seen] = tool.seen
    assert seen.split(" ")[1] == "/a"
    assert b"HTTP/1.1" not in proxy.passed  # long enough never to stand in what is encrypted by chance
    assert b"secret-1" not in proxy.passed


@CALLS
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: ",
        b"",
        b"HTTP/1.1 502 Bad Gateway\r\nX: " + b"a" * 40_000,
    ],
    ids=["refused", "wants a login", "no proxy", "breaks off", "closes", "endless head"],
)
def test_what_the_proxy_does_not_let_through_is_not_reached_another_way(
    tool: Tool, call: Callable[[str], None], answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestProxy(0, answer) as proxy:
        monkeypatch.setenv("PILOTAGE_PROXY", f"http://{proxy.address}")
        with pytest.raises((OSError, Unavailable, aiohttp.ClientError)) as refused:
            call(HOST)
    assert NO_DIRECT_CALL not in str(refused.value)
    assert proxy.heads
    assert tool.seen == []


@pytest.mark.parametrize(
    ("call", "code"), [(reads, "source_proxy"), (notifies, "CHANNEL_PROXY")], ids=["source", "channel"]
)
def test_a_refusal_of_the_proxy_says_what_to_write(
    tool: Tool, call: Callable[[str], None], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestProxy(tool.port, b"HTTP/1.1 407 Who are you\r\n\r\n") as proxy:
        monkeypatch.setenv("PILOTAGE_PROXY", f"http://{proxy.address}")
        with pytest.raises(Unavailable, match=r"\(407\): write USER:PASSWORD@ in PILOTAGE_PROXY") as refused:
            call(HOST)
    assert refused.value.code == code


@CALLS
def test_a_host_of_another_name_than_its_certificate_is_refused_behind_a_proxy_too(
    tool: Tool, call: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestProxy(tool.port) as proxy:
        monkeypatch.setenv("PILOTAGE_PROXY", f"http://{proxy.address}")
        with pytest.raises((OSError, Unavailable, aiohttp.ClientError)):
            call("other.bank.example")
    assert tool.seen == []


@CALLS
@pytest.mark.parametrize("host", ["10.1.2.3", "169.254.169.254", "[fd00:ec2::254]"])
def test_a_written_address_that_is_not_public_never_comes_to_the_proxy(
    tool: Tool, call: Callable[[str], None], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TestProxy(tool.port) as proxy:
        monkeypatch.setenv("PILOTAGE_PROXY", f"http://{proxy.address}")
        with pytest.raises((OSError, Unavailable, aiohttp.ClientError)):
            call(host.strip("[]") if call == connects else host)
    assert proxy.heads == []


@pytest.mark.parametrize(
    ("excepted", "host", "carried"),
    [
        ("", "models.bank.example", True),
        ("", "localhost", False),
        ("", "127.0.0.1", False),
        ("bank.example", "models.bank.example", False),
        ("bank.example", "Models.Bank.Example.", False),
        ("*.bank.example", "bank.example", False),
        (".bank.example", "otherbank.example", True),
        ("10.0.0.0/8, fd00::/8", "10.2.3.4", False),
        ("10.0.0.0/8, fd00::/8", "fd00::1", False),
        ("10.0.0.0/8, fd00::/8", "11.2.3.4", True),
        ("10.0.0.0/8", "10.example", True),
    ],
)
def test_exceptions_are_reached_without_the_proxy(excepted: str, host: str, carried: bool) -> None:
    proxy = declared_proxy({"PILOTAGE_PROXY": "http://proxy.bank.example", "PILOTAGE_PROXY_EXCEPT": excepted})
    assert proxy is not None
    assert (proxy.host, proxy.port) == ("proxy.bank.example", 3128)
    assert proxy.carries(host) is carried


def test_nothing_is_declared_by_an_empty_variable() -> None:
    assert declared_proxy({}) is None
    assert declared_proxy({"PILOTAGE_PROXY": " ", "PILOTAGE_PROXY_EXCEPT": "10.0.0.0/8"}) is None


@pytest.mark.parametrize(
    "address",
    [
        "proxy.bank.example:3128",
        "https://user:hidden@proxy.bank.example",
        "socks5://user:hidden@proxy.bank.example",
        "http://",
        "http://user:hidden@h:99999",
        "http://user:hidden@proxy.bank.example/path",
        "http://user:hidden@127.1",
        "http://[user:hidden",
    ],
)
def test_an_address_that_is_no_proxy_is_refused_without_its_password(address: str) -> None:
    with pytest.raises(UsageError, match="PILOTAGE_PROXY is no address of an HTTP proxy") as refused:
        declared_proxy({"PILOTAGE_PROXY": address})
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("excepted", ["bank example", "10.0.0.0/33", "http://bank.example", "bänk.example", "a..b"])
def test_an_exception_that_cannot_be_read_is_refused(excepted: str) -> None:
    with pytest.raises(UsageError, match="PILOTAGE_PROXY_EXCEPT lists"):
        declared_proxy({"PILOTAGE_PROXY": "http://p", "PILOTAGE_PROXY_EXCEPT": f"ok.example,{excepted}"})


def test_a_password_stands_in_no_repr() -> None:
    proxy = declared_proxy({"PILOTAGE_PROXY": "http://user:hidden@p"})
    assert proxy is not None
    assert proxy.login == "user:hidden"
    assert "hidden" not in repr(proxy)


def test_a_bad_declaration_is_told_when_a_process_starts(open_folder: Path) -> None:
    write_template("minimal", open_folder / "proxied")
    environ = {"PILOTAGE_PROXY": "socks5://p", "PILOTAGE_HOME": str(open_folder / "home")}
    opening = Opening(start=open_folder / "proxied", environ=environ)
    with pytest.raises(UsageError, match="PILOTAGE_PROXY"), open_instance(opening):
        pass

"""What both clients of a provider keep to, and where our own is stricter than a library for everybody can be."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohappyeyeballs import AddrInfoType
from tests.adapters.certificates import self_signed

from pilotage.adapters import direct
from pilotage.adapters.models import http1
from pilotage.adapters.models.http1 import Http1Upstream, _Connection
from pilotage.adapters.models.upstream import Connect, Response, Upstream, UpstreamError
from pilotage.testing.upstream_aiohttp import AiohttpUpstream

pytestmark = pytest.mark.anyio
CLIENTS = pytest.mark.parametrize("connect", [Http1Upstream, AiohttpUpstream], ids=["http1", "aiohttp"])
OURS = pytest.mark.parametrize("connect", [Http1Upstream], ids=["http1"])
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer s3cret"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Kind: first\r\n\r\nyes"
WAIT_S = 60.0  # never waited for: longer than a crowded machine takes
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both loops: the tests' own, and the one that serves."""
    return "asyncio", {"use_uvloop": request.param}


class Peer:
    """A provider that answers each request of a connection with the next of its raw byte strings."""

    def __init__(self, *script: bytes, closes: bool = False) -> None:
        self.script = list(script)
        self.closes = closes
        self.seen: list[bytes] = []
        self.connections = 0
        self.asked = asyncio.Event()
        self.lost = asyncio.Event()
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                self.seen.append(head + await reader.readexactly(int(size or 0)))
                self.asked.set()
                writer.write(self.script.pop(0) if self.script else b"")
                await writer.drain()
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.lost.set()
        finally:
            writer.close()


@asynccontextmanager
async def called(connect: Connect, peer: Peer) -> AsyncIterator[Upstream]:
    """Run the peer, and a client of it, while the block lasts."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    upstream = connect(f"http://127.0.0.1:{peer.port}/v1/chat?api-version=2", WAIT_S)
    try:
        yield upstream
    finally:
        await upstream.close()
        for writer in peer.writers:
            writer.close()
        server.close()
        await server.wait_closed()


async def whole(upstream: Upstream, body: bytes = b"{}", within_s: float = WAIT_S) -> bytes:
    """Ask, read to the proper end, and end."""
    response = await upstream.post(body, HEADERS, within_s=within_s)
    try:
        return await read_all(response)
    finally:
        response.end()


async def read_all(response: Response) -> bytes:
    found = b""
    while not response.is_read:
        found += await response.read(WAIT_S)
    return found


@CLIENTS
async def test_a_question_and_its_answer_and_the_same_connection_for_the_next(connect: Connect) -> None:
    peer = Peer(OK, CHUNKED + b"2\r\nno\r\n1;x=y\r\n!\r\n0\r\nTrailer: x\r\n\r\n", OK)
    async with called(connect, peer) as upstream:
        response = await upstream.post(b'{"a":1}', HEADERS, within_s=WAIT_S)
        assert (response.status, response.header("x-kind"), response.header("x-none")) == (200, "first", None)
        assert await read_all(response) == b"yes"
        response.end()
        assert [await whole(upstream), await whole(upstream)] == [b"no!", b"yes"]
    assert peer.connections == 1
    head, _, body = peer.seen[0].partition(b"\r\n\r\n")
    assert body == b'{"a":1}'
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /v1/chat?api-version=2 HTTP/1.1"
    sent = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert sent["host"] == f"127.0.0.1:{peer.port}"
    assert (sent["authorization"], sent["content-length"]) == ("Bearer s3cret", "7")
    assert "cookie" not in sent


@CLIENTS
async def test_questions_at_the_same_time_have_a_connection_each(connect: Connect) -> None:
    peer = Peer(OK, OK, OK)
    async with called(connect, peer) as upstream:
        assert await asyncio.gather(*(whole(upstream) for _ in range(3))) == [b"yes"] * 3
    assert peer.connections == 3


@CLIENTS
async def test_a_response_that_was_not_read_to_its_end_closes_its_connection(connect: Connect) -> None:
    peer = Peer(CHUNKED + b"3\r\nyes\r\n", OK)
    async with called(connect, peer) as upstream:
        response = await upstream.post(b"{}", HEADERS, within_s=WAIT_S)
        assert await response.read(WAIT_S) == b"yes"
        assert not response.is_read
        response.end()
        response.end()
        await asyncio.wait_for(peer.lost.wait(), WAIT_S)
        assert await whole(upstream) == b"yes"
    assert peer.connections == 2


@CLIENTS
async def test_whoever_gives_up_closes_the_connection(connect: Connect) -> None:
    peer = Peer(b"")
    async with called(connect, peer) as upstream:
        asking = asyncio.create_task(whole(upstream))
        await asyncio.wait_for(peer.asked.wait(), WAIT_S)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(peer.lost.wait(), WAIT_S)


@CLIENTS
async def test_a_silent_provider_is_late_for_its_head_and_for_its_body(connect: Connect) -> None:
    peer = Peer(b"", CHUNKED)
    async with called(connect, peer) as upstream:
        with pytest.raises(TimeoutError):
            await whole(upstream, within_s=0.05)
        response = await upstream.post(b"{}", HEADERS, within_s=WAIT_S)
        with pytest.raises(TimeoutError):
            await response.read(0.05)
        response.end()


@OURS
@pytest.mark.parametrize(
    ("head", "trickle"),
    [(b"", b"HTTP/1.1 103 E\r\nX: "), (CHUNKED, b"1;x=")],
    ids=["head", "body"],
)
async def test_whoever_trickles_without_saying_anything_is_late(connect: Connect, head: bytes, trickle: bytes) -> None:
    peer = Peer(OK, head + trickle)
    async with called(connect, peer) as upstream:
        assert await whole(upstream) == b"yes"  # so that a slow machine's connecting takes nothing of what follows
        peer.asked.clear()

        async def asked() -> bytes:
            response = await upstream.post(b"{}", HEADERS, within_s=WAIT_S if head else 0.05)
            try:
                return await response.read(0.05)
            finally:
                response.end()

        asking = asyncio.create_task(asked())
        await asyncio.wait_for(peer.asked.wait(), WAIT_S)
        for _ in range(2_000):
            if not asking.done():
                peer.writers[0].write(b"x")
                await asyncio.sleep(0.001)
        assert asking.done()
        with pytest.raises(TimeoutError):
            await asking


@OURS
@pytest.mark.parametrize("greets", [False, True], ids=["closed", "greeted"])
async def test_a_connection_that_ends_before_the_question_is_no_provider(
    connect: Connect, greets: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ended(
        speak: Callable[[], _Connection], host: str, port: int, *, is_tls: bool, allow_private: tuple[str, ...]
    ) -> _Connection:
        connection = await direct.direct_stream(speak, host, port, is_tls=is_tls, allow_private=allow_private)
        # What comes with the last bytes of a TLS handshake comes before the connection is handed over.
        if greets:
            connection.data_received(b"HTTP/1.1 408 Idle\r\n\r\n")
        else:
            connection.transport.abort()
        await asyncio.sleep(0.01)
        return connection

    monkeypatch.setattr(http1, "direct_stream", ended)
    peer = Peer(OK)
    async with called(connect, peer) as upstream:
        with pytest.raises(UpstreamError, match="closed the connection"):
            await upstream.post(b"{}", HEADERS, within_s=5.0)
    assert peer.seen == []


@contextmanager
def swallowing() -> Iterator[tuple[str, int]]:
    """Give an address of this machine that neither takes nor refuses a connection: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        place = listener.getsockname()
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(place)
        yield place


def at(place: tuple[str, int]) -> AddrInfoType:
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place


@OURS
async def test_an_address_that_swallows_packets_does_not_hide_the_next_of_its_host(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer(OK)
    with swallowing() as silent:

        async def places(_host: str, port: int) -> list[AddrInfoType]:
            return [at(silent), at(("127.0.0.1", port))]

        monkeypatch.setattr(direct, "places_of", places)
        async with called(connect, peer) as upstream:
            assert await whole(upstream, within_s=20.0) == b"yes"
    assert peer.connections == 1


@OURS
async def test_a_host_of_which_no_address_answers_is_no_provider(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with swallowing() as silent, socket.socket() as refusing:
        refusing.bind(("127.0.0.1", 0))
        closed = refusing.getsockname()

        async def places(_host: str, _port: int) -> list[AddrInfoType]:
            return [at(closed), at(silent)]

        monkeypatch.setattr(direct, "places_of", places)
        upstream = connect("http://127.0.0.1:9/v1", 0.05)
        with pytest.raises(UpstreamError, match="TimeoutError"):
            await whole(upstream)
        await upstream.close()


@OURS
async def test_an_answer_to_half_a_question_leaves_no_connection_for_the_next(connect: Connect) -> None:
    answered, connections = asyncio.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await answered.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    upstream = connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", WAIT_S)
    assert await whole(upstream, b"x" * 32 * 1024 * 1024) == b"yes"
    assert await whole(upstream) == b"yes"
    assert connections == 2
    answered.set()
    await upstream.close()
    server.close()


@CLIENTS
@pytest.mark.parametrize(
    "script",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nyes",
        CHUNKED + b"3\r\nyes\r\n",
        CHUNKED + b"9\r\nyes",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"",
    ],
    ids=["length", "chunks", "chunk", "head", "nothing"],
)
async def test_a_body_or_a_head_that_is_cut_short_is_no_answer(connect: Connect, script: bytes) -> None:
    async with called(connect, Peer(script, closes=True)) as upstream:
        with pytest.raises(UpstreamError):
            await whole(upstream)


@CLIENTS
async def test_a_body_that_only_the_connection_ends_is_read_and_the_connection_not_used_again(connect: Connect) -> None:
    peer = Peer(b"HTTP/1.0 200 OK\r\n\r\nyes", closes=True)
    async with called(connect, peer) as upstream:
        assert await whole(upstream) == b"yes"
        peer.script = [OK]
        assert await whole(upstream) == b"yes"
    assert peer.connections == 2


@CLIENTS
async def test_interim_responses_are_passed_over(connect: Connect) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Kind: early\r\n\r\n"
    async with called(connect, Peer(early + OK)) as upstream:
        response = await upstream.post(b"{}", HEADERS, within_s=WAIT_S)
        assert (response.status, response.header("x-kind")) == (200, "first")
        assert await read_all(response) == b"yes"
        response.end()


@CLIENTS
@pytest.mark.parametrize(
    "script",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nyes!",
        b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nyes",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        CHUNKED + b"xyz\r\nyes\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
    ids=["both lengths", "two lengths", "signed length", "no http", "no size", "huge field"],
)
async def test_what_can_be_read_in_two_ways_is_read_in_none(connect: Connect, script: bytes) -> None:
    async with called(connect, Peer(script)) as upstream:
        with pytest.raises((UpstreamError, TimeoutError)):
            await whole(upstream, within_s=5.0)


@CLIENTS
async def test_bytes_behind_an_answer_never_answer_the_next_question(connect: Connect) -> None:
    planted = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nplanted"
    peer = Peer(OK + planted, OK)
    async with called(connect, peer) as upstream:
        try:
            first: bytes | None = await whole(upstream)
        except UpstreamError:
            first = None
        assert first in {b"yes", None}
        await asyncio.sleep(0.05)
        try:
            assert await whole(upstream) == b"yes"
        except UpstreamError:
            assert await whole(upstream) == b"yes"
    assert b"planted" not in (first or b"")


@OURS
async def test_an_answer_with_something_behind_it_is_refused_and_its_connection_closed(connect: Connect) -> None:
    peer = Peer(OK + OK, OK)
    async with called(connect, peer) as upstream:
        with pytest.raises(UpstreamError, match="more than its response"):
            await whole(upstream)
        await asyncio.wait_for(peer.lost.wait(), WAIT_S)
        assert await whole(upstream) == b"yes"
    assert peer.connections == 2


@OURS
async def test_bytes_that_come_while_nobody_asks_close_the_connection(connect: Connect) -> None:
    peer = Peer(OK, OK)
    async with called(connect, peer) as upstream:
        assert await whole(upstream) == b"yes"
        peer.writers[0].write(OK)
        await asyncio.wait_for(peer.lost.wait(), WAIT_S)
        assert await whole(upstream) == b"yes"
    assert peer.connections == 2


@OURS
@pytest.mark.parametrize(
    ("script", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "read twice"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nyes", "compressed"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "protocol|interim"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * 20 + OK, "interim"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"Content-Length: 3\r\n\r\nyes", "too large"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 33_000 + b"\r\nContent-Length: 3\r\n\r\nyes", "too large"),
        (CHUNKED + b"3\r\nyes\r\n0\r\n" + b"X: y\r\n" * 101 + b"\r\n", "too large"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nyes", "twice|proper"),
    ],
    ids=["coding", "compressed", "upgrade", "interim", "fields", "field", "trailers", "same length twice"],
)
async def test_our_client_refuses_what_it_did_not_ask_for(connect: Connect, script: bytes, words: str) -> None:
    async with called(connect, Peer(script)) as upstream:
        with pytest.raises(UpstreamError, match=words):
            await whole(upstream)


@OURS
async def test_an_endless_body_stops_being_read_while_nobody_takes_it(connect: Connect) -> None:
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    peer = Peer(CHUNKED + piece * 512)
    async with called(connect, peer) as upstream:
        response = await upstream.post(b"{}", HEADERS, within_s=WAIT_S)
        await asyncio.sleep(0.2)
        first = await response.read(WAIT_S)
        assert 0 < len(first) < 2 * 1024 * 1024
        with pytest.raises(UpstreamError, match="16 MiB"):
            await read_all(response)
        response.end()


@OURS
async def test_a_connection_is_kept_for_a_while_and_then_closed(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http1, "IDLE_S", 0.05)
    peer = Peer(OK, OK)
    async with called(connect, peer) as upstream:
        assert await whole(upstream) == b"yes"
        await asyncio.wait_for(peer.lost.wait(), WAIT_S)
        assert await whole(upstream) == b"yes"
    assert peer.connections == 2


@OURS
async def test_an_ended_response_leaves_nothing_to_the_collector(connect: Connect) -> None:
    peer = Peer(OK, OK)
    async with called(connect, peer) as upstream:
        assert await whole(upstream) == b"yes"
        gc.collect()
        gc.disable()
        try:
            response = await upstream.post(b"{}", HEADERS, within_s=WAIT_S)
            assert await read_all(response) == b"yes"
            response.end()
            ended = weakref.ref(response)
            del response
            assert ended() is None
        finally:
            gc.enable()


@OURS
async def test_the_environment_names_no_proxy(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with called(connect, Peer(OK)) as upstream:
        assert await whole(upstream) == b"yes"


@OURS
@pytest.mark.parametrize("value", ["a\r\nX-Planted: 1", "a\nb", "a\0b", "schlüssel"])
async def test_a_header_of_ours_cannot_start_another(connect: Connect, value: str) -> None:
    peer = Peer(OK)
    async with called(connect, peer) as upstream:
        with pytest.raises(UpstreamError, match="not printable"):
            await upstream.post(b"{}", {"Authorization": value}, within_s=5.0)
    assert peer.seen == []


@pytest.mark.parametrize(
    "address",
    [
        "ftp://x/v1",
        "http:///v1",
        "https://user:pw@host/v1",
        "http://h:99999/",
        "http://h/#x",
        "http://a..b/",
        "https://.a/",
        "http://" + "a" * 64 + "/",
    ],
    ids=["scheme", "no host", "user", "port", "fragment", "empty label", "leading dot", "long label"],
)
def test_an_address_that_is_none_is_refused_before_a_call(address: str) -> None:
    with pytest.raises(ValueError, match=r"address|[Pp]ort|label"):
        Http1Upstream(address, 2.0)


def test_certificates_and_names_are_always_checked() -> None:
    context = direct.verifying()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@CLIENTS
async def test_an_untrusted_certificate_is_no_provider(connect: Connect, certificate: Callable[[str], Path]) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate("localhost"))
    peer = Peer(OK)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=context)
    upstream = connect(f"https://localhost:{server.sockets[0].getsockname()[1]}/v1", WAIT_S)
    with pytest.raises(UpstreamError):
        await whole(upstream)
    await upstream.close()
    server.close()
    assert peer.seen == []


@OURS
@pytest.mark.parametrize(("name", "is_served"), [("localhost", True), ("elsewhere.example", False)])
async def test_a_trusted_certificate_serves_its_own_name_only(
    connect: Connect, name: str, is_served: bool, certificate: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = certificate(name)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files)
    monkeypatch.setattr(direct, "verifying", lambda: ssl.create_default_context(cafile=str(files)))
    peer = Peer(OK)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=context)
    upstream = connect(f"https://localhost:{server.sockets[0].getsockname()[1]}/v1", WAIT_S)
    if is_served:
        assert await whole(upstream) == b"yes"
    else:
        with pytest.raises(UpstreamError):
            await whole(upstream)
    await upstream.close()
    server.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], Path]:
    """Return a maker of a self-signed certificate for a name, with its key, in one file."""
    return lambda name: self_signed(name, tmp_path / f"{name}.pem")

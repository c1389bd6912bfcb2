"""A browser for tests: sends requests to the console's ASGI application, keeps cookies, reads forms."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from selectolax.lexbor import LexborHTMLParser, LexborNode

Application = Callable[[MutableMapping[str, Any], Any, Any], Awaitable[None]]
HOST = "127.0.0.1:8080"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer, decoded."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def page(self) -> LexborHTMLParser:
        return LexborHTMLParser(self.text)

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def words(self) -> str:
        """What a person reads in <main>."""
        main = self.page.css_first("main")
        assert main is not None
        return " ".join(main.text(separator=" ").split())

    def fields(self, action: str) -> dict[str, str]:
        """The hidden fields of the form that posts to `action`."""
        form = self.page.css_first(f'form[action="{action}"]')
        assert form is not None, f"no form posts to {action}"
        return {_name(one): one.attributes.get("value") or "" for one in form.css("input[type=hidden]")}


def _name(node: LexborNode) -> str:
    return node.attributes.get("name") or ""


@dataclass(kw_only=True)
class Browser:
    """Cookies and an application. `origin` None sends none, as an old or a foreign page might.

    `opened` are the headers that the last stream began with.
    """

    application: Application
    cookies: dict[str, str] = field(default_factory=dict)
    origin: str | None = f"http://{HOST}"
    peer: str = "127.0.0.1"
    scheme: str = "http"
    opened: list[tuple[str, str]] = field(default_factory=list)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Answer:
        body = urlencode(fields).encode()
        given = {"content-type": "application/x-www-form-urlencoded", **headers}
        if self.origin is not None:
            given.setdefault("origin", self.origin)
        return self.send("POST", path, headers=given, body=body)

    def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, body: bytes | Sequence[bytes] = b""
    ) -> Answer:
        """Send a request; of a body given in pieces no more is there, and whoever reads on fails the test."""
        found = asyncio.run(self._send(method, path, headers or {}, body))
        for name, value in found.headers:
            if name == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        return found

    def stream(
        self,
        path: str,
        *,
        most: int,
        method: str = "GET",
        fields: dict[str, str] | None = None,
        last_event_id: str | None = None,
    ) -> list[str]:
        """Follow a stream of events until `most` of them came or it ended, then leave."""
        known = {} if last_event_id is None else {"last-event-id": last_event_id}
        return asyncio.run(self._stream(method, path, fields or {}, most, known))

    async def _stream(
        self, method: str, path: str, fields: dict[str, str], most: int, known: dict[str, str]
    ) -> list[str]:
        headers = {"accept": "text/event-stream", "content-type": "application/x-www-form-urlencoded", **known}
        scope = self._scope(method, path, headers | {"origin": self.origin or ""})
        events: list[str] = []
        enough = asyncio.Event()
        requests = [{"type": "http.request", "body": urlencode(fields).encode(), "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            if requests:
                return requests.pop(0)
            await enough.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if "headers" in message:
                self.opened = [(name.decode(), value.decode()) for name, value in message["headers"]]
            text = message.get("body", b"").decode()
            if text.startswith("event:"):
                events.append(text)
                if len(events) >= most:
                    enough.set()

        async with asyncio.timeout(20):
            await self.application(scope, receive, send)
        return events

    def _scope(self, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
        route, _, query = path.partition("?")
        given = {"host": HOST, **headers}
        if self.cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items() if value)
        return {
            "type": "http",
            "method": method,
            "scheme": self.scheme,
            "path": route,
            "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
            "client": (self.peer, 40_000),
        }

    async def _send(self, method: str, path: str, headers: dict[str, str], body: bytes | Sequence[bytes]) -> Answer:
        scope = self._scope(method, path, headers)
        is_whole = isinstance(body, bytes)
        pieces = [body] if isinstance(body, bytes) else list(body)
        requests = [{"type": "http.request", "body": piece, "more_body": not is_whole} for piece in pieces]
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            if requests:
                return requests.pop(0)
            assert is_whole, "the request was read on"
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        heads = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
        whole = b"".join(message.get("body", b"") for message in sent[1:])
        if ("content-encoding", "gzip") in heads:
            whole = gzip.decompress(whole)
        return Answer(status=sent[0]["status"], headers=heads, body=whole)

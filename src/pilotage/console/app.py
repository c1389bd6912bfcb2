"""The console as one ASGI application, beside the gateway (console.md).

Requests run in threads, at most eight at a time, so that pages never slow the serving path down. Rule: every answer
carries the strict headers. Fail mode: what cannot be answered is an error page; a lost browser cancels its stream.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from anyio import CapacityLimiter, to_thread

from pilotage.console import cookies
from pilotage.console.assets import load_assets
from pilotage.console.dispatch import before_the_form, reason_of, respond, status_of, unexpected
from pilotage.console.events import send_events
from pilotage.console.frame import frame_values
from pilotage.console.guards import FOREIGN_ORIGIN, is_own_origin
from pilotage.console.headers import form_targets, strict_headers, with_strict
from pilotage.console.incoming import Bringing, Incoming, ReadError, is_over_tls, read_form, read_head
from pilotage.console.mending import mended
from pilotage.console.outgoing import Outgoing, attached, html, static, whole
from pilotage.console.pages.problem import problem_page
from pilotage.console.printing import printed
from pilotage.console.render import Renderer
from pilotage.console.reply import Download, File, Later, Page, Redirect, Reply, Stream
from pilotage.console.site import TABLE
from pilotage.console.times import in_zone
from pilotage.console.visit import Services, Visit
from pilotage.core.errors import PilotageError
from pilotage.core.ids import new_ulid
from pilotage.core.reason import Reason
from pilotage.evidence.limits import MAX_BYTES as MAX_FILE_BYTES
from pilotage.serving.context import Peer
from pilotage.serving.uploads import Uploads

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

logger = logging.getLogger(__name__)

CONCURRENT: Final = 8
"""Requests at a time: the rest waits, and the serving path keeps its share of the processor."""


class Console:
    """The application. One instance per process."""

    def __init__(self, services: Services, *, uploads: Uploads | None = None) -> None:
        workspace = services.instance.workspace
        oidc = workspace.identity.oidc
        self._services = services
        self._uploads = uploads or Uploads()
        self._assets = load_assets()
        self._strict = strict_headers(() if oidc is None else form_targets(oidc))
        self._trusted = workspace.gateway.trusted_proxies
        self._limiter: CapacityLimiter | None = None
        self._renderer = Renderer(workspace, self._assets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        is_secure, is_head = is_over_tls(scope, self._trusted), scope["method"] == "HEAD"
        asset = self._assets.by_path.get(scope["path"])
        if asset is not None and scope["method"] in {"GET", "HEAD"}:
            encodings = (value for name, value in scope["headers"] if name == b"accept-encoding")
            kept = static(asset, takes_gzip=any(b"gzip" in value for value in encodings))
            await self._send(send, kept, is_secure=is_secure, is_head=is_head)
            return
        try:
            head = read_head(scope, self._trusted)
            early = await self._in_thread(self._early, head) if head.method == "POST" else None
            if isinstance(early, Bringing) or early is None:
                form = read_form(head, receive, self._uploads, bringing=early, most_files=MAX_FILE_BYTES)
                async with form as incoming:
                    await self._answer(incoming, receive, send)
                return
            visit, page = early
        except ReadError as error:
            visit, page = self._visit(None), problem_page(error.status, (Reason(code=error.code, text=error.text),))
        outgoing = await self._in_thread(self._render, visit, page)
        await self._send(send, outgoing, is_secure=is_secure, is_head=is_head)

    async def _answer(self, incoming: Incoming, receive: Receive, send: Send) -> None:
        visit, reply = await self._in_thread(self._respond, incoming)
        if isinstance(reply, Later):
            reply = await self._later(visit, reply)
        if isinstance(reply, Stream):
            await send_events(reply, with_strict((), self._strict, is_secure=visit.is_secure), receive, send)
            return
        if isinstance(reply, File):
            await self._send_file(send, reply, is_secure=visit.is_secure, is_head=incoming.method == "HEAD")
            return
        outgoing: Outgoing = await self._in_thread(self._render, visit, reply)
        if incoming.takes_gzip:
            outgoing = outgoing.packed()
        await self._send(send, outgoing, is_secure=visit.is_secure, is_head=incoming.method == "HEAD")

    async def _later(self, visit: Visit, reply: Later) -> Page | Redirect:
        try:
            return await reply.run()
        except PilotageError as error:
            return problem_page(status_of(error), (reason_of(error),))
        except Exception:
            # The edge of the process, as in `respond`: what waited for the network or the pipeline may fail too.
            reference = new_ulid(visit.now)
            logger.exception("The console failed at %s, reference %s.", visit.path, reference)
            return problem_page(500, (unexpected(reference),))

    async def _in_thread(self, work: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - what `work` returns
        if self._limiter is None:
            self._limiter = CapacityLimiter(CONCURRENT)
        return await to_thread.run_sync(work, *arguments, limiter=self._limiter)

    def _early(self, head: Incoming) -> tuple[Visit, Page] | Bringing | None:
        """Return what is said without reading the form, or who may bring files with it."""
        visit = self._visit(head)
        if not is_own_origin(head.headers):
            return visit, problem_page(403, (FOREIGN_ORIGIN,))
        return before_the_form(TABLE, visit, self._token(head))

    def _respond(self, incoming: Incoming) -> tuple[Visit, Reply]:
        return respond(TABLE, self._visit(incoming), self._token(incoming))

    @staticmethod
    def _token(incoming: Incoming) -> str | None:
        return cookies.session_token(incoming.cookies, is_secure=incoming.is_secure)

    def _visit(self, incoming: Incoming | None) -> Visit:
        now = self._services.instance.clock.now()
        if incoming is None:
            return Visit(services=self._services, method="GET", path="", now=now, peer=Peer(address=""))
        theme = incoming.cookies.get(cookies.THEME, "auto")
        return Visit(
            services=self._services,
            method=incoming.method,
            path=incoming.path,
            query=incoming.query,
            form=incoming.form,
            files=incoming.files,
            now=now,
            peer=incoming.peer,
            login_secret=cookies.login_secret(incoming.cookies, is_secure=incoming.is_secure),
            theme=theme if theme in cookies.THEMES else "auto",
            is_secure=incoming.is_secure,
            wants_events=incoming.wants_events,
            last_event=incoming.headers.get("last-event-id", ""),
            renderer=self._renderer,
        )

    def _render(self, visit: Visit, reply: Page | Redirect | Download) -> Outgoing:
        if not isinstance(reply, Page):
            return whole(reply)
        try:
            values = frame_values(visit, reply)
            shown = values["visit"]
            text = in_zone(self._renderer.render(reply.template, values), shown.zone)
            if shown.problems:
                text = mended(text, shown.path, shown.form, shown.problems)
            return html(reply, printed(text) if visit.is_print else text)
        except Exception:
            # The edge of the process: a template that fails must not take the frame's error page with it.
            logger.exception("The page %s could not be rendered.", reply.template)
            page = problem_page(500, (Reason(code="INTERNAL", text="This page could not be shown. It is our fault."),))
            return html(page, in_zone(self._renderer.render(page.template, frame_values(visit, page)), visit.zone))

    async def _send(self, send: Send, outgoing: Outgoing, *, is_secure: bool = False, is_head: bool = False) -> None:
        headers = with_strict(outgoing.headers, self._strict, is_secure=is_secure)
        headers.append((b"content-length", str(len(outgoing.body)).encode()))
        await send({"type": "http.response.start", "status": outgoing.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if is_head else outgoing.body, "more_body": False})

    async def _send_file(self, send: Send, file: File, *, is_secure: bool, is_head: bool) -> None:
        headers = with_strict(attached(file.filename), self._strict, is_secure=is_secure)
        headers.append((b"content-length", str(file.size).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        pieces = iter(()) if is_head else file.pieces()
        while (piece := await self._in_thread(next, pieces, b"")) != b"":
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

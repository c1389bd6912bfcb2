"""Models behind an OpenAI-compatible HTTP endpoint: OpenAI, Azure, vLLM, Ollama ... over aiohttp (serving.md 6.1).

Retries happen only before the first content; a stream is complete when its finish reason was seen. Closing the
iterator closes the upstream connection at once. No proxy variables, cookies or redirects. Fail mode: Unavailable with
code `upstream_failed` or `upstream_timeout`; the message holds no text of the provider.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp

from pilotage.adapters.direct import direct_session
from pilotage.adapters.models.openai_wire import Reply, WireError, encode_request, is_streamed, read_frame
from pilotage.adapters.models.resilience import RETRY_STATUSES, Breaker, RetryBudget
from pilotage.adapters.models.secret import Secret
from pilotage.adapters.models.sse import EventParser, FrameTooLarge
from pilotage.core.errors import Unavailable
from pilotage.release.generation import Delta, Done, Event, GenerationRequest, Usage
from pilotage.release.model import ModelSettings

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
_BYTES_PER_TOKEN = 4


class _TryAgain(Exception):
    """A failure before the first content that another attempt may cure."""

    def __init__(self, error: Unavailable, retry_after: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after = retry_after


class OpenAICompatibleModel:
    """One sealed model. `sleep` and `monotonic` are arguments for tests."""

    def __init__(
        self,
        settings: ModelSettings,
        *,
        root: Path,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        budget: RetryBudget | None = None,
    ) -> None:
        if not settings.base_url:
            message = f"The model {settings.model!r} has no base_url."
            raise Unavailable("model_unconfigured", message, hint="Write base_url in model.yaml and seal again.")
        self._settings = settings
        self._url = settings.base_url.rstrip("/") + settings.path
        self._params = {"api-version": settings.api_version} if settings.api_version else None
        self._secret = Secret(settings.auth_ref, root=root, monotonic=monotonic)
        self._monotonic = monotonic
        self._sleep = sleep
        self._budget = budget or RetryBudget()
        self._breaker = Breaker()
        self._session: aiohttp.ClientSession | None = None

    async def generate(self, request: GenerationRequest) -> AsyncIterator[Event]:
        """Stream the answer; raise Unavailable when there is none or it broke off."""
        started = self._monotonic()
        self._budget.note_request(started)
        response, retries = await self._call(encode_request(self._settings, request), started)
        reply = Reply(model=self._settings.model)
        finished = False
        try:
            async for text in self._read(response, reply, started):
                if text:
                    yield Delta(text=text)
            finish = reply.finish
            if finish is None:
                raise self._failed("broke off before its answer was complete")
            self._breaker.note(failed=False, now=self._monotonic())
            finished = True
            yield reply.usage or self._estimate(request, reply)
            yield Done(finish=finish, model=reply.model, fingerprint=reply.fingerprint, retries=retries)
        except Unavailable:
            if not finished:
                finished = True
                self._breaker.note(failed=True, now=self._monotonic())
            raise
        finally:
            if not finished:
                self._breaker.forget_probe()
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    def count(self, text: str) -> int:
        """Estimate tokens as one per four UTF-8 bytes, rounded up."""
        return -(-len(text.encode()) // _BYTES_PER_TOKEN)

    async def probe(self) -> None:
        """Return when the endpoint accepts a connection and speaks HTTP; costs no tokens."""
        try:
            async with self._http().get(self._url, params=self._params, allow_redirects=False) as response:
                if response.status >= 500:
                    raise self._failed("cannot take questions", f"HTTP {response.status}")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._failed("cannot be reached", type(error).__name__) from None

    async def close(self) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = direct_session(
                aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                aiohttp.ClientTimeout(total=None, sock_connect=self._settings.connect_s),
            )
        return self._session

    def _headers(self) -> dict[str, str]:
        accept = "text/event-stream" if is_streamed(self._settings) else "application/json"
        headers = {"Content-Type": "application/json", "Accept": accept, "User-Agent": "pilotage"}
        secret = self._secret.value()
        if secret is not None:
            name = self._settings.auth_header
            headers[name] = f"Bearer {secret}" if name.lower() == "authorization" else secret
        return headers

    async def _call(self, body: bytes, started: float) -> tuple[aiohttp.ClientResponse, int]:
        """Return the response of the first attempt that succeeds, and how many retries it took."""
        attempt = 0
        while True:
            if self._breaker.is_open(self._monotonic()):
                raise self._failed("failed too often in the last 30 s and is not called for 15 s")
            try:
                return await self._attempt(body, started), attempt
            except _TryAgain as again:
                now = self._monotonic()
                self._breaker.note(failed=True, now=now)
                pause = self._budget.pause(attempt, now=now, retry_after=again.retry_after)
                if pause is None or now + pause >= started + self._settings.first_token_s:
                    raise again.error from None
                await self._sleep(pause)
                attempt += 1
            except asyncio.CancelledError:
                self._breaker.forget_probe()
                raise

    async def _attempt(self, body: bytes, started: float) -> aiohttp.ClientResponse:
        left = started + self._settings.first_token_s - self._monotonic()
        try:
            async with asyncio.timeout(max(left, 0.0)):
                response = await self._http().post(
                    self._url, data=body, headers=self._headers(), params=self._params, allow_redirects=False
                )
        except aiohttp.ClientError as error:
            raise _TryAgain(self._failed("cannot be reached", type(error).__name__)) from None
        except TimeoutError:
            self._breaker.note(failed=True, now=self._monotonic())
            raise self._late("did not answer in time") from None
        if response.status == 200:
            return response
        refusal = self._failed("refused the request", f"HTTP {response.status}")
        retry_after = _seconds(response.headers.get("Retry-After"))
        response.close()
        if response.status in RETRY_STATUSES:
            raise _TryAgain(refusal, retry_after)
        self._breaker.note(failed=False, now=self._monotonic())
        raise refusal

    async def _read(self, response: aiohttp.ClientResponse, reply: Reply, started: float) -> AsyncIterator[str]:
        if response.content_type == "application/json":
            yield await self._whole(response, reply, started + self._settings.total_s)
            return
        parser, size = EventParser(), 0
        last, limit = started, self._settings.first_token_s
        while True:
            chunk = await self._chunk(response, reply, min(started + self._settings.total_s, last + limit))
            size += len(chunk)
            if size > MAX_RESPONSE_BYTES:
                raise self._failed("sent more than 8 MiB")
            text, done = self._take(self._frames(parser, chunk), reply)
            if text:
                last, limit = self._monotonic(), self._settings.between_tokens_s
                yield text
            if done or not chunk:
                return

    async def _whole(self, response: aiohttp.ClientResponse, reply: Reply, deadline: float) -> str:
        """Read an answer that is one JSON document."""
        body = b""
        while not response.content.at_eof():
            body += await self._chunk(response, reply, deadline)
            if len(body) > MAX_RESPONSE_BYTES:
                raise self._failed("sent more than 8 MiB")
        return self._take([body], reply)[0]

    async def _chunk(self, response: aiohttp.ClientResponse, reply: Reply, deadline: float) -> bytes:
        """Return the next bytes, or nothing at the end; an answer whose finish reason was seen is complete."""
        try:
            async with asyncio.timeout(max(deadline - self._monotonic(), 0.0)):
                return await response.content.readany()
        except TimeoutError:
            if reply.finish is None:
                raise self._late("fell silent in the middle of its answer") from None
        except aiohttp.ClientError as error:
            if reply.finish is None:
                raise self._failed("broke off", type(error).__name__) from None
        return b""

    def _frames(self, parser: EventParser, chunk: bytes) -> list[bytes]:
        try:
            return parser.feed(chunk) if chunk else parser.end()
        except FrameTooLarge:
            raise self._failed("sent a frame of more than 1 MiB") from None

    def _take(self, frames: list[bytes], reply: Reply) -> tuple[str, bool]:
        """Read frames up to `[DONE]`; return their text and whether the end was seen."""
        parts: list[str] = []
        try:
            for frame in frames:
                if frame == b"[DONE]":
                    break
                parts.append(read_frame(frame, reply))
            else:
                return self._joined(parts, reply), False
        except WireError as error:
            raise self._failed(str(error)) from None
        return self._joined(parts, reply), True

    def _joined(self, parts: list[str], reply: Reply) -> str:
        text = "".join(parts)
        reply.text += text
        return text

    def _estimate(self, request: GenerationRequest, reply: Reply) -> Usage:
        prompt = sum(self.count(message.content) for message in request.messages)
        return Usage(prompt_tokens=prompt, completion_tokens=self.count(reply.text), estimated=True)

    def _failed(self, what: str, cause: object = None) -> Unavailable:
        detail = "" if cause is None else f" ({cause})"
        return Unavailable("upstream_failed", f"The model {self._settings.model!r} {what}{detail}.")

    def _late(self, what: str) -> Unavailable:
        return Unavailable("upstream_timeout", f"The model {self._settings.model!r} {what}.")


def _seconds(value: str | None) -> float | None:
    """Read Retry-After in seconds; a date or nonsense counts as too long to wait for."""
    if value is None:
        return None
    return float(value) if value.isdecimal() else float("inf")

"""Models behind an OpenAI-compatible HTTP endpoint: OpenAI, Azure, vLLM, Ollama ... (serving.md 6.1).

Retries happen only before the first content; a stream is complete when its finish reason was seen. Closing the
iterator closes the upstream connection at once. The client is a port (`upstream.py`). Called is what the release's
egress lists for models, or this machine by its own names. Fail mode: Unavailable with code `upstream_failed` or
`upstream_timeout`, `model_unconfigured` before any call; the message holds no text of the provider.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pilotage.adapters.models.http1 import Http1Upstream
from pilotage.adapters.models.openai_wire import Reply, WireError, encode_request, is_streamed, read_frame
from pilotage.adapters.models.resilience import RETRY_STATUSES, Breaker, RetryBudget
from pilotage.adapters.models.secret import Secret
from pilotage.adapters.models.sse import EventParser, FrameTooLarge
from pilotage.adapters.models.upstream import MAX_BODY_BYTES, Connect, Response, Upstream, UpstreamError
from pilotage.core.errors import Unavailable
from pilotage.core.urls import place_of
from pilotage.guard.policy import EgressRule, model_networks, unlisted_model
from pilotage.release.generation import Delta, Done, Event, GenerationRequest, RequestRefused, Usage
from pilotage.release.model import ModelSettings

_ABOUT_THE_REQUEST = frozenset({400, 413, 422})
"""What a provider answers in JSON to a request that it would refuse of anybody: no key, quota, load or route is behind
it. Something on the way answers in another form, and 404 for a deployment that is not there yet."""
_PROBE_HEADERS = {"Accept": "*/*", "User-Agent": "pilotage"}
_BYTES_PER_TOKEN = 4


class _TryAgain(Exception):
    """A failure before the first content that another attempt may cure."""

    def __init__(self, error: Unavailable, retry_after: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after = retry_after


class OpenAICompatibleModel:
    """One sealed model. `sleep` and `monotonic` are arguments for tests; `egress` says where it may be called."""

    def __init__(  # noqa: PLR0913 - what it is, where it may be called, and what tests replace
        self,
        settings: ModelSettings,
        *,
        root: Path,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        budget: RetryBudget | None = None,
        connect: Connect = Http1Upstream,
        egress: Sequence[EgressRule] = (),
    ) -> None:
        if not settings.base_url:
            message = f"The model {settings.model!r} has no base_url."
            raise Unavailable("model_unconfigured", message, hint="Write base_url in model.yaml and seal again.")
        self._settings = settings
        self._upstream = _upstream(settings, connect, egress)
        self._secret = Secret(settings.auth_ref, root=root, monotonic=monotonic)
        self._monotonic = monotonic
        self._sleep = sleep
        self._budget = budget or RetryBudget()
        self._breaker = Breaker()
        self._sent: tuple[str | None, Mapping[str, str]] | None = None

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
            response.end()

    def count(self, text: str) -> int:
        """Estimate tokens as one per four UTF-8 bytes, rounded up."""
        return -(-len(text.encode()) // _BYTES_PER_TOKEN)

    async def probe(self) -> None:
        """Return when the endpoint accepts a connection and speaks HTTP; costs no tokens."""
        try:
            response = await self._upstream.get(_PROBE_HEADERS, within_s=self._settings.first_token_s)
        except (UpstreamError, TimeoutError) as error:
            raise self._failed("cannot be reached", str(error) or type(error).__name__) from None
        response.end()
        if response.status >= 500:
            raise self._failed("cannot take questions", f"HTTP {response.status}")

    async def close(self) -> None:
        """Close the connection pool."""
        await self._upstream.close()

    def _headers(self) -> Mapping[str, str]:
        """Return the same headers as long as the secret is the same."""
        secret = self._secret.value()
        if self._sent is not None and self._sent[0] == secret:
            return self._sent[1]
        accept = "text/event-stream" if is_streamed(self._settings) else "application/json"
        headers = {"Content-Type": "application/json", "Accept": accept, "User-Agent": "pilotage"}
        if secret is not None:
            name = self._settings.auth_header
            headers[name] = f"Bearer {secret}" if name.lower() == "authorization" else secret
        self._sent = (secret, headers)
        return headers

    async def _call(self, body: bytes, started: float) -> tuple[Response, int]:
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

    async def _attempt(self, body: bytes, started: float) -> Response:
        left = started + self._settings.first_token_s - self._monotonic()
        try:
            response = await self._upstream.post(body, self._headers(), within_s=left)
        except UpstreamError as error:
            raise _TryAgain(self._failed("cannot be reached", error)) from None
        except TimeoutError:
            self._breaker.note(failed=True, now=self._monotonic())
            raise self._late("did not answer in time") from None
        if response.status == 200:
            return response
        refusal = self._failed("refused the request", f"HTTP {response.status}")
        retry_after = _seconds(response.header("retry-after"))
        response.end()
        if response.status in RETRY_STATUSES:
            raise _TryAgain(refusal, retry_after)
        self._breaker.note(failed=False, now=self._monotonic())
        if response.status in _ABOUT_THE_REQUEST and _is_json(response):
            raise RequestRefused(refusal.code, refusal.message)
        raise refusal

    async def _read(self, response: Response, reply: Reply, started: float) -> AsyncIterator[str]:
        if _is_json(response):
            yield await self._whole(response, reply, started + self._settings.total_s)
            return
        parser, size = EventParser(), 0
        last, limit = started, self._settings.first_token_s
        while True:
            chunk = await self._chunk(response, reply, min(started + self._settings.total_s, last + limit))
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise self._failed("sent more than 8 MiB")
            text, done = self._take(self._frames(parser, chunk), reply)
            if text:
                last, limit = self._monotonic(), self._settings.between_tokens_s
                yield text
            if done or not chunk:
                return

    async def _whole(self, response: Response, reply: Reply, deadline: float) -> str:
        """Read an answer that is one JSON document."""
        body = b""
        while not response.is_read:
            body += await self._chunk(response, reply, deadline)
            if len(body) > MAX_BODY_BYTES:
                raise self._failed("sent more than 8 MiB")
        return self._take([body], reply)[0]

    async def _chunk(self, response: Response, reply: Reply, deadline: float) -> bytes:
        """Return the next bytes, or nothing at the end; an answer whose finish reason was seen is complete."""
        try:
            return await response.read(deadline - self._monotonic())
        except TimeoutError:
            if reply.finish is None:
                raise self._late("fell silent in the middle of its answer") from None
        except UpstreamError as error:
            if reply.finish is None:
                raise self._failed("broke off", error) from None
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


def _upstream(settings: ModelSettings, connect: Connect, egress: Sequence[EgressRule]) -> Upstream:
    """Return the client of the settings' address; nothing is connected yet."""
    address = (settings.base_url or "").rstrip("/") + settings.path
    if settings.api_version:
        address += f"{'&' if '?' in address else '?'}api-version={quote(settings.api_version, safe='')}"
    try:
        return connect(address, settings.connect_s, _networks(settings, address, egress))
    except ValueError as error:
        message = f"The model {settings.model!r} cannot be called at its base_url. {error}"
        raise Unavailable(
            "model_unconfigured", message, hint="Correct base_url in model.yaml and seal again."
        ) from None


def _networks(settings: ModelSettings, address: str, egress: Sequence[EgressRule]) -> tuple[str, ...]:
    """Return where the model may stand besides public addresses; raise Unavailable when no rule lists its host."""
    host, port = place_of(address)
    unlisted = unlisted_model(egress, host, port)
    if unlisted is not None:
        what, hint = unlisted
        raise Unavailable("model_unconfigured", f"{what} ({settings.model!r}).", hint=f"{hint} Then seal again.")
    return model_networks(egress, host, port)


def _is_json(response: Response) -> bool:
    return (response.header("content-type") or "").partition(";")[0].strip().lower() == "application/json"


def _seconds(value: str | None) -> float | None:
    """Read Retry-After in seconds; a date or nonsense counts as too long to wait for."""
    if value is None:
        return None
    return float(value) if value.isdecimal() else float("inf")

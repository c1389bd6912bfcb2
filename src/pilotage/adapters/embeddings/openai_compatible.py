"""Embedding models behind an OpenAI-compatible address (serving.md 5.8, 6.4).

Rule: the key by reference only; retries on connect errors, 408, 429 and 5xx as for models, none for a late answer; the
same checked client, so only where the release's egress allows. Fail mode: Unavailable that names the model and never
quotes the provider; half an answer is none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from pilotage.adapters.embeddings.wire import EmbeddingsError, encode_texts, read_vectors
from pilotage.adapters.models.http1 import Http1Upstream
from pilotage.adapters.models.resilience import RETRY_STATUSES, Breaker, RetryBudget
from pilotage.adapters.models.secret import Secret
from pilotage.adapters.models.upstream import MAX_BODY_BYTES, Connect, Response, Upstream, UpstreamError
from pilotage.core.errors import Unavailable
from pilotage.core.urls import place_of
from pilotage.guard.policy import EgressRule, model_networks, unlisted_model
from pilotage.retrieval.arrays import F32
from pilotage.retrieval.settings import Embedding

_CONNECT_S: Final = 2.0
_PASSAGES_S: Final = 60.0
_PROBE_HEADERS: Final = {"Accept": "*/*", "User-Agent": "pilotage"}


class _Refused(Unavailable):
    """The provider would not take the request: a failure to whoever asked, and no sign of bad health."""


class _TryAgain(Exception):
    """A failure that another attempt may cure."""

    def __init__(self, error: Unavailable, retry_after: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.retry_after = retry_after


class OpenAICompatibleEmbedder:
    """One sealed embedding model. `sleep` and `monotonic` are arguments for tests; `egress` says where it may be."""

    def __init__(
        self,
        settings: Embedding,
        *,
        root: Path,
        egress: Sequence[EgressRule] = (),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        connect: Connect = Http1Upstream,
    ) -> None:
        self._settings = settings
        self._upstream = _upstream(settings, connect, egress)
        self._secret = Secret(settings.auth_ref, root=root, monotonic=monotonic)
        self._monotonic = monotonic
        self._sleep = sleep
        self._budget = RetryBudget()
        self._breaker = Breaker()

    async def passages(self, texts: Sequence[str]) -> Sequence[F32]:
        """Return the vectors of passages."""
        prefix = self._settings.passage_prefix
        return await self._embed([prefix + text for text in texts], _PASSAGES_S)

    async def question(self, text: str) -> F32:
        """Return the vector of a question."""
        (vector,) = await self._embed([self._settings.question_prefix + text], self._settings.timeout_s)
        return vector

    async def probe(self) -> None:
        """Return when the endpoint accepts a connection and speaks HTTP; embeds nothing."""
        try:
            response = await self._upstream.get(_PROBE_HEADERS, within_s=self._settings.timeout_s)
        except (UpstreamError, TimeoutError) as error:
            raise self._failed("cannot be reached", str(error) or type(error).__name__) from None
        response.end()
        if response.status >= 500:
            raise self._failed("cannot embed", f"HTTP {response.status}")

    async def close(self) -> None:
        """Close the connections."""
        await self._upstream.close()

    async def _embed(self, texts: Sequence[str], within_s: float) -> list[F32]:
        body, until, attempt = encode_texts(self._settings, texts), self._monotonic() + within_s, 0
        self._budget.note_request(self._monotonic())
        while True:
            if self._breaker.is_open(self._monotonic()):
                raise self._failed("failed too often in the last 30 s and is not called for 15 s")
            try:
                answer = await self._attempt(body, until)
            except _TryAgain as again:
                now = self._monotonic()
                self._breaker.note(failed=True, now=now)
                pause = self._budget.pause(attempt, now=now, retry_after=again.retry_after)
                if pause is None or now + pause >= until:
                    raise again.error from None
                await self._sleep(pause)
                attempt += 1
            except Unavailable as error:
                self._breaker.note(failed=not isinstance(error, _Refused), now=self._monotonic())
                raise
            except asyncio.CancelledError:
                self._breaker.forget_probe()
                raise
            else:
                self._breaker.note(failed=False, now=self._monotonic())
                return self._vectors(answer, len(texts))

    async def _attempt(self, body: bytes, until: float) -> bytes:
        try:
            response = await self._upstream.post(body, self._headers(), within_s=until - self._monotonic())
        except UpstreamError as error:
            raise _TryAgain(self._failed("cannot be reached", error)) from None
        except TimeoutError:
            raise self._late() from None
        try:
            if response.status == 200:
                return await self._body(response, until)
        finally:
            response.end()
        refusal = self._failed("refused the request", f"HTTP {response.status}")
        if response.status in RETRY_STATUSES:
            raise _TryAgain(refusal, _seconds(response))
        raise _Refused(refusal.code, refusal.message)

    async def _body(self, response: Response, until: float) -> bytes:
        pieces, size = [], 0
        try:
            while not response.is_read:
                pieces.append(await response.read(until - self._monotonic()))
                size += len(pieces[-1])
                if size > MAX_BODY_BYTES:
                    raise self._failed("sent more than 8 MiB; write a smaller batch in retrieval.yaml")
        except TimeoutError:
            raise self._late() from None
        except UpstreamError as error:
            raise self._failed("broke off", error) from None
        return b"".join(pieces)

    def _vectors(self, body: bytes, wanted: int) -> list[F32]:
        try:
            return read_vectors(body, wanted)
        except EmbeddingsError as error:
            raise self._failed(str(error)) from None

    def _headers(self) -> Mapping[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "pilotage"}
        secret = self._secret.value()
        if secret is not None:
            name = self._settings.auth_header
            headers[name] = f"Bearer {secret}" if name.lower() == "authorization" else secret
        return headers

    def _failed(self, what: str, cause: object = None) -> Unavailable:
        detail = "" if cause is None else f" ({cause})"
        return Unavailable("upstream_failed", f"The embedding model {self._settings.model!r} {what}{detail}.")

    def _late(self) -> Unavailable:
        return Unavailable("upstream_timeout", f"The embedding model {self._settings.model!r} did not answer in time.")


def _seconds(response: Response) -> float | None:
    """Read Retry-After in seconds; a date or nonsense counts as too long to wait for."""
    value = response.header("retry-after")
    if value is None:
        return None
    return float(value) if value.isdecimal() else float("inf")


def _upstream(settings: Embedding, connect: Connect, egress: Sequence[EgressRule]) -> Upstream:
    """Return the client of the settings' address; nothing is connected yet."""
    host, port = place_of(settings.endpoint)
    unlisted = unlisted_model(egress, host, port, what="embedding model")
    if unlisted is not None:
        what, hint = unlisted
        raise Unavailable("model_unconfigured", f"{what} ({settings.model!r}).", hint=f"{hint} Then seal again.")
    try:
        return connect(settings.endpoint, _CONNECT_S, model_networks(egress, host, port))
    except ValueError as error:
        message = f"The embedding model {settings.model!r} cannot be called at its endpoint. {error}"
        hint = "Correct endpoint in retrieval.yaml and seal again."
        raise Unavailable("model_unconfigured", message, hint=hint) from None

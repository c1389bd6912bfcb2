"""Embedding models for tests: a fake of the port, and a provider of embeddings on loopback.

Both give a bag of words in which synonyms are one word, so that a question finds a passage it shares no word with.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from pilotage.core.errors import Unavailable
from pilotage.retrieval.arrays import F32

DIMENSION: Final = 64
SYNONYMS: Final[Mapping[str, str]] = {"automobile": "car", "physician": "doctor", "vacation": "holiday"}
_WORD: Final = re.compile(r"[a-z0-9]+")


def bag_of_words(text: str, *, dimension: int = DIMENSION) -> list[float]:
    """Return a vector of word counts, each word at the place that its hash gives it."""
    vector = [0.0] * dimension
    for word in _WORD.findall(text.lower()):
        digest = hashlib.sha256(SYNONYMS.get(word, word).encode()).digest()
        vector[int.from_bytes(digest[:4], "big") % dimension] += 1.0
    return vector


@dataclass(slots=True, kw_only=True)
class FakeEmbedder:
    """Embeds as `bag_of_words` does, or as `gives` says; `failure` is raised instead. `asked` keeps every text."""

    gives: Callable[[str], Sequence[float]] = bag_of_words
    failure: Unavailable | None = None
    asked: list[str] = field(default_factory=list)
    closed: bool = False

    async def passages(self, texts: Sequence[str]) -> Sequence[F32]:
        """Return the vectors of passages."""
        if self.failure is not None:
            raise self.failure
        self.asked += texts
        return [np.array(self.gives(text), np.float32) for text in texts]

    async def question(self, text: str) -> F32:
        """Return the vector of a question."""
        (vector,) = await self.passages([text])
        return vector

    async def probe(self) -> None:
        """Fail when the script fails."""
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True


class EmbeddingServer:
    """Answers `POST /v1/embeddings` from a thread. Use it as a context manager.

    `gives` makes the vector of a text; `status` other than 200 refuses, with `headers`; `answer` replaces the body;
    `wait` is called before each answer. `seen` keeps headers and body of every request.
    """

    def __init__(self, gives: Callable[[str], Sequence[float | None]] = bag_of_words, *, port: int = 0) -> None:
        self.gives = gives
        self.status = 200
        self.headers: dict[str, str] = {}
        self.answer: bytes | None = None
        self.wait: Callable[[], object] = lambda: None
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._server = _Quiet(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The whole address."""
        return f"http://127.0.0.1:{self.port}/v1/embeddings"

    @property
    def texts(self) -> list[str]:
        """Every text that was sent here, in order."""
        return [text for _, body in self.seen for text in body["input"]]

    def body_for(self, texts: Sequence[str]) -> bytes:
        """Return the answer to these texts; a NaN is written as servers in Python write it."""
        data = [{"object": "embedding", "index": at, "embedding": self.gives(one)} for at, one in enumerate(texts)]
        return json.dumps({"object": "list", "model": "m", "data": data[::-1]}).encode()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients of tests leave when they like."""


def _handler(server: EmbeddingServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.seen.append(({name.lower(): value for name, value in self.headers.items()}, body))
            server.wait()
            is_fine = server.status == 200 and self.path == "/v1/embeddings"
            self._send(
                server.status if self.path == "/v1/embeddings" else 404, _body(server, body) if is_fine else b"{}"
            )

        def do_GET(self) -> None:
            self._send(405 if server.status == 200 else server.status, b"{}")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

        def _send(self, status: int, data: bytes) -> None:
            self.send_response(status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler


def _body(server: EmbeddingServer, asked: Mapping[str, Any]) -> bytes:
    return server.body_for(asked["input"]) if server.answer is None else server.answer

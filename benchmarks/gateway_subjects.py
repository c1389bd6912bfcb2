"""The processes that `bench_gateway.py` measures: a mock provider, the gateway over it, and nginx over it.

`python benchmarks/gateway_subjects.py provider PORT` answers chat completions: whole, streamed a piece every 5 ms, or
one piece and then silence. `... gateway PORT UPSTREAM DATABASE MODE FORMS` is the gateway with what a process really
runs: service keys, the policy guard with its forms compiled before (`... forms FORMS` does), the asynchronous recorder
into PostgreSQL. Only routing is fixed and keys are in memory, where a real process has both in memory most of the time.
MODE is `whole` (profile P) or `stream`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import uvloop

from pilotage.adapters.clock import SystemClock
from pilotage.adapters.kept_forms import FormFolder
from pilotage.adapters.keyring import Keyring
from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel
from pilotage.core.ids import PersonId, SpaceName
from pilotage.gateway.app import Gateway
from pilotage.gateway.chat import Chat
from pilotage.gateway.health import Health
from pilotage.gateway.metrics import GatewayMetrics
from pilotage.gateway.server import bind, make_server
from pilotage.guard.first_pass import keep_in
from pilotage.guard.pii_recognise import recognise
from pilotage.guard.policy import Action, Check, FailMode, GuardPolicy, Stage, StreamMode
from pilotage.identity.service_key import KeyKind, ServiceKey, format_key, parse_key, secret_hash
from pilotage.release.model import ModelSettings, PinKind, Prices, Provider
from pilotage.serving.authenticator import BearerAuthenticator
from pilotage.serving.guarding import PolicyGuard
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.recorder import Recorder
from pilotage.space.settings import RecordMode
from pilotage.store.serving_records import RecordWriter
from pilotage.testing.serving_path import SPACE, Plan, content, make_path, space

MESSAGE = {"role": "assistant", "content": "Errors are resolved within ten business days of notice."}
USAGE = {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}
ANSWER = msgspec.json.encode(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "mock-1",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)
QUESTION = "When does the bank have to resolve an error? " + "Please. " * 20
PIECES = 200
PIECE_S = 0.005
SILENT = "Say one word and then nothing."
_WORDS = ("The", "bank", "must", "resolve", "an", "error", "within", "10", "business", "days", "of", "notice.")
SECRET = bytes(range(32))
KEY_ID = "7Q2mX9aB4c"
CLOSED = "closed"


def _frame(text: str, *, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "mock-1", "choices": [choice]}
    data = b"data: " + msgspec.json.encode(body | ({"usage": USAGE} if finish else {})) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


FRAMES = [*(_frame(f"{_WORDS[number % len(_WORDS)]} ") for number in range(PIECES)), _frame("", finish="stop")]
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"


class MockProvider(asyncio.Protocol):
    """Answers chat completions. `GET /lost` gives the monotonic moment when a silent answer lost its reader."""

    lost_at = 0.0

    def __init__(self) -> None:
        self.buffer = b""
        self.is_silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Note when."""
        del exc
        if self.is_silent:
            MockProvider.lost_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """Answer once a request is complete."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        size = int(length or 0)
        if len(rest) < size:
            return
        self.buffer = rest[size:]
        if head.startswith(b"GET"):
            now = b"%.6f" % MockProvider.lost_at
            self.transport.write(_WHOLE % (len(now), now))
        elif b'"stream":true' not in rest:
            self.transport.write(_WHOLE % (len(ANSWER), ANSWER))
        else:
            self.is_silent = SILENT.encode() in rest
            self.transport.write(_HEAD)
            self._piece(0)

    def _piece(self, number: int) -> None:
        if self.transport.is_closing():
            return
        if number == len(FRAMES):
            done = b"data: [DONE]\n\n"
            self.transport.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done))
            return
        self.transport.write(FRAMES[number])
        if not self.is_silent:
            asyncio.get_running_loop().call_later(PIECE_S, self._piece, number + 1)


async def provide(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(MockProvider, "127.0.0.1", port)
    await server.serve_forever()


def compile_forms(folder: str) -> None:
    """Keep the guard's compiled forms in a folder, as a process does, or find them there."""
    keep_in(FormFolder(folder=Path(folder), key=bytes(32)))
    recognise("0")


async def serve(port: int, upstream: int, database: str, mode: str) -> None:
    def line(name: str, stage: Stage, action: Action, threshold: float | None = None) -> Check:
        return Check(id=name, stage=stage, action=action, fail=FailMode.CLOSED, threshold=threshold)

    checks = [
        line("size", Stage.INPUT, Action.BLOCK, 32_768),
        line("unicode", Stage.INPUT, Action.REDACT),
        line("secrets", Stage.INPUT, Action.REDACT),
        line("pii_in", Stage.INPUT, Action.REDACT, 0.5),
        line("tripwire", Stage.INPUT, Action.FLAG),
        line("pii_out", Stage.OUTPUT, Action.REDACT),
        line("secrets", Stage.OUTPUT, Action.REDACT),
        line("urls", Stage.OUTPUT, Action.REDACT),
    ]
    if mode == "whole":
        checks.append(line("canary", Stage.OUTPUT, Action.BLOCK))
    stream = StreamMode.BUFFER if mode == "whole" else StreamMode.TOKEN
    settings = ModelSettings(
        provider=Provider.OPENAI,
        model="mock-1",
        pin_kind=PinKind.DATED,
        pin="1",
        base_url=f"http://127.0.0.1:{upstream}/v1",
        prices=Prices(currency="USD", input_nano=150, output_nano=600),
        parameters={"stream": mode != "whole"},
    )
    parts = parse_key(key_text())
    assert parts is not None
    stored = ServiceKey(
        id=parts.id,
        secret_sha256=secret_hash(parts.secret),
        kind=KeyKind.SERVICE,
        name="loader",
        owner=PersonId("maria"),
        scopes=("ask",),
        created_by="maria",
        created_at=datetime.now(UTC),
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )

    class OneKey:
        async def find(self, key: str) -> ServiceKey | None:
            return stored if key == stored.id else None

    policy = GuardPolicy(version=1, stream=stream, checks=tuple(checks))
    path = make_path(
        Plan(
            model=OpenAICompatibleModel(settings, root=Path("/")),
            content=content(model=settings, prices=settings.prices, corpora={}, guard=policy),
            documents=(),
            spaces=(space(), space(SpaceName(CLOSED), mode=RecordMode.FAIL_CLOSED)),
            default_space=SPACE,
            recorder=Recorder(lambda: RecordWriter.connect(database)),
        )
    )
    workspace = path.serving.workspace
    serving = replace(
        path.serving,
        clock=SystemClock(),
        authenticator=BearerAuthenticator(workspace, keys=OneKey()),
        guard=PolicyGuard(workspace, Keyring(folder=Path("/"), master=bytes(32), source="benchmark", created=False)),
    )
    metrics = GatewayMetrics(serving)
    pipeline = Pipeline(serving, on_finished=metrics.finished)
    chat = Chat(serving=serving, pipeline=pipeline)
    gateway = Gateway(serving, chat=chat, feedback=None, health=Health(metrics=metrics))  # type: ignore[arg-type]
    await serving.recorder.start()
    await make_server(gateway, workspace.gateway.limits, on_stop=lambda: None).serve(bind("127.0.0.1", port))


def key_text() -> str:
    """Return the key that the load sends."""
    return format_key(KEY_ID, SECRET)


_NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 1000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://mock; proxy_http_version 1.1;
    proxy_buffering off; proxy_set_header Connection ""; }} }} }}
"""


def nginx_command(binary: str, folder: Path, *, port: int, upstream: int) -> tuple[str, ...]:
    """Write a configuration into `folder`; return the command that runs nginx over the provider."""
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, upstream=upstream, port=port))
    folder.chmod(0o777)  # its worker runs as another user
    return binary, "-c", str(config)


@contextmanager
def child(*arguments: str, core: int) -> Iterator[int]:
    """Run a process pinned to a core."""
    process = subprocess.Popen(arguments, preexec_fn=lambda: os.sched_setaffinity(0, {core}))  # noqa: PLW1509
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["provider", port]:
            uvloop.run(provide(int(port)))
        case ["forms", folder]:
            compile_forms(folder)
        case ["gateway", port, upstream, database, mode, folder]:
            compile_forms(folder)
            uvloop.run(serve(int(port), int(upstream), database, mode))
        case _:
            raise SystemExit(__doc__)

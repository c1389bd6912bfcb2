"""The gateway's own goals of serving.md 8: import, start, memory, CPU per request over nginx (profile P).

Run `python benchmarks/bench_gateway.py`; it prints a Markdown table. The gateway runs pinned to one core, load and mock
provider on another; subjects are interleaved and the medians of five runs are shown. CPU is the scheduler's account of
the process, not wall time. Profile P here: authentication, admission, routing, guard both ways, upstream call over
loopback, record through the asynchronous recorder into a sink in memory. Retrieval (profile R) and the peers that need
their own installation are not part of this file.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import uvloop

REQUESTS = 1_500
REPEATS = 5
CONCURRENCY = 16
MESSAGE = {"role": "assistant", "content": "Errors are resolved within ten business days of notice."}
ANSWER = msgspec.json.encode(
    {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "mock-1",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52},
    }
)
QUESTION = "When does the bank have to resolve an error? " + "Please. " * 20
BODY = msgspec.json.encode({"model": "policy-assistant", "messages": [{"role": "user", "content": QUESTION}]})


class MockProvider(asyncio.Protocol):
    """Answers every request with the same completion."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer once a request is complete."""
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]) if found else 1
        if found and len(rest) >= length:
            self.buffer = rest[length:]
            size = str(len(ANSWER)).encode()
            self.transport.write(  # type: ignore[attr-defined]
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: " + size + b"\r\n\r\n" + ANSWER
            )


async def provide(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(MockProvider, "127.0.0.1", port)
    await server.serve_forever()


async def serve(port: int, upstream: int) -> None:
    # Imported here: the parent process measures how long these imports take.
    from pilotage.adapters.models.openai_compatible import OpenAICompatibleModel  # noqa: PLC0415
    from pilotage.gateway.app import Gateway  # noqa: PLC0415
    from pilotage.gateway.chat import Chat  # noqa: PLC0415
    from pilotage.gateway.health import Health  # noqa: PLC0415
    from pilotage.gateway.metrics import GatewayMetrics  # noqa: PLC0415
    from pilotage.gateway.server import make_server  # noqa: PLC0415
    from pilotage.release.model import ModelSettings, PinKind, Provider  # noqa: PLC0415
    from pilotage.serving.pipeline import Pipeline  # noqa: PLC0415
    from pilotage.testing.serving_path import Plan, content, make_path  # noqa: PLC0415

    settings = ModelSettings(
        provider=Provider.OPENAI,
        model="mock-1",
        pin_kind=PinKind.DATED,
        pin="1",
        base_url=f"http://127.0.0.1:{upstream}/v1",
        parameters={"stream": False},
    )
    model = OpenAICompatibleModel(settings, root=Path("/"))
    path = make_path(Plan(model=model, content=content(model=settings, corpora={}), documents=(), flush_s=0.05))
    path.sink.batches = Forgetful()
    metrics = GatewayMetrics()
    pipeline = Pipeline(path.serving, on_finished=metrics.finished)
    chat = Chat(serving=path.serving, pipeline=pipeline)
    gateway = Gateway(path.serving, chat=chat, feedback=None, health=Health(metrics=metrics))  # type: ignore[arg-type]
    limits = path.serving.workspace.gateway.limits
    await path.serving.recorder.start()
    await make_server(gateway, limits, host="127.0.0.1", port=port, on_stop=lambda: None).serve()


class Forgetful(list):  # type: ignore[type-arg]
    """A list that keeps nothing, so that memory shows the gateway and not the benchmark."""

    def append(self, item: object) -> None:
        """Forget it."""
        del item


async def load(port: int, requests: int, concurrency: int) -> list[float]:
    """Send requests over kept connections; return each one's seconds."""
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer maria\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    ) + BODY
    times: list[float] = []

    async def one(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head[:200])
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(size)
            times.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(one(requests // concurrency) for _ in range(concurrency)))
    return times


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and its children that still run."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0.0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def wait_for(port: int, seconds: float = 30) -> float:
    """Wait until the port answers; return how long it took."""
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        try:
            asyncio.run(load(port, 1, 1))
        except (OSError, asyncio.IncompleteReadError, RuntimeError):
            time.sleep(0.02)
        else:
            return time.perf_counter() - began
    message = f"nothing answers on port {port}"
    raise SystemExit(message)


@contextmanager
def child(*arguments: str, core: int) -> Iterator[int]:
    """Run a process pinned to a core."""
    process = subprocess.Popen(arguments, preexec_fn=lambda: os.sched_setaffinity(0, {core}))  # noqa: PLW1509
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 1000000;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://mock; proxy_http_version 1.1;
    proxy_set_header Connection ""; }} }} }}
"""


def measure(ports: dict[str, int], pids: dict[str, int]) -> dict[str, dict[str, float]]:
    """Interleave the subjects; return medians of CPU microseconds, requests per second and p50 at concurrency 1."""
    seen: dict[str, dict[str, list[float]]] = {name: {"cpu": [], "rps": [], "p50": []} for name in ports}
    for _ in range(REPEATS):
        for name, port in ports.items():
            before, began = cpu_seconds(pids[name]), time.perf_counter()
            done = len(asyncio.run(load(port, REQUESTS, CONCURRENCY)))
            seen[name]["rps"].append(done / (time.perf_counter() - began))
            seen[name]["cpu"].append((cpu_seconds(pids[name]) - before) / done * 1e6)
            alone = asyncio.run(load(port, 200, 1))
            seen[name]["p50"].append(statistics.median(alone) * 1e3)
    return {name: {key: statistics.median(values) for key, values in found.items()} for name, found in seen.items()}


def import_seconds(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(REPEATS)]
    return statistics.median(runs)


def calibrate() -> float:
    """Nanoseconds of one empty loop turn: a way to compare machines."""
    began = time.perf_counter()
    for _ in range(1_000_000):
        pass
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    gateway_port, upstream_port, nginx_port = 18_431, 18_432, 18_433
    rows = [("one empty Python loop turn (this machine)", f"{calibrate():.0f} ns", "")]
    rows.append(("import of the gateway", f"{import_seconds('pilotage.gateway.app'):.2f} s", "< 0.6 s"))
    rows.append(("import of sqlalchemy, for comparison", f"{import_seconds('sqlalchemy'):.2f} s", ""))
    me = (sys.executable, __file__, "--role")
    with tempfile.TemporaryDirectory() as folder, child(*me, "upstream", str(upstream_port), core=cores[-1]):
        wait_for(upstream_port)
        with child(*me, "gateway", str(gateway_port), str(upstream_port), core=cores[0]) as gateway:
            rows.append(("start to first answer", f"{wait_for(gateway_port):.2f} s", "< 3 s"))
            ports, pids = {"gateway": gateway_port}, {"gateway": gateway}
            rows += compared(Path(folder), ports, pids, nginx_port=nginx_port, upstream=upstream_port, core=cores[0])
            rows.append(("resident memory after the run, no index", f"{resident_mb(gateway):.0f} MB", "<= 105 MB"))
    print("| goal | measured | must |\n|---|---|---|")
    for name, value, must in rows:
        print(f"| {name} | {value} | {must} |")


def compared(
    folder: Path, ports: dict[str, int], pids: dict[str, int], *, nginx_port: int, upstream: int, core: int
) -> list[tuple[str, str, str]]:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        alone = measure(ports, pids)["gateway"]
        rows = [
            ("CPU per request, P", f"{alone['cpu']:.0f} us", ""),
            ("over nginx", "nginx is not installed", "<= 14x"),
        ]
        return [*rows, ("requests per second, P", f"{alone['rps']:.0f}", "")]
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, upstream=upstream, port=nginx_port))
    folder.chmod(0o777)  # its worker runs as another user
    with child(binary, "-c", str(config), core=core) as nginx:
        wait_for(nginx_port)
        found = measure(ports | {"nginx": nginx_port}, pids | {"nginx": nginx})
    gateway, floor = found["gateway"], found["nginx"]
    return [
        ("CPU per request, P", f"{gateway['cpu']:.0f} us", ""),
        ("CPU per request, nginx proxy_pass", f"{floor['cpu']:.0f} us", ""),
        ("CPU per request, P, over nginx", f"{gateway['cpu'] / floor['cpu']:.1f}x", "<= 14x"),
        ("requests per second, P", f"{gateway['rps']:.0f}", ""),
        ("added p50 at concurrency 1 over nginx", f"{gateway['p50'] - floor['p50']:.2f} ms", "<= 0.5 ms"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", nargs="+", default=[])
    role = parser.parse_args().role
    if role[:1] == ["upstream"]:
        uvloop.run(provide(int(role[1])))
    elif role[:1] == ["gateway"]:
        uvloop.run(serve(int(role[1]), int(role[2])))
    else:
        main()

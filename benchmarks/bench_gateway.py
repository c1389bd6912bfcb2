"""The gateway's own goals of serving.md 8 (profile P): CPU, latency, streams, disconnects, memory, import, start.

Run `python benchmarks/bench_gateway.py`; it prints a Markdown table and exits 1 below a must. The gateway is pinned to
one core; load, mock provider and PostgreSQL to another. Subjects are interleaved in short bursts, and medians shown.
CPU is the scheduler's account of the process tree in nanoseconds, not wall time. Profile P: authentication by service
key, admission, routing, guard both ways, upstream call over loopback, records in PostgreSQL.
Profile R (retrieval) and the peers that need an installation of their own are not part of this file.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psycopg
from bench_ledger import database
from gateway_subjects import CLOSED, PIECES, QUESTION, SILENT, child, key_text, nginx_command

from pilotage.store.engine import psycopg_url

BURSTS = 15
REQUESTS = 320
CONCURRENCY = 16
ALONE = 40
STREAMS = 8
STREAM_BURSTS = 5
DISCONNECTS = 60
COMMITS = 30
PACE_S = 0.002
SUBJECTS = str(Path(__file__).with_name("gateway_subjects.py"))
GATEWAY, STREAMING, PROVIDER, NGINX = 18_431, 18_434, 18_432, 18_433
PATH = "/v1/chat/completions"
CRLF = b"\r\n"


class RefusedError(Exception):
    """The port answers, but not with 200: the status line and the body."""


@dataclass
class Table:
    """Rows of name, measured, must; whether a must was missed."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)
    is_missed: bool = False

    def add(self, name: str, value: float, form: str, *, at_most: float | None = None) -> None:
        """Add one figure, and what it must not exceed."""
        goal = "" if at_most is None else f"at most {form.format(at_most)}"
        if at_most is not None and value > at_most:
            goal, self.is_missed = f"{goal}: **missed**", True
        self.rows.append((name, form.format(value), goal))


def request_of(question: str, *, path: str = PATH, stream: bool = False) -> bytes:
    body: dict[str, object] = {"model": "policy-assistant", "messages": [{"role": "user", "content": question}]}
    data = msgspec.json.encode(body | ({"stream": True} if stream else {}))
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key_text()}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


async def load(port: int, requests: int, concurrency: int, *, path: str = PATH) -> list[float]:
    """Send requests over kept connections; return each one's seconds."""
    request, times = request_of(QUESTION, path=path), []

    async def one(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(CRLF)[0])
            body = await reader.readexactly(size)
            if not head.startswith(b"HTTP/1.1 200"):
                message = f"{head.partition(CRLF)[0].decode()}: {body[:500].decode(errors='replace')}"
                raise RefusedError(message)
            times.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(one(requests // concurrency) for _ in range(concurrency)))
    return times


async def stream_load(port: int, streams: int) -> int:
    """Read streams side by side to their end; return how many pieces the provider sent for them."""
    request = request_of(QUESTION, stream=True)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        await asyncio.wait_for(reader.readuntil(b"data: [DONE]\n\n"), 60)
        writer.close()

    await asyncio.gather(*(one() for _ in range(streams)))
    return streams * PIECES


async def leave(port: int) -> float:
    """Leave a silent stream; return the seconds until the provider lost its reader."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_of(SILENT, stream=True))
    await asyncio.sleep(0.05)
    left = time.monotonic()
    writer.transport.abort()
    for _ in range(200):
        await asyncio.sleep(0.005)
        lost = await _lost_at()
        if lost > left:
            return lost - left
    del reader
    raise RuntimeError("the provider never lost its reader")


async def _lost_at() -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", PROVIDER)
    writer.write(b"GET /lost HTTP/1.1\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    found = float(await reader.readexactly(size))
    writer.close()
    return found


def cpu_seconds(pid: int) -> float:
    """Return the time on a CPU of every thread of a process and of its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for one in (str(pid), *children):
        for thread in Path(f"/proc/{one}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def wait_for(port: int, seconds: float = 60) -> float:
    """Wait until the port answers; return how long it took."""
    began = time.perf_counter()
    last = "nothing answers"
    while time.perf_counter() - began < seconds:
        try:
            asyncio.run(load(port, 1, 1))
        except RefusedError as refused:  # also while it starts
            last = str(refused)
        except (OSError, asyncio.IncompleteReadError) as error:
            last = f"nothing answers ({error!r})"
        else:
            return time.perf_counter() - began
        time.sleep(0.02)
    message = f"port {port}, {seconds:.0f} s long: {last}"
    raise SystemExit(message)


def spent(pid: int, work: Callable[[], int]) -> float:
    """Return the CPU microseconds of a process per unit of `work`, which returns how many it did."""
    before = cpu_seconds(pid)
    done = work()
    return (cpu_seconds(pid) - before) / done * 1e6


def import_seconds(module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    return statistics.median(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5))


def whole_answers(table: Table, gateway: int, nginx: int) -> None:
    subjects = {"gateway": (gateway, GATEWAY), "nginx": (nginx, NGINX)}
    cpu: dict[str, list[float]] = {name: [] for name in subjects}
    rps: dict[str, list[float]] = {name: [] for name in subjects}
    alone: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(BURSTS):
        for name, (pid, port) in subjects.items():
            began = time.perf_counter()
            cpu[name].append(spent(pid, lambda port=port: len(asyncio.run(load(port, REQUESTS, CONCURRENCY)))))
            rps[name].append(REQUESTS / (time.perf_counter() - began))
            alone[name] += asyncio.run(load(port, ALONE, 1))
    middle = {name: statistics.median(values) for name, values in cpu.items()}
    ratios = [one / two for one, two in zip(cpu["gateway"], cpu["nginx"], strict=True)]
    p50 = {name: statistics.median(values) * 1e3 for name, values in alone.items()}
    table.add("CPU per request, P", middle["gateway"], "{:.0f} us")
    table.add("CPU per request, nginx proxy_pass", middle["nginx"], "{:.0f} us")
    table.add("CPU per request, P, over nginx", statistics.median(ratios), "{:.1f}x", at_most=14)
    table.add("requests per second of one core, by its CPU", 1e6 / middle["gateway"], "{:.0f}")
    table.add("requests per second of this run", statistics.median(rps["gateway"]), "{:.0f}")
    table.add("added p50 at concurrency 1 over nginx", p50["gateway"] - p50["nginx"], "{:.2f} ms", at_most=0.5)


def committed_answers(table: Table, conninfo: str) -> None:
    """Compare answers that wait for their record with answers that do not, in units of one commit at the same pace."""
    commit, closed, open_ = [], [], []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on; CREATE TABLE one_commit (at timestamptz)")
        for _ in range(BURSTS):
            for _ in range(COMMITS):
                time.sleep(PACE_S)
                began = time.perf_counter()
                connection.execute("INSERT INTO one_commit VALUES (now())", prepare=True)
                commit.append(time.perf_counter() - began)
            closed += asyncio.run(load(GATEWAY, COMMITS, 1, path=f"/spaces/{CLOSED}{PATH}"))
            open_ += asyncio.run(load(GATEWAY, COMMITS, 1))
        connection.execute("DROP TABLE one_commit")
    one = statistics.median(commit)
    table.add("one commit, p50", one * 1e3, "{:.2f} ms")
    added = (statistics.median(closed) - statistics.median(open_)) / one
    table.add("added p50 of fail_closed at concurrency 1, in commits", added, "{:.1f}", at_most=3)


def streams(table: Table, gateway: int, nginx: int) -> None:
    subjects = {"gateway": (gateway, STREAMING), "nginx": (nginx, NGINX)}
    cpu: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(STREAM_BURSTS):
        for name, (pid, port) in subjects.items():
            cpu[name].append(spent(pid, lambda port=port: asyncio.run(stream_load(port, STREAMS))))
    middle = {name: statistics.median(values) for name, values in cpu.items()}
    ratio = statistics.median(one / two for one, two in zip(cpu["gateway"], cpu["nginx"], strict=True))
    table.add("CPU per streamed piece, hold-back included", middle["gateway"], "{:.0f} us")
    table.add("the same, nginx proxy_pass", middle["nginx"], "{:.0f} us")
    table.add("CPU per streamed piece over nginx", ratio, "{:.1f}x", at_most=6)
    left = [asyncio.run(leave(STREAMING)) * 1e3 for _ in range(DISCONNECTS)]
    table.add("client gone to upstream closed, p50", statistics.median(left), "{:.1f} ms")
    table.add("the same, slowest", max(left), "{:.0f} ms", at_most=250)


def main() -> None:
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        raise SystemExit("The floor of every ratio is nginx: install it (apt-get install nginx-light).")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    table = Table()
    table.add("import of the gateway", import_seconds("pilotage.gateway.app"), "{:.2f} s", at_most=0.6)
    me = (sys.executable, SUBJECTS)
    with ExitStack() as stack:
        url = psycopg_url(stack.enter_context(database()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        forms = stack.enter_context(tempfile.TemporaryDirectory())
        subprocess.run([*me, "forms", forms], check=True)
        stack.enter_context(child(*me, "provider", str(PROVIDER), core=cores[-1]))
        nginx = stack.enter_context(child(*nginx_command(binary, folder, port=NGINX, upstream=PROVIDER), core=cores[0]))
        wait_for(NGINX)
        gateway = stack.enter_context(
            child(*me, "gateway", str(GATEWAY), str(PROVIDER), url, "whole", forms, core=cores[0])
        )
        table.add("start to first answer", wait_for(GATEWAY), "{:.2f} s", at_most=3)
        whole_answers(table, gateway, nginx)
        table.add("resident memory after the run, no index", resident_mb(gateway), "{:.0f} MB", at_most=105)
        committed_answers(table, url)
        streaming = stack.enter_context(
            child(*me, "gateway", str(STREAMING), str(PROVIDER), url, "stream", forms, core=cores[0])
        )
        wait_for(STREAMING)
        streams(table, streaming, nginx)
    print("| goal | measured | must |\n|---|---|---|")
    for name, value, must in table.rows:
        print(f"| {name} | {value} | {must} |")
    if table.is_missed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""Live pages of rollouts on real streams: `python benchmarks/bench_live.py [--seconds N] [--streams N]`.

Ten rollouts, each with two days of both arms and a hundred verdicts, change twice a second each; 500 streams of 100
people follow them over HTTP on loopback, served by uvicorn in a process of its own (console.md 7). Writer and readers
are other processes. Printed are the milliseconds that one event costs to render, and the share of a core that the
server's process spent: as the product looks, and looking often enough to send two events a second to everybody. Exits
1 when one of them is over its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.browser.served import free_port
from tests.console.asking import FakeAsking
from tests.console.conftest import Bank, make_bank

from pilotage.adapters.clock import SystemClock
from pilotage.adapters.keyring import Keyring
from pilotage.console.app import Console
from pilotage.console.assets import load_assets
from pilotage.console.live import LOOK_S, PER_PERSON, PER_PROCESS, LiveBoard
from pilotage.console.pages.rollout import live_of
from pilotage.console.render import Renderer
from pilotage.console.visit import Services
from pilotage.control.console_session import SignedIn, open_session
from pilotage.control.create_key import IssuedKey, KeyRequest, create_key
from pilotage.control.instance import Instance
from pilotage.control.load_workspace import load_workspace
from pilotage.control.view_rollout import view_rollout
from pilotage.core.ids import PersonId
from pilotage.gateway.server import GatewayServer
from pilotage.identity.service_key import KeyKind
from pilotage.jobs.rollout_reconciler import rollout_ports
from pilotage.rollout.assignment import Arm
from pilotage.rollout.course import Slot
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine, url_of
from pilotage.store.migrate import migrate
from pilotage.store.rollout_course import add_course
from pilotage.store.rollouts import save_wave, waves_of
from pilotage.testing.clock import SimulatedClock
from pilotage.workspace.principals import local_principal

ROLLOUTS: Final = 10
QUICK_S: Final = 0.4
"""Seconds between two looks that miss none of two changes a second."""
A_SECOND: Final = 2
VERDICTS: Final = 94
SLOTS: Final = 48
MUST_RENDER_MS, MUST_SHARE = 5.0, 0.30
TESTS: Final = tuple(f"{p}.{m}" for p in ("go", "hold", "trip") for m in ("error", "p95", "late", "policy", "cost"))
SERVER: Final = "PILOTAGE_BENCH_DATABASE"


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What the streams cost. `look_s` between two looks; the server's `share` of a core; `rate`: events of a stream."""

    look_s: float
    share: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class Found:
    """CPU of an event, sorted; its size; the streams as the product looks, and as one that looks more often does."""

    read_ms: Sequence[float]
    rendered_ms: Sequence[float]
    kilobytes: float
    sent: Sequence[Sent]


def crowd(instance: Instance, number: int) -> Instance:
    """Return the instance with so many people more."""
    workspace = instance.workspace
    first = next(iter(workspace.people.values()))
    more = {type(first.id)(f"asker-{place:03}"): first for place in range(number)}
    people = {**workspace.people, **{name: replace(one, id=name) for name, one in more.items()}}
    return replace(instance, workspace=replace(workspace, people=people))


def console_of(instance: Instance, look_s: float) -> Console:
    """Return a console whose board looks this often."""
    asking, live = FakeAsking(SimulatedClock()), LiveBoard(look_s=look_s)
    services = Services(
        instance=instance, reading=instance, redact=str, asking=asking, ports=rollout_ports(), live=live
    )
    return Console(services)


def slots(began: datetime, numbers: Sequence[int], requests: int = 200) -> dict[tuple[Arm, datetime], Slot]:
    """Return both arms in these slots of an hour."""
    return {
        (arm, began + timedelta(hours=place)): Slot(
            requests=requests,
            failed=place % 2,
            scored=50,
            ungrounded=1,
            bins={math.ceil(math.log(ms * (0.5 + part / 20)) / math.log(1.02)): 10 for part in range(20)},
        )
        for place in numbers
        for arm, ms in ((Arm.STABLE, 1210), (Arm.CANDIDATE, 1260))
    }


def judge(bank: Bank, rollout: str, number: int) -> None:
    """Give a verdict of as many tests as a plan has."""
    more = {
        name: {"purpose": name.split(".")[0], "standing": "open", "x": 3, "n": 1000 + number, "limit": "< 1 %"}
        for name in TESTS
    }
    bank.judge(rollout, x=3, n=1000 + number, after=timedelta(minutes=1), more=more)


def grow(bank: Bank) -> list[str]:
    """Place the rollouts with their course and verdicts; return their ids."""
    found = []
    began = bank.clock.now() - timedelta(hours=SLOTS)
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DROP INDEX rollout_one_active"))  # ten rollouts of one workflow are enough here
    for _ in range(ROLLOUTS):
        found.append(bank.roll_out())
        with bank.instance.engine.begin() as connection:
            add_course(connection, found[-1], 0, slots(began, range(SLOTS)))
            wave = waves_of(connection, found[-1])[0]
            save_wave(connection, replace(wave, started_at=began, ratings={bank.release: (25, 3)}))
        for number in range(VERDICTS):
            judge(bank, found[-1], number)
    return found


def timed(bank: Bank, rollout: str, times: int = 100) -> tuple[list[float], list[float], float]:
    """Show a rollout that changes each time; return CPU milliseconds of reading and of rendering, and kilobytes."""
    renderer = Renderer(bank.instance.workspace, load_assets())
    read, made, body = [], [], ""
    for number in range(times):
        change(bank, rollout, number)
        marks = [time.process_time()]
        view = view_rollout(bank.instance, identifier=rollout)
        marks.append(time.process_time())
        body = renderer.part("_rollout.html", "region", live_of(view, bank.clock.now()))
        marks.append(time.process_time())
        read.append((marks[1] - marks[0]) * 1000)
        made.append((marks[2] - marks[1]) * 1000)
    return sorted(read), sorted(made), len(body.encode()) / 1000


def change(bank: Bank, rollout: str, number: int) -> None:
    """Let a rollout go on, as its reconciler does: the newest slot grows, the newest look gives way to another."""
    with bank.instance.engine.begin() as connection:
        connection.execute(_FORGET, {"rollout": rollout})
        first = waves_of(connection, rollout)[0].started_at
        assert first is not None
        add_course(connection, rollout, 0, slots(first, [SLOTS - 1], requests=3))
    judge(bank, rollout, VERDICTS + number)


_FORGET: Final = text("""
DELETE FROM rollout_verdict
WHERE rollout = :rollout AND at = (SELECT max(at) FROM rollout_verdict WHERE rollout = :rollout)
""")


class Reader(asyncio.Protocol):
    """One browser's stream: counts what comes, keeps nothing."""

    def __init__(self, path: str, token: str) -> None:
        self._head = (
            f"GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\nCookie: pilotage={token}\r\n\r\n"
        )
        self._tail = b""
        self.events = 0
        self.status = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._head.encode())

    def data_received(self, data: bytes) -> None:
        """Count the events that begin here."""
        self.status = self.status or data[9:12]
        self.events += (self._tail + data).count(_MARK)
        self._tail = data[1 - len(_MARK) :]


_MARK: Final = b"event: region\n"


def cpu_seconds(process: int) -> float:
    """Return what a process spent so far, of user and system."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def changing(bank: Bank, rollouts: Sequence[str]) -> Iterator[None]:
    """Change every rollout twice a second, in a thread."""
    over = threading.Event()

    def run() -> None:
        began, number = time.monotonic(), 0
        while not over.is_set():
            change(bank, rollouts[number % len(rollouts)], number)
            number += 1
            over.wait(max(0.0, began + number / (A_SECOND * len(rollouts)) - time.monotonic()))

    thread = threading.Thread(target=run, name="writer")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def follow(
    port: int, rollouts: Sequence[str], tokens: Sequence[str], streams: int, seconds: float, process: int
) -> tuple[float, float]:
    """Open the streams, wait until each has begun, then count; return the share of a core and events of a stream."""
    loop = asyncio.get_running_loop()
    readers = []
    for number in range(streams):
        path, token = f"/live/rollouts/{rollouts[number % len(rollouts)]}", tokens[number // PER_PERSON]
        _, reader = await loop.create_connection(partial(Reader, path, token), "127.0.0.1", port)
        readers.append(reader)
    async with asyncio.timeout(120):
        while any(reader.events < 2 for reader in readers):
            assert all(reader.status in {b"", b"200"} for reader in readers), {reader.status for reader in readers}
            await asyncio.sleep(0.2)
    before, spent, began = sum(reader.events for reader in readers), cpu_seconds(process), time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    share = (cpu_seconds(process) - spent) / took
    return share, (sum(reader.events for reader in readers) - before) / streams / took


def measure(bank: Bank, streams: int, seconds: float) -> Found:
    """Time an event, then serve the streams twice: as often as the product looks, and for two events a second."""
    rollouts = grow(bank)
    read, made, kilobytes = timed(bank, rollouts[0])
    tokens = sign_in(crowd(bank.instance, people_of(streams)), people_of(streams))
    sent = [serve_streams(bank, rollouts, tokens, streams, seconds, look_s) for look_s in (LOOK_S, QUICK_S)]
    return Found(read_ms=read, rendered_ms=made, kilobytes=kilobytes, sent=sent)


def serve_streams(
    bank: Bank, rollouts: Sequence[str], tokens: Sequence[str], streams: int, seconds: float, look_s: float
) -> Sent:
    """Serve the streams in a process of its own while the rollouts change."""
    port = free_port()
    given = [str(bank.instance.root), str(bank.instance.home), str(port), str(look_s)]
    environ = os.environ | {SERVER: url_of(bank.instance.engine)}
    server = subprocess.Popen([sys.executable, __file__, "--serve", *given], env=environ)
    try:
        answers(port, server)
        with changing(bank, rollouts):
            share, rate = asyncio.run(follow(port, rollouts, tokens, streams, seconds, server.pid))
    finally:
        server.kill()  # its streams never end by themselves
        server.wait(60)
    return Sent(look_s=look_s, share=share, rate=rate)


def sign_in(instance: Instance, people: int) -> list[str]:
    """Sign so many people in now, each by a key of their own; return their sessions' tokens."""
    instance, found = replace(instance, clock=SystemClock()), []
    for number in range(people):
        name = f"asker-{number:03}"
        actor = local_principal(instance.workspace, PersonId(name))
        request = KeyRequest(kind=KeyKind.LOCAL, name=name, owner=PersonId(name))
        issued = create_key(instance, actor=actor, request=request)
        assert isinstance(issued, IssuedKey)
        signed_in = open_session(instance, key=issued.text)
        assert isinstance(signed_in, SignedIn)
        found.append(signed_in.token)
    return found


def people_of(streams: int) -> int:
    """Return how many people hold so many streams."""
    return math.ceil(streams / PER_PERSON)


def answers(port: int, server: subprocess.Popen[bytes]) -> None:
    """Return once the server listens."""
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    message = "the server did not start"
    raise RuntimeError(message)


def serve(root: str, home: str, port: str, look_s: str) -> None:
    """Serve until told to end."""
    instance = Instance(
        workspace=load_workspace(Path(root)),
        root=Path(root),
        home=Path(home),
        engine=make_engine(os.environ[SERVER]),
        clock=SystemClock(),
        keyring=Keyring.open(Path(home), {}),
        embedded=False,
    )
    config = uvicorn.Config(
        console_of(crowd(instance, people_of(PER_PROCESS)), float(look_s)),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
    GatewayServer(config, on_stop=lambda: None).run()  # collects garbage as rarely as the product's own process


def main() -> None:
    """Print the figures; exit 1 over a limit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--streams", type=int, default=PER_PROCESS)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--serve", nargs=4, default=None, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve is not None:
        serve(*chosen.serve)
        return
    given = os.environ.get("DATABASE_URL")
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="pilotage-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with nullcontext() if given else EmbeddedServer(folder / "home") as server:
            engine = make_engine(given or server.url)
            migrate(engine)
            found = measure(make_bank(engine, folder), chosen.streams, chosen.seconds)
            engine.dispose()
    raise SystemExit(0 if told(found, chosen.streams) else 1)


def told(found: Found, streams: int) -> bool:
    """Print what was measured; tell whether it is within the limits."""
    is_quick = share_of(found.rendered_ms, 0.95) < MUST_RENDER_MS
    print(f"Machine at a load of {os.getloadavg()[0]:.1f}; a fragment of {found.kilobytes:.0f} KB.\n")
    print("| what | measured | must | met |\n|---|--:|--:|---|")
    print(f"| one event read, CPU p50; p95 | {both(found.read_ms)} ms | | |")
    print(f"| one event rendered | {both(found.rendered_ms)} ms | {MUST_RENDER_MS:.0f} ms | {said(is_met=is_quick)} |")
    for one in found.sent:
        what = (
            f"{streams} streams, a look each {one.look_s:g} s, {one.rate:.2f} events a second to each: share of a core"
        )
        print(f"| {what} | {one.share:.1%} | {MUST_SHARE:.0%} | {said(is_met=one.share < MUST_SHARE)} |")
    return is_quick and all(one.share < MUST_SHARE for one in found.sent)


def both(times: Sequence[float]) -> str:
    """Return median and 95th percentile."""
    return f"{share_of(times, 0.5):.1f}; {share_of(times, 0.95):.1f}"


def share_of(times: Sequence[float], part: float) -> float:
    """Return the quantile of sorted times."""
    return times[int(part * (len(times) - 1))]


def said(*, is_met: bool) -> str:
    """Return the word of the last column."""
    return "yes" if is_met else "**no**"


if __name__ == "__main__":
    main()

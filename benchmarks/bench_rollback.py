"""How fast a withdrawn release stops getting requests, over real processes: `python benchmarks/bench_rollback.py`.

Each process runs the serving path's own routing watch, listener and acknowledger against a real PostgreSQL, and routes
askers as fast as its core lets it, counting what goes to the candidate. The parent flips the routing row and measures,
on one machine's clock, the last request any process sent to the candidate after the commit. Releases are not loaded:
what is timed is the way from commit to routing. Exits 1 when p99 is over 2 s (rollouts.md 8.3).
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Engine, text

from pilotage.core.digest import Digest
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.rollout.assignment import Arm, assign
from pilotage.serving.routing import effective_split
from pilotage.store.embedded import EmbeddedServer
from pilotage.store.engine import make_engine
from pilotage.store.migrate import migrate
from pilotage.store.routes import acks_of, read_route, write_route
from pilotage.testing.route_follower import route_follower

SPACE, WORKFLOW = SpaceName("production"), WorkflowName("assistant")
OLD, NEW = (Digest(f"sha256:{letter * 64}") for letter in "ab")
LIMIT_S = 2.0


async def _serve(url: str, name: str, pipe: Pipe) -> None:
    """Route askers until told to stop; answer each `?` with the time of the last admission to the candidate."""
    last, asker, running = 0.0, 0, True
    async with route_follower(url, name) as follower:
        watch = follower.watch
        while running:
            for _ in range(50):
                asker += 1
                row = watch.current.row(SPACE, WORKFLOW)
                if row is None:
                    continue
                split = effective_split(row, confirmed_s_ago=time.monotonic() - watch.current.confirmed_at)
                if assign(split, principal=f"local|p{asker % 20_000:06d}", groups=frozenset()) is Arm.CANDIDATE:
                    follower.admissions.count(SPACE, WORKFLOW, NEW)
                    last = time.time()
            while pipe.poll():
                running = pipe.recv() == "?"
                if running:
                    pipe.send(last)
            await asyncio.sleep(0.001)


def _process(url: str, name: str, pipe: Pipe) -> None:
    asyncio.run(_serve(url, name, pipe))


def _route(engine: Engine, **changes: Any) -> tuple[int, float]:  # noqa: ANN401 - fields of the row
    """Write the row and return its generation with the time just after the commit."""
    with engine.begin() as connection:
        seen = read_route(connection, SPACE, WORKFLOW, lock=True)
        after = write_route(connection, seen, replace(seen, **changes), fence=seen.fence, at=datetime.now(tz=UTC))
    if after is None:
        raise RuntimeError("The routing row moved; nobody else should write it here.")
    return after.generation, time.time()


def _follow(engine: Engine, generation: int, processes: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            acks = acks_of(connection, SPACE, WORKFLOW)
        if sum(ack.generation >= generation for ack in acks) == processes:
            return
        time.sleep(0.005)
    raise RuntimeError("A process did not follow within 30 s.")


def _measure(engine: Engine, pipes: list[Pipe], flips: int) -> list[float]:
    found: list[float] = []
    for _ in range(flips):
        up = {"stable": OLD, "candidate": NEW, "fraction_ppm": 250_000, "cohort": {"all": True}, "salt": "s"}
        _follow(engine, _route(engine, **up)[0], len(pipes))
        time.sleep(0.05)
        generation, committed = _route(engine, candidate=None, fraction_ppm=0, cohort={})
        _follow(engine, generation, len(pipes))
        for pipe in pipes:
            pipe.send("?")
        found.append(max(0.0, *(cast(float, pipe.recv()) - committed for pipe in pipes)))
    return found


def _prepare(url: str) -> Engine:
    engine = make_engine(url)
    migrate(engine)
    with engine.begin() as connection:
        for digest in (OLD, NEW):
            connection.execute(
                text(
                    "INSERT INTO release (digest, workflow, parts_digest, manifest, state, seal, signature, key_name,"
                    " sealed_by, sealed_at) VALUES (:digest, :workflow, :digest, '', 'sealed', '', '', 'k', 'p', now())"
                ),
                {"digest": digest, "workflow": WORKFLOW},
            )
    return engine


def main() -> None:
    """Print the figures; exit 1 over the limit."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--processes", type=int, default=4)
    options.add_argument("--flips", type=int, default=50)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o711)
        if given := os.environ.get("DATABASE_URL"):
            found = _run(given, chosen.processes, chosen.flips)
        else:
            with EmbeddedServer(Path(folder) / "home") as server:
                found = _run(server.url, chosen.processes, chosen.flips)
    found.sort()
    p50, p99 = found[len(found) // 2], found[min(len(found) - 1, int(0.99 * len(found)))]
    print("| commit to last request to the candidate | p50 | p99 | longest | must (p99) |")
    print("|---|--:|--:|--:|--:|")
    print(
        f"| {chosen.processes} processes, {chosen.flips} flips | {1000 * p50:.1f} ms | {1000 * p99:.1f} ms"
        f" | {1000 * found[-1]:.1f} ms | {1000 * LIMIT_S:.0f} ms |"
    )
    sys.exit(int(p99 > LIMIT_S))


def _run(url: str, processes: int, flips: int) -> list[float]:
    engine = _prepare(url)
    context = multiprocessing.get_context("spawn")
    pipes: list[Pipe] = []
    children = []
    for number in range(processes):
        mine, theirs = context.Pipe()
        child = context.Process(target=_process, args=(url, f"gateway-{number}", theirs))
        child.start()
        pipes.append(mine)
        children.append(child)
    try:
        return _measure(engine, pipes, flips)
    finally:
        for pipe in pipes:
            pipe.send("stop")
        for child in children:
            child.join(20)
        engine.dispose()


if __name__ == "__main__":
    main()

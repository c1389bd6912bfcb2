"""What a stalled shadow arm costs a user (rollouts.md 9, 13): `python benchmarks/bench_shadow.py`.

The same pipeline over fakes, one asker after the other out of many, with the arm beside it and without; the two take
turns in short blocks, so that what else the machine does meets both. Every request is sampled and the candidate never
answers: walkers hang, the queue is full. Exits 1 when the users' p99 moves by 1 ms or more.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pilotage.core.ids import InteractionId, new_ulid
from pilotage.evaluation.pair_scorer import SupportScorer
from pilotage.guard.first_pass import FIRST_PASS
from pilotage.serving.context import Asked, Bearer, Peer, Received, Turn
from pilotage.serving.pipeline import Pipeline
from pilotage.serving.routing import Release
from pilotage.serving.run import Finished
from pilotage.serving.shadow import ShadowArm
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import WORKFLOW, Path, content, make_path, person
from pilotage.testing.shadow import FakePairStore

BLOCKS, REQUESTS, ASKERS = 40, 250, 2_000
LIMIT_MS = 1.0


def _path(names: list[str], *, has_shadow: bool) -> tuple[Path, ShadowArm]:
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    path = make_path()
    path.authenticator.principals |= {name: person(name, "lending") for name in names}
    release = Release(content=content("the candidate"), model=FakeModel(gate=lambda: never))
    if has_shadow:
        path.serving = replace(path.serving, has_shadow=True)
        table = path.routing.current
        row = partial(replace, shadow=release.digest, shadow_ppm=1_000_000, rollout="rollout-1")
        rows = {place: row(one) for place, one in table.rows.items()}
        path.routing.current = replace(table, rows=rows, releases={**table.releases, release.digest: release})
    return path, ShadowArm(path.serving, FakePairStore(), SupportScorer())


async def _block(path: Path, told: Callable[[Finished], None] | None, names: list[str], first: int) -> list[float]:
    pipeline, found = Pipeline(path.serving, on_finished=told), []
    for index in range(first, first + REQUESTS):
        now = path.serving.clock.now()
        received = Received(
            interaction=InteractionId(new_ulid(now)),
            at=now,
            started=path.serving.monotonic(),
            peer=Peer(address="127.0.0.1"),
            credential=Bearer(token=names[index % ASKERS]),
            asked=Asked(workflow=WORKFLOW, messages=(Turn(role="user", text="When are errors resolved?"),)),
        )
        began = time.perf_counter()
        await pipeline.answer(received)
        found.append(1000 * (time.perf_counter() - began))
        await asyncio.sleep(0)
    path.sink.batches.clear()
    return found


async def _measure() -> tuple[list[float], list[float], ShadowArm]:
    names = [f"asker-{number}" for number in range(ASKERS)]
    alone, _ = _path(names, has_shadow=False)
    beside, arm = _path(names, has_shadow=True)
    for path in (alone, beside):
        await path.serving.recorder.start()
    arm.start()
    without: list[float] = []
    stalled: list[float] = []
    for block in range(BLOCKS):
        first = block * REQUESTS
        plain, shadowed = (
            await _block(alone, None, names, first),
            await _block(beside, arm.take, names, first),
        )
        if block:  # the first one warms up
            without += plain
            stalled += shadowed
    await arm.stop()
    for path in (alone, beside):
        await path.serving.recorder.stop()
    return sorted(without), sorted(stalled), arm


def main() -> None:
    """Print the figures; exit 1 over the limit."""
    FIRST_PASS("")
    without, stalled, arm = asyncio.run(_measure())
    if not arm.lost["queue_full"]:
        raise SystemExit("The queue never filled, so the arm was not stalled.")
    p50, p99 = len(without) // 2, int(0.99 * len(without))
    moved = stalled[p99] - without[p99]
    print("| a user's answer | p50 | p99 | p99 moves by | must |")
    print("|---|--:|--:|--:|--:|")
    print(f"| no shadow | {without[p50]:.3f} ms | {without[p99]:.3f} ms | | |")
    print(
        f"| every request sampled, candidate stalled | {stalled[p50]:.3f} ms | {stalled[p99]:.3f} ms"
        f" | {moved:+.3f} ms | < {LIMIT_MS:g} ms |"
    )
    sys.exit(int(moved >= LIMIT_MS))


if __name__ == "__main__":
    main()

"""Gateways under load in processes of their own, while a routing row moves: who was answered by what, and until when.

Each process is the real gateway over loopback HTTP, the real pipeline, routing watch, listener and acknowledger against
a real database; askers, retrieval and models are stood for. It asks itself without pause, every fourth time as a
stream, and checks each answer against the release it names. Fail mode: an answer that is not whole stands in `failed`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection as Pipe
from typing import Any, Final, cast

import aiohttp
import msgspec
from sqlalchemy import Engine, text

from pilotage.adapters.clock import SystemClock
from pilotage.core.digest import Digest, digest_of
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.guard.first_pass import FIRST_PASS
from pilotage.guard.policy import StreamMode
from pilotage.serving.admissions import Admissions
from pilotage.serving.routing import Release
from pilotage.store.routes import acks_of, read_route, write_route
from pilotage.testing.gateway import Running, chat, running
from pilotage.testing.models import FakeModel
from pilotage.testing.network import enter
from pilotage.testing.route_follower import route_follower
from pilotage.testing.serving_path import SPACE, WORKFLOW, content, make_path, person

OLD, NEW = "the release of before", "the release on its way"
ASKERS: Final = 400
AT_ONCE: Final = 4
_PAUSE_S: Final = 0.02
_PATIENCE_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Seen:
    """What one process saw. `last` is when it last admitted somebody to the candidate, in seconds since 1970."""

    last: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    streams: int = 0
    failed: list[str] = field(default_factory=list)


class _Noted(Admissions):
    """Notes when somebody was admitted to a candidate."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def count(self, space: SpaceName, workflow: WorkflowName, release: Digest) -> None:
        super().count(space, workflow, release)
        self._seen.last = time.time()


def digest_named(name: str) -> Digest:
    """Return the digest that stands for a release."""
    return digest_of(name.encode())


def _released(digest: Digest) -> Release:
    name = next(name for name in (OLD, NEW) if digest_named(name) == digest)

    def pause() -> asyncio.Future[None]:
        return asyncio.ensure_future(asyncio.sleep(_PAUSE_S))

    model = FakeModel(pieces=(f"So says {name}: ", "ten days. ", "[1]"), gate=pause)
    return Release(content=content(name, stream=StreamMode.TOKEN), model=model)


async def _serve(url: str, name: str, pipe: Pipe) -> None:
    seen = Seen()
    path = make_path()
    path.authenticator.principals |= {f"asker-{number}": person(f"asker-{number}") for number in range(ASKERS)}
    async with route_follower(url, name, admissions=_Noted(seen), release=_released) as follower:
        path.serving = replace(path.serving, table=follower.watch, admissions=follower.admissions)
        async with running(path=path) as gateway:
            asking = [asyncio.create_task(_ask_on(gateway, seen, first)) for first in range(AT_ONCE)]
            pipe.send("ready")
            while True:
                if pipe.poll():
                    if pipe.recv() != "?":
                        break
                    pipe.send(seen)
                await asyncio.sleep(0.002)
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)


async def _ask_on(gateway: Running, seen: Seen, first: int) -> None:
    number = first
    while True:
        number += AT_ONCE
        try:
            await _ask(gateway, seen, number)
        except (aiohttp.ClientError, OSError, LookupError, ValueError) as error:
            seen.failed.append(f"{type(error).__name__}: {error}")
        path = gateway.path
        path.sink.batches.clear()  # records of a long run are not what is looked at
        await asyncio.sleep(_PAUSE_S)


async def _ask(gateway: Running, seen: Seen, number: int) -> None:
    is_stream = number // AT_ONCE % 4 == 0
    headers = {"Authorization": f"Bearer asker-{number * 7 % ASKERS}", "Content-Type": "application/json"}
    body = msgspec.json.encode(chat(stream=is_stream))
    async with gateway.http.post(f"{gateway.url}/v1/chat/completions", headers=headers, data=body) as response:
        said = await response.text()
    name = {digest_named(name): name for name in (OLD, NEW)}.get(Digest(response.headers.get("x-pilotage-release", "")))
    if response.status != 200 or name is None:
        seen.failed.append(f"{response.status}: {said[:200]}")
        return
    if is_stream and not said.rstrip().endswith("data: [DONE]"):
        seen.failed.append(f"a stream broke off: {said[-200:]}")
        return
    answer = _streamed(said) if is_stream else msgspec.json.decode(said)["choices"][0]["message"]["content"]
    if answer != f"So says {name}: ten days. [1]":
        seen.failed.append(f"{name} is named and {answer!r} was said")
        return
    seen.answers[name] += 1
    seen.streams += is_stream


def _streamed(said: str) -> str:
    frames = [line[6:] for line in said.splitlines() if line.startswith("data: {")]
    chosen = [choice for frame in frames for choice in msgspec.json.decode(frame)["choices"]]
    return "".join(one["delta"].get("content") or "" for one in chosen)


def _process(url: str, name: str, pipe: Pipe, namespace: str | None) -> None:
    if namespace is not None:
        enter(namespace)
    FIRST_PASS("")  # compiled before the first request, which would stand still for it
    asyncio.run(_serve(url, name, pipe))


class Gateways:
    """The processes. `seen` asks all of them."""

    def __init__(self, pipes: Sequence[Pipe]) -> None:
        self._pipes = pipes

    def seen(self) -> list[Seen]:
        """Return what each saw since it started."""
        for pipe in self._pipes:
            pipe.send("?")
        return [cast(Seen, _said(pipe)) for pipe in self._pipes]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names under which they acknowledge."""
        return tuple(f"gateway-{number}" for number in range(len(self._pipes)))


@contextmanager
def gateways(urls: Sequence[str], *, namespaces: Sequence[str | None] = ()) -> Iterator[Gateways]:
    """Run one process for each address of the database, in these network namespaces, while the block lasts."""
    spawn = multiprocessing.get_context("spawn")
    pipes: list[Pipe] = []
    started = []
    try:
        for number, url in enumerate(urls):
            mine, theirs = spawn.Pipe()
            where = namespaces[number] if namespaces else None
            process = spawn.Process(target=_process, args=(url, f"gateway-{number}", theirs, where))
            process.start()
            pipes.append(mine)
            started.append(process)
        for pipe in pipes:
            _said(pipe)
        yield Gateways(pipes)
    finally:
        for pipe in pipes:
            pipe.send("stop")
        for process in started:
            process.join(20)
            process.kill()


def _said(pipe: Pipe) -> object:
    if not pipe.poll(_PATIENCE_S):
        message = "A serving process says nothing."
        raise TimeoutError(message)
    return pipe.recv()


def prepare(engine: Engine) -> None:
    """Store the two releases and a row that serves the old one."""
    with engine.begin() as connection:
        for name in (OLD, NEW):
            connection.execute(_RELEASE, {"digest": digest_named(name), "workflow": WORKFLOW})
    route(engine, stable=digest_named(OLD), reason="prepared")


def send_to_candidate(engine: Engine, fraction_ppm: int = 500_000) -> int:
    """Send this share of the askers to the new release; return the generation."""
    up: dict[str, Any] = {"candidate": digest_named(NEW), "fraction_ppm": fraction_ppm, "cohort": {"all": True}}
    return route(engine, **up, salt="5f1c0e9ab2d34476")[0]


def take_out(engine: Engine) -> tuple[int, float]:
    """Take the new release out as a rollback does; return the generation and the moment after the commit."""
    return route(engine, candidate=None, fraction_ppm=0, cohort={})


def route(engine: Engine, **changes: object) -> tuple[int, float]:
    """Write the row; return its generation and the moment after the commit."""
    with engine.begin() as connection:
        seen = read_route(connection, SPACE, WORKFLOW, lock=True)
        wanted = replace(seen, **cast(Any, changes))
        after = write_route(connection, seen, wanted, fence=seen.fence, at=SystemClock().now())
    if after is None:
        message = "The routing row moved; nobody else should write it here."
        raise RuntimeError(message)
    return after.generation, time.time()


def until_followed(engine: Engine, generation: int, names: Sequence[str]) -> float:
    """Wait until these processes have acknowledged a generation; return the moment when that was seen."""
    waiting = frozenset(names)
    return until(lambda: not waiting - _followers(engine, generation), f"{sorted(waiting)} did not follow")


def _followers(engine: Engine, generation: int) -> frozenset[str]:
    with engine.connect() as connection:
        acks = acks_of(connection, SPACE, WORKFLOW)
    return frozenset(ack.process for ack in acks if ack.generation >= generation)


def until(holds: Callable[[], bool], otherwise: str) -> float:
    """Wait until a condition holds; return when it was seen. TimeoutError after a minute."""
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.005)
    return time.time()


_RELEASE = text(
    "INSERT INTO release (digest, workflow, parts_digest, manifest, state, seal, signature, key_name, sealed_by,"
    " sealed_at) VALUES (:digest, :workflow, :digest, '', 'sealed', '', '', 'k', 'p', now()) ON CONFLICT DO NOTHING"
)

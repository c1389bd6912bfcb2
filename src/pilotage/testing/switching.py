"""Gateways under load in processes of their own, while a routing row moves: who was answered by what, and until when.

Each process is the real gateway over loopback HTTP, the real pipeline, routing watch, listener and acknowledger against
a real database; askers, retrieval and models are stood for. It asks itself without pause, every fourth time as a
stream, and checks each answer against the release it names. Fail mode: an answer that is not whole stands in `failed`,
unless the candidate was told to fail: then it stands in `faults`.
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
from pilotage.core.errors import Unavailable
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.guard.first_pass import FIRST_PASS
from pilotage.guard.policy import StreamMode
from pilotage.serving.admissions import Admissions
from pilotage.serving.recorder import Recorder
from pilotage.serving.routing import Release
from pilotage.store.engine import psycopg_url
from pilotage.store.routes import acks_of, read_route, write_route
from pilotage.store.serving_records import RecordWriter
from pilotage.testing.gateway import Running, chat, running, said_until_it_ended
from pilotage.testing.models import FakeModel
from pilotage.testing.network import enter
from pilotage.testing.route_follower import route_follower
from pilotage.testing.serving_path import SPACE, WORKFLOW, Path, Plan, content, make_path, person, space

OLD, NEW = "the release of before", "the release on its way"
ASKERS: Final = 400
AT_ONCE: Final = 4
_PAUSE_S: Final = 0.02
_PATIENCE_S: Final = 60.0
_START_S: Final = 240.0
"""Four processes that compile their guards on a busy machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where the processes serve and which release is the old one; every other one is the new one.

    `is_recorded`: requests are recorded in the database, as a process does; else records are thrown away.
    """

    space: SpaceName = SPACE
    old: Digest = field(default_factory=lambda: digest_named(OLD))
    is_recorded: bool = False


@dataclass(slots=True, kw_only=True)
class Seen:
    """What one process saw. `last` is when it last admitted somebody to the candidate, in seconds since 1970.

    `faults` are answers that the candidate failed since it was told to, `first_fault` is when the first was complete.
    """

    last: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    streams: int = 0
    failed: list[str] = field(default_factory=list)
    faults: int = 0
    first_fault: float = 0.0


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


@dataclass(slots=True, kw_only=True)
class _Process:
    """One serving process: its scene, what it saw, and the models of the new releases that it loaded."""

    scene: Scene
    seen: Seen = field(default_factory=Seen)
    candidates: list[FakeModel] = field(default_factory=list)
    is_failing: bool = False

    def name(self, digest: str) -> str:
        return OLD if digest == self.scene.old else NEW

    def released(self, digest: Digest) -> Release:
        name = self.name(digest)
        model = FakeModel(pieces=(f"So says {name}: ", "ten days. ", "[1]"), gate=_pause)
        if name == NEW:
            self.candidates.append(model)
        return Release(content=content(name, stream=StreamMode.TOKEN, digest=digest), model=model)

    def fail(self, *, is_failing: bool) -> None:
        """Let every candidate that is loaded fail from now on, or none."""
        self.is_failing = is_failing
        failure = Unavailable("MODEL_DOWN", "The model was told to fail.") if is_failing else None
        for model in self.candidates:
            model.failure = failure
        if is_failing:
            self.seen.faults, self.seen.first_fault = 0, 0.0

    def is_told(self, order: object, pipe: Pipe) -> bool:
        """Do what the test says; tell whether to go on."""
        if order == "?":
            pipe.send(self.seen)
        elif order in {"fail", "heal"}:
            self.fail(is_failing=order == "fail")
            pipe.send(order)
        else:
            return False
        return True

    def went_wrong(self, name: str, why: str) -> None:
        """Count an answer that is not whole: as a fault where one was asked for."""
        if name != NEW or not self.is_failing:
            self.seen.failed.append(why)
            return
        self.seen.faults += 1
        self.seen.first_fault = self.seen.first_fault or time.time()


def _pause() -> asyncio.Future[None]:
    return asyncio.ensure_future(asyncio.sleep(_PAUSE_S))


def _path(url: str, scene: Scene) -> Path:
    recorder = Recorder(lambda: RecordWriter.connect(psycopg_url(url))) if scene.is_recorded else None
    path = make_path(Plan(spaces=(space(scene.space),), default_space=scene.space, recorder=recorder))
    path.authenticator.principals |= {f"asker-{number}": person(f"asker-{number}") for number in range(ASKERS)}
    path.serving = replace(path.serving, clock=SystemClock())
    return path


async def _serve(url: str, name: str, pipe: Pipe, scene: Scene) -> None:
    process = _Process(scene=scene)
    path, admissions = _path(url, scene), _Noted(process.seen)
    async with route_follower(url, name, admissions=admissions, release=process.released) as follower:
        path.serving = replace(path.serving, table=follower.watch, admissions=follower.admissions)
        async with running(path=path) as gateway:
            asking = [asyncio.create_task(_ask_on(gateway, process, first)) for first in range(AT_ONCE)]
            pipe.send("ready")
            while True:
                if pipe.poll() and not process.is_told(pipe.recv(), pipe):
                    break
                await asyncio.sleep(0.002)
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)


async def _ask_on(gateway: Running, process: _Process, first: int) -> None:
    number = first
    while True:
        number += AT_ONCE
        try:
            await _ask(gateway, process, number)
        except (aiohttp.ClientError, OSError, LookupError, ValueError) as error:
            process.seen.failed.append(f"{type(error).__name__}: {error}")
        path = gateway.path
        path.sink.batches.clear()  # records of a long run are not what is looked at
        await asyncio.sleep(_PAUSE_S)


async def _ask(gateway: Running, process: _Process, number: int) -> None:
    is_stream = number // AT_ONCE % 4 == 0
    headers = {"Authorization": f"Bearer asker-{number * 7 % ASKERS}", "Content-Type": "application/json"}
    body = msgspec.json.encode(chat(stream=is_stream))
    async with gateway.http.post(f"{gateway.url}/v1/chat/completions", headers=headers, data=body) as response:
        said = (await said_until_it_ended(response)).decode()
    digest = response.headers.get("x-pilotage-release", "")
    name = process.name(digest) if digest else ""
    if response.status != 200 or not name:
        process.went_wrong(name, f"{response.status}: {said[:200]}")
        return
    if is_stream and not said.rstrip().endswith("data: [DONE]"):
        process.went_wrong(name, f"a stream broke off: {said[-200:]}")
        return
    answer = _streamed(said) if is_stream else msgspec.json.decode(said)["choices"][0]["message"]["content"]
    if answer != f"So says {name}: ten days. [1]":
        process.went_wrong(name, f"{name} is named and {answer!r} was said")
        return
    process.seen.answers[name] += 1
    process.seen.streams += is_stream


def _streamed(said: str) -> str:
    frames = [line[6:] for line in said.splitlines() if line.startswith("data: {")]
    chosen = [choice for frame in frames for choice in msgspec.json.decode(frame)["choices"]]
    return "".join(one["delta"].get("content") or "" for one in chosen)


def _process(url: str, name: str, pipe: Pipe, namespace: str | None, scene: Scene) -> None:
    if namespace is not None:
        enter(namespace)
    FIRST_PASS("")  # compiled before the first request, which would stand still for it
    asyncio.run(_serve(url, name, pipe, scene))


class Gateways:
    """The processes. `seen` asks all of them, `fail` and `heal` tell all of them how the candidate answers."""

    def __init__(self, pipes: Sequence[Pipe]) -> None:
        self._pipes = pipes

    def seen(self) -> list[Seen]:
        """Return what each saw since it started."""
        for pipe in self._pipes:
            pipe.send("?")
        return [cast(Seen, _said(pipe)) for pipe in self._pipes]

    def fail(self) -> None:
        """Let the candidate fail every request from now on; faults are counted anew."""
        self._tell("fail")

    def heal(self) -> None:
        """Let the candidate answer again."""
        self._tell("heal")

    def _tell(self, order: str) -> None:
        for pipe in self._pipes:
            pipe.send(order)
        for pipe in self._pipes:
            _said(pipe)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names under which they acknowledge."""
        return tuple(f"gateway-{number}" for number in range(len(self._pipes)))


@contextmanager
def gateways(
    urls: Sequence[str], *, namespaces: Sequence[str | None] = (), scene: Scene | None = None
) -> Iterator[Gateways]:
    """Run one process for each address of the database, in these network namespaces, while the block lasts."""
    spawn = multiprocessing.get_context("spawn")
    pipes: list[Pipe] = []
    started = []
    try:
        for number, url in enumerate(urls):
            mine, theirs = spawn.Pipe()
            where = namespaces[number] if namespaces else None
            process = spawn.Process(target=_process, args=(url, f"gateway-{number}", theirs, where, scene or Scene()))
            process.start()
            pipes.append(mine)
            started.append(process)
        for pipe in pipes:
            _said(pipe, within_s=_START_S)
        yield Gateways(pipes)
    finally:
        for pipe in pipes:
            pipe.send("stop")
        for process in started:
            process.join(20)
            process.kill()


def _said(pipe: Pipe, *, within_s: float = _PATIENCE_S) -> object:
    if not pipe.poll(within_s):
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
    return until(lambda: not waiting - followers(engine, generation, SPACE), f"{sorted(waiting)} did not follow")


def followers(engine: Engine, generation: int, where: SpaceName) -> frozenset[str]:
    """Return the processes that have acknowledged a generation of a space's row, or a later one."""
    with engine.connect() as connection:
        acks = acks_of(connection, where, WORKFLOW)
    return frozenset(ack.process for ack in acks if ack.generation >= generation)


def until(holds: Callable[[], bool], otherwise: str, *, every_s: float = 0.005) -> float:
    """Wait until a condition holds; return when it was seen. TimeoutError after a minute."""
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(every_s)
    return time.time()


_RELEASE = text(
    "INSERT INTO release (digest, workflow, parts_digest, manifest, state, seal, signature, key_name, sealed_by,"
    " sealed_at) VALUES (:digest, :workflow, :digest, '', 'sealed', '', '', 'k', 'p', now()) ON CONFLICT DO NOTHING"
)

"""The routing table is swapped whole, never points at what is not loaded, and grows old when the store is away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import psycopg
import pytest
from tests.serving.waiting import until

from pilotage.core.digest import Digest, digest_of
from pilotage.core.errors import IntegrityError
from pilotage.core.ids import SpaceName
from pilotage.rollout.assignment import Cohort, Split
from pilotage.serving.ending import end
from pilotage.serving.routing import Release, RoutingRow, effective_split, read_split
from pilotage.serving.routing_watch import RoutingWatch
from pilotage.store.serving_routes import StoredRoute
from pilotage.testing.models import FakeModel
from pilotage.testing.serving_path import SPACE, WORKFLOW, content

pytestmark = pytest.mark.anyio
ONE, TWO, TARGET = digest_of(b"one"), digest_of(b"two"), digest_of(b"target")
PLAIN = {"salt": "", "fraction_ppm": 0, "cohort": {}, "pins": {}}
PLACE = (SPACE, WORKFLOW)


def route(stable: str | None, generation: int = 1, **changes: object) -> StoredRoute:
    base = StoredRoute(
        space=SPACE,
        workflow=WORKFLOW,
        generation=generation,
        stable=stable,
        candidate=None,
        paused=False,
        split=PLAIN,
        withdrawn=frozenset(),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


class Store:
    """Rows a test sets; `broken` digests do not load."""

    def __init__(self, *routes: StoredRoute) -> None:
        self.routes: Sequence[StoredRoute] = routes
        self.failure: Exception | None = None
        self.broken: set[str] = set()
        self.models: dict[str, FakeModel] = {}
        self.loads: list[str] = []
        self.now = 100.0

    async def read(self) -> Sequence[StoredRoute]:
        if self.failure is not None:
            raise self.failure
        return self.routes

    async def load(self, digest: Digest) -> Release:
        self.loads.append(digest)
        if digest in self.broken:
            raise IntegrityError("VERIFY_BYTES", "altered")
        self.models[digest] = FakeModel()
        return Release(content=content(digest=digest), model=self.models[digest])

    def watch(self) -> RoutingWatch:
        return RoutingWatch(self, load=self.load, monotonic=lambda: self.now)


async def test_a_release_is_routed_only_after_it_was_loaded_and_the_old_one_serves_until_then() -> None:
    store = Store(route(ONE))
    watch = store.watch()
    await watch.refresh()
    assert watch.current.is_serving(ONE)
    seen: list[object] = []
    load = store.load

    async def slow(digest: Digest) -> Release:
        seen.append(watch.current.rows[PLACE].stable)
        return await load(digest)

    watch._load = slow
    store.routes = [route(TWO, generation=2)]
    await watch.refresh()
    assert seen == [ONE]
    assert watch.current.rows[PLACE].stable == TWO
    assert set(watch.current.releases) == {TWO}


async def test_an_unloadable_stable_answers_nobody_and_is_tried_again_after_five_seconds() -> None:
    store = Store(route(ONE))
    store.broken = {ONE}
    watch = store.watch()
    for now in (100.0, 101.0, 105.0):
        store.now = now
        await watch.refresh()
    assert store.loads == [ONE, ONE]
    assert not watch.current.is_serving(ONE)
    assert watch.not_loaded(ONE) == f"Release {ONE} is routed and not loaded. altered"
    assert watch.not_loaded(TWO) == f"Release {TWO} is routed and not loaded."


@pytest.mark.feature("DP.3")
async def test_a_rollback_to_a_loaded_release_does_not_wait_for_anything_else() -> None:
    store = Store(route(ONE, candidate=TWO))
    watch = store.watch()
    await watch.refresh()
    store.routes = [route(ONE, generation=2, withdrawn=frozenset({TWO}))]
    await watch.refresh()
    assert watch.current.rows[PLACE].candidate is None
    assert TWO in watch.current.withdrawn


class Slow(Store):
    """One whose loads of `held` end when the test says so."""

    def __init__(self, held: Digest, *routes: StoredRoute) -> None:
        super().__init__(*routes)
        self.held = held
        self.may_end, self.has_begun = asyncio.Event(), asyncio.Event()

    async def load(self, digest: Digest) -> Release:
        if digest == self.held:
            self.has_begun.set()
            await self.may_end.wait()
        return await super().load(digest)


async def test_a_rollback_does_not_wait_for_a_release_that_is_being_loaded() -> None:
    other = SpaceName("production-eu")
    store = Slow(TARGET, route(ONE, candidate=TWO), route(ONE, space=other))
    watch = store.watch()
    await watch.start()
    store.routes = [route(ONE, candidate=TWO), route(TARGET, 2, space=other)]
    watch.wake()
    await store.has_begun.wait()
    store.routes = [route(ONE, 2, withdrawn=frozenset({TWO})), route(TARGET, 2, space=other)]
    watch.wake()
    await until(lambda: watch.current.rows[PLACE].candidate is None)
    assert watch.current.rows[other, WORKFLOW].stable == ONE  # until the new one is loaded
    assert not watch.current.is_serving(TARGET)
    store.may_end.set()
    await until(lambda: watch.current.is_serving(TARGET))
    assert watch.current.rows[other, WORKFLOW].stable == TARGET
    await watch.stop()
    assert sorted(store.loads) == sorted([ONE, TWO, TARGET])
    assert all(model.closed for model in store.models.values())


async def test_what_nobody_wants_any_more_when_it_is_loaded_serves_nobody_and_is_closed() -> None:
    store = Slow(TWO, route(ONE))
    watch = store.watch()
    await watch.start()
    store.routes = [route(ONE, candidate=TWO)]
    watch.wake()
    await store.has_begun.wait()
    store.routes = [route(ONE, 2)]
    store.may_end.set()
    await until(lambda: TWO in store.models and watch.current.rows[PLACE].generation == 2)
    await watch.refresh()
    assert not watch.current.is_serving(TWO)
    store.now += 661
    await until(lambda: store.models[TWO].closed)
    assert not store.models[ONE].closed
    await watch.stop()


async def test_stopping_ends_a_load() -> None:
    store = Slow(TWO, route(ONE))
    watch = store.watch()
    await watch.start()
    store.routes = [route(ONE, candidate=TWO)]
    watch.wake()
    await store.has_begun.wait()
    await watch.stop()
    assert store.models[ONE].closed
    assert TWO not in store.models


async def test_a_load_that_fails_in_a_way_nobody_foresaw_is_tried_again_after_five_seconds() -> None:
    store = Store(route(ONE))
    failing = True

    async def load(digest: Digest) -> Release:
        if failing:
            store.loads.append(digest)
            raise RuntimeError("no disk")
        return await store.load(digest)

    watch = RoutingWatch(store, load=load, monotonic=lambda: store.now)
    for now in (100.0, 104.0):
        store.now = now
        await watch.refresh()
    failing, store.now = False, 105.0
    await watch.refresh()
    assert store.loads == [ONE, ONE]
    assert watch.current.is_serving(ONE)


@pytest.mark.parametrize(
    ("hard", "serves"), [(False, ONE), (True, TARGET)], ids=["stable goes on", "nobody answers until it is loaded"]
)
async def test_a_candidate_leaves_at_once_also_when_its_askers_go_back_to_what_is_not_loaded(
    *, hard: bool, serves: Digest
) -> None:
    store = Store(route(ONE, candidate=TWO, split={**PLAIN, "fraction_ppm": 1_000_000, "cohort": {"all": True}}))
    watch = store.watch()
    await watch.refresh()
    meanwhile: list[RoutingRow] = []
    load = store.load

    async def slow(digest: Digest) -> Release:
        meanwhile.append(watch.current.rows[PLACE])
        return await load(digest)

    watch._load = slow
    store.routes = [route(TARGET, generation=2, cut=(ONE,) if hard else ())]
    await watch.refresh()
    (row,) = meanwhile
    assert (row.stable, row.candidate, row.cut) == (serves, None, frozenset({ONE} if hard else ()))
    assert watch.current.rows[PLACE].stable == TARGET


async def test_an_answer_that_was_long_under_way_confirms_only_the_moment_of_asking() -> None:
    """A process that was cut off reads old rows when the network is back; its candidate was given up long ago."""
    store = Store(route(ONE, candidate=TWO, split={**PLAIN, "fraction_ppm": 1_000_000, "cohort": {"all": True}}))
    watch = store.watch()
    await watch.refresh()
    read = store.read

    async def late() -> Sequence[StoredRoute]:
        found = await read()
        store.now += 20.0
        return found

    store.read = late  # type: ignore[method-assign]
    asked = store.now
    await watch.refresh()
    table = watch.current
    assert table.confirmed_at == asked
    split = effective_split(table.rows[PLACE], confirmed_s_ago=store.now - table.confirmed_at)
    assert split.fraction_ppm == 0


async def test_an_older_generation_and_a_row_that_does_not_decode_change_nothing() -> None:
    store = Store(route(ONE, generation=5))
    watch = store.watch()
    await watch.refresh()
    for bad in (
        route(TWO, generation=4),
        route("nonsense", generation=6),
        route(ONE, 6, split={**PLAIN, "cohort": [1]}),
    ):
        store.routes = [bad]
        await watch.refresh()
        assert watch.current.rows[PLACE].generation == 5
        assert watch.current.rows[PLACE].stable == ONE


async def test_a_row_that_does_not_decode_leaves_its_askers_with_stable() -> None:
    split = {**PLAIN, "fraction_ppm": 1_000_000, "cohort": {"all": True}}
    store = Store(route(ONE, generation=5, candidate=TWO, split=split, shadow=TWO, shadow_ppm=5))
    watch = store.watch()
    await watch.refresh()
    assert watch.current.rows[PLACE].candidate == TWO
    store.routes = [route("nonsense", generation=6)]  # a rollback that nobody here can read
    await watch.refresh()
    row = watch.current.rows[PLACE]
    assert (row.generation, row.stable, row.candidate, row.split.fraction_ppm, row.shadow) == (5, ONE, None, 0, None)


async def test_a_store_that_is_away_leaves_the_table_and_its_age() -> None:
    store = Store(route(ONE))
    watch = store.watch()
    await watch.start()
    store.failure = psycopg.OperationalError("down")
    store.now = 200.0
    watch.wake()
    await asyncio.sleep(0.05)
    assert watch.current.is_serving(ONE)
    assert watch.current.confirmed_at == 100.0
    store.failure = None
    store.routes = []
    watch.wake()
    await asyncio.sleep(0.05)
    assert watch.current.rows == {}
    await watch.stop()
    assert store.models[ONE].closed


async def test_models_that_left_the_table_are_closed_when_no_request_can_hold_them() -> None:
    store = Store(route(ONE))
    watch = store.watch()
    await watch.refresh()
    store.routes = []
    await watch.refresh()
    assert not store.models[ONE].closed
    store.now += 661
    await watch.refresh()
    assert store.models[ONE].closed


def test_a_table_nobody_confirms_gives_the_candidate_nothing() -> None:
    split = Split(salt="s", fraction_ppm=10, cohort=Cohort(everybody=True))
    row = RoutingRow(space=SPACE, workflow=WORKFLOW, generation=1, stable=ONE, candidate=TWO, split=split)
    assert effective_split(row, confirmed_s_ago=3.0) == split
    assert effective_split(row, confirmed_s_ago=3.1).fraction_ppm == 0
    assert effective_split(replace(row, candidate=None), confirmed_s_ago=0).fraction_ppm == 0


def test_cohorts_and_pins_are_decoded_strictly() -> None:
    found = read_split({"salt": "s", "fraction_ppm": 5, "cohort": {"groups": ["a"]}, "pins": {"local|x": "candidate"}})
    assert found.cohort == Cohort(groups=frozenset({"a"}))
    for bad in ({"cohort": {"groups": "a"}}, {"cohort": {"who": 1}}, {"pins": {"x": "both"}}, {"fraction_ppm": "many"}):
        with pytest.raises((ValueError, TypeError)):
            read_split({**PLAIN, **bad})


async def test_stopping_is_not_held_up_by_a_read_that_takes_a_cancellation_for_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pilotage.serving.routing_watch.end", partial(end, again_s=0.01))
    store, reading = Store(route(ONE)), asyncio.Event()
    watch = store.watch()
    await watch.start()
    read = store.read

    async def deaf_once() -> Sequence[StoredRoute]:
        if not reading.is_set():
            reading.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3_600)
        return await read()

    monkeypatch.setattr(store, "read", deaf_once)
    watch.wake()
    await reading.wait()
    await watch.stop()
    assert store.models[ONE].closed


async def test_a_candidate_that_leaves_its_row_is_remembered_until_it_is_back_or_stable() -> None:
    store = Store(route(ONE, candidate=TWO))
    watch = RoutingWatch(store, load=store.load, monotonic=lambda: store.now)
    await watch.refresh()
    assert watch.current.left == {}
    store.routes, store.now = [route(ONE, generation=2)], 110.0
    await watch.refresh()
    store.now = 120.0
    await watch.refresh()
    assert watch.current.left == {(*PLACE, TWO): 110.0}
    store.routes = [route(ONE, generation=3, candidate=TWO)]
    await watch.refresh()
    assert watch.current.left == {}
    store.routes = [route(TWO, generation=4)]
    await watch.refresh()
    assert watch.current.left == {}


async def test_a_candidate_that_left_long_ago_is_forgotten() -> None:
    store = Store(route(ONE, candidate=TWO))
    watch = RoutingWatch(store, load=store.load, monotonic=lambda: store.now)
    await watch.refresh()
    store.routes = [route(ONE, generation=2)]
    await watch.refresh()
    store.now += 1_000.0
    await watch.refresh()
    assert watch.current.left == {}

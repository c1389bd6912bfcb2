"""Limits of requests: exact in one process, never passed by several, and I/O for one request in many (3.2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Engine, text

from pilotage.core.ids import SpaceName
from pilotage.core.units import Rate
from pilotage.serving.context import Peer
from pilotage.serving.rate_limits import Counted, Permit, RateLimiter
from pilotage.serving.refusal import Code, Refusal
from pilotage.space.settings import RateLimits, Security
from pilotage.store.engine import psycopg_url
from pilotage.store.serving_pool import Pool, make_pool
from pilotage.store.serving_rates import Leased, RateCells, Unused
from pilotage.testing.desk import opened
from pilotage.testing.gateway import chat, running
from pilotage.testing.serving_path import Plan, space
from pilotage.workspace.gateway import GatewayLimits

pytestmark = pytest.mark.anyio
HOUR = 3600
ASKER = Counted(space="east", principal="p_1", key="k1")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Moment:
    """A clock that moves by hand."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Kept:
    """Cells in memory: grants `grants` in order, then nothing; raises while `is_away`."""

    grants: list[int]
    leases: list[str] = field(default_factory=list)
    returned: list[Unused] = field(default_factory=list)
    is_away: bool = False
    forgot: int = 0
    failed: int = 0
    takes_s: float = 0.0
    moment: Moment | None = None
    gates: dict[str, asyncio.Event] = field(default_factory=dict)

    async def lease(self, scope: str, _rate: Rate) -> Leased:
        if scope in self.gates:
            await self.gates[scope].wait()
        if self.is_away:
            self.failed += 1
            raise OSError
        self.leases.append(scope)
        if self.moment is not None:
            self.moment.now += self.takes_s
        count = self.grants.pop(0) if self.grants else 0
        return Leased(count=count, used=3, cell=len(self.leases), ends_in_s=10.0, frees_in_s=7.2)

    async def give_back(self, unused: Sequence[Unused]) -> None:
        self.returned += unused

    async def forget(self) -> None:
        self.forgot += 1


def limiter(*grants: int) -> tuple[RateLimiter, Kept, Moment]:
    kept, moment = Kept(list(grants)), Moment()
    return RateLimiter(kept, monotonic=moment), kept, moment


def code(found: Permit | Refusal) -> Code | None:
    return found.code if isinstance(found, Refusal) else None


SPACE = RateLimits(space=Rate(count=100, window_s=HOUR))


async def test_a_lease_serves_many_requests_and_one_that_is_used_up_is_not_asked_for_at_once() -> None:
    rates, kept, moment = limiter(3)
    assert [code(await rates.admit(SPACE, ASKER)) for _ in range(5)] == [None] * 3 + [Code.RATE_LIMITED] * 2
    assert kept.leases == ["space/east//3600"] * 2, "the second refusal asked nobody"
    moment.now += 0.1
    refused = await rates.admit(SPACE, ASKER)
    assert isinstance(refused, Refusal)
    assert (refused.retry_after_s, refused.message) == (
        8,
        "This space takes 100 requests in an hour; the next one in 8 s.",
    )
    moment.now += 0.2
    kept.grants = [1]
    assert code(await rates.admit(SPACE, ASKER)) is None


async def test_permits_are_used_in_their_cell_alone_and_go_back_after_it() -> None:
    rates, kept, moment = limiter(5, 5)
    rates.start()
    await rates.admit(SPACE, ASKER)
    moment.now += 10.0
    await rates.admit(SPACE, ASKER)
    await rates.stop()
    returned = [Unused(scope="space/east//3600", cell=cell, count=4) for cell in (1, 2)]
    assert kept.returned == returned


async def test_what_idles_for_a_second_goes_back_and_so_does_everything_at_the_end() -> None:
    rates, kept, moment = limiter(5, 5)
    rates.start()
    await rates.admit(SPACE, ASKER)
    moment.now += 1.0
    for _ in range(200):
        if kept.returned:
            break
        await asyncio.sleep(0.02)
    assert [one.count for one in kept.returned] == [4]
    await rates.admit(SPACE, ASKER)
    await rates.stop()
    assert [one.count for one in kept.returned] == [4, 4]
    assert kept.forgot >= 1


async def test_the_strictest_limit_refuses_and_then_none_counts_the_request() -> None:
    rates, kept, _ = limiter(1, 5)
    limits = RateLimits(space=Rate(count=100, window_s=HOUR), principal=Rate(count=4, window_s=60))
    first = await rates.admit(limits, ASKER)
    assert isinstance(first, Permit)
    assert (first.whose, first.used, str(first.rate)) == ("principal", 4, "4/minute")
    refused = await rates.admit(limits, ASKER)
    assert isinstance(refused, Refusal)
    assert refused.message.startswith("You may ask 4 requests in a minute")
    rates.start()
    await rates.stop()
    assert [(one.scope, one.count) for one in kept.returned] == [("space/east//3600", 4)], "one was used, not two"


async def test_a_request_that_is_cut_off_while_it_is_counted_counts_for_nothing() -> None:
    rates, kept, _ = limiter(2, 2)
    limits = RateLimits(space=Rate(count=100, window_s=HOUR), principal=Rate(count=4, window_s=60))
    rates.start()
    kept.gates = {"principal/east/p_1/60": asyncio.Event(), "space/east//3600": asyncio.Event()}
    asking = asyncio.create_task(rates.admit(limits, ASKER))
    kept.gates["principal/east/p_1/60"].set()
    await asyncio.sleep(0.05)
    asking.cancel()
    kept.gates["space/east//3600"].set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await rates.stop()
    assert {(one.scope, one.count) for one in kept.returned} == {("principal/east/p_1/60", 2), ("space/east//3600", 2)}


async def test_requests_that_come_together_ask_the_store_once_and_fail_together_when_it_is_away() -> None:
    rates, kept, moment = limiter(30)
    found = await asyncio.gather(*(rates.admit(SPACE, ASKER) for _ in range(30)))
    assert ({code(one) for one in found}, len(kept.leases)) == ({None}, 1)
    kept.is_away = True
    found = await asyncio.gather(*(rates.admit(SPACE, ASKER) for _ in range(30)))
    assert ({code(one) for one in found}, kept.failed) == ({Code.STORE_UNAVAILABLE}, 1)
    moment.now += 0.2
    await rates.admit(SPACE, ASKER)
    assert kept.failed == 1, "and the store is left alone for a moment"


async def test_a_lease_that_comes_after_its_cell_is_given_back_and_nobody_is_let_in_on_it() -> None:
    rates, kept, moment = limiter(*[3] * 20)
    kept.takes_s, kept.moment = 11.0, moment
    rates.start()
    assert code(await rates.admit(SPACE, ASKER)) is Code.STORE_UNAVAILABLE
    kept.takes_s = 0.0
    assert code(await rates.admit(SPACE, ASKER)) is None
    await rates.stop()
    assert sum(one.count for one in kept.returned) == 3 * len(kept.leases) - 1


async def test_with_the_store_away_what_idles_is_kept_while_it_can_be_used() -> None:
    rates, kept, moment = limiter(3)
    rates.start()
    await rates.admit(SPACE, ASKER)
    kept.is_away = True
    other = Counted(space="west", principal="p_1", key=None)
    assert code(await rates.admit(SPACE, other)) is Code.STORE_UNAVAILABLE
    moment.now += 2.0
    await asyncio.sleep(0.6)
    assert [code(await rates.admit(SPACE, ASKER)) for _ in range(3)] == [None, None, Code.STORE_UNAVAILABLE]
    await rates.stop()


async def test_whoever_asks_without_end_keeps_nobody_elses_permits_from_going_back() -> None:
    rates, kept, moment = limiter(1, 5)
    limits = RateLimits(principal=Rate(count=4, window_s=60))
    other = Counted(space="east", principal="p_2", key=None)
    rates.start()
    await rates.admit(limits, ASKER)
    await rates.admit(limits, other)
    for _ in range(12):
        moment.now += 0.2
        await rates.admit(limits, ASKER)
    await asyncio.sleep(0.6)
    assert [one.scope for one in kept.returned] == ["principal/east/p_2/60"]
    await rates.stop()


async def test_a_key_has_a_limit_of_its_own_and_whoever_brings_none_has_none() -> None:
    rates, kept, _ = limiter(1)
    limits = RateLimits(key=Rate(count=1, window_s=30))
    assert code(await rates.admit(limits, ASKER)) is None
    assert code(await rates.admit(limits, ASKER)) is Code.RATE_LIMITED
    assert code(await rates.admit(limits, Counted(space="east", principal="p_1", key=None))) is None
    assert set(kept.leases) == {"key/east/k1/30"}


async def test_with_the_store_down_what_is_held_is_used_and_then_nobody_is_let_in() -> None:
    rates, kept, _ = limiter(2)
    await rates.admit(SPACE, ASKER)
    kept.is_away = True
    assert [code(await rates.admit(SPACE, ASKER)) for _ in range(2)] == [None, Code.STORE_UNAVAILABLE]


LIMITED = space(SpaceName("east"), security=Security(api_rate_limit=SPACE))


async def test_over_http_the_request_over_the_limit_is_told_when_to_come_again_and_the_others_are_recorded() -> None:
    rates, _, _ = limiter(1)
    async with running(Plan(spaces=[LIMITED], rates=rates)) as up:
        first, _ = await up.post(chat())
        second, body = await up.post(chat())
        assert (first.status, second.status, second.headers["Retry-After"]) == (200, 429, "8")
        assert (body["error"]["code"], body["error"]["type"]) == ("rate_limited", "rate_limit_error")
    details: list[Any] = [row.interaction["detail"] for row in up.path.sink.rows if row.interaction is not None]
    assert [one.get("rate_used") for one in details] == [{"of": "space", "used": 4, "limit": "100/hour"}, None]


async def test_a_stream_that_finds_no_slot_counts_for_nothing_and_what_begins_inside_is_under_no_limit() -> None:
    rates, _, _ = limiter(2)
    async with opened(Plan(spaces=[LIMITED], rates=rates, limits=GatewayLimits(streams=0))) as desk:
        outside = Peer(address="192.0.2.7")
        assert (await desk.refusal(peer=outside, stream=True)).code is Code.OVERLOADED
        assert [(await desk.answer(peer=outside)).text for _ in range(2)]
        assert (await desk.refusal(peer=outside)).code is Code.RATE_LIMITED
        assert (await desk.answer(peer=Peer(address=None))).text


@pytest.fixture
async def pool(engine: Engine, database_url: str) -> AsyncIterator[Pool]:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM rate_cell"))
        connection.execute(text("DELETE FROM route_ack"))
    made = make_pool(psycopg_url(database_url), size=4)
    await made.open()
    yield made
    await made.close()


@pytest.mark.store
@pytest.mark.feature("D13.87")
async def test_rate_exact(pool: Pool, engine: Engine) -> None:
    rates = RateLimiter(RateCells(pool), monotonic=time.monotonic)
    limits = RateLimits(space=Rate(count=10_000, window_s=HOUR))
    rates.start()
    found = [await rates.admit(limits, ASKER) for _ in range(10_001)]
    assert {code(one) for one in found[:10_000]} == {None}
    last = found[10_000]
    assert isinstance(last, Refusal)
    assert last.code is Code.RATE_LIMITED
    assert last.status == 429
    assert HOUR - 60 <= (last.wait_s or 0) <= HOUR + 60
    await rates.stop()
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT sum(used) FROM rate_cell")) == 10_000


@pytest.mark.store
async def test_four_processes_pass_a_limit_in_no_window(pool: Pool) -> None:
    count, window = 60, 1
    limits = RateLimits(space=Rate(count=count, window_s=window))
    processes = [RateLimiter(RateCells(pool), monotonic=time.monotonic) for _ in range(4)]
    admitted: list[float] = []
    until = time.monotonic() + 2.5 * window

    async def asks(rates: RateLimiter) -> None:
        while time.monotonic() < until:
            if isinstance(await rates.admit(limits, ASKER), Permit):
                admitted.append(time.monotonic())
            await asyncio.sleep(0.002)

    await asyncio.gather(*(asks(one) for one in processes))
    admitted.sort()
    fullest = max(sum(1 for other in admitted if moment - window < other <= moment) for moment in admitted)
    assert fullest <= count
    assert len(admitted) >= count / 2, "and what the limit lets in is let in"


@pytest.mark.store
async def test_processes_that_give_back_the_same_cells_do_not_stop_each_other(pool: Pool, engine: Engine) -> None:
    with engine.begin() as connection:
        rows = "SELECT 'key/east/' || n, 1, 40, now() + interval '1 hour' FROM generate_series(1, 500) AS n"
        connection.execute(text(f"INSERT INTO rate_cell {rows}"))
    unused = [Unused(scope=f"key/east/{number}", cell=1, count=1) for number in range(1, 501)]
    cells = RateCells(pool)
    await asyncio.gather(*(cells.give_back(unused[::step]) for step in (1, -1) * 10))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT sum(used) FROM rate_cell")) == 500 * 20


@pytest.mark.store
async def test_cells_that_no_window_touches_are_forgotten(pool: Pool, engine: Engine) -> None:
    cells = RateCells(pool)
    await cells.lease("space/east//1", Rate(count=5, window_s=1))
    await cells.lease("space/east//3600", Rate(count=5, window_s=HOUR))
    with engine.begin() as connection:
        connection.execute(text("UPDATE rate_cell SET expires_at = expires_at - interval '5 seconds'"))
    await cells.forget()
    with engine.connect() as connection:
        assert connection.scalars(text("SELECT scope FROM rate_cell")).all() == ["space/east//3600"]

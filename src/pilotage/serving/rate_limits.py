"""Who may ask how often: of the limits of a space, a principal and a key, the strictest refuses (serving.md 3.2).

Rule: permits are leased for a cell of the window and used within it, so never more than the limit are let in by all
processes in any window; most requests meet one dictionary and no I/O. What is let in counts, however it ends; what is
refused does not. Fail mode: a store that is down leaves the permits that are held, then nobody is let in.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import psycopg
from psycopg_pool import PoolTimeout

from pilotage.core.units import Rate
from pilotage.serving.refusal import Code, Refusal
from pilotage.space.settings import RateLimits
from pilotage.store.serving_rates import Leased, Unused

logger = logging.getLogger(__name__)

IDLE_S: Final = 1.0
"""After this time without a request, unused permits go back."""
LOOK_S: Final = 0.5
ASK_AGAIN_S: Final = 0.25
"""A limit that was found used up is asked for no more than this often by a process."""
FORGET_S: Final = 60.0
BATCH: Final = 500
_MOST_LATE: Final = 5
"""How often one request leases anew because the answer came after its cell's end."""
_AWAY: Final = Refusal(
    code=Code.STORE_UNAVAILABLE, message="Requests cannot be counted just now. Try again.", retry_after_s=2
)
_WHOSE: Final = {"space": "This space takes", "principal": "You may ask", "key": "This key may ask"}


class Cells(Protocol):
    """Where permits are counted for all processes."""

    async def lease(self, scope: str, rate: Rate) -> Leased:
        """Lease permits of a limit."""
        ...

    async def give_back(self, unused: Sequence[Unused]) -> None:
        """Take permits out of their cells again."""
        ...

    async def forget(self) -> None:
        """Delete cells that no window touches any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Whose requests are counted: in a space, by a pseudonym, with a key or without one."""

    space: str
    principal: str
    key: str | None


@dataclass(slots=True)
class _Held:
    """What this process holds of one limit. Times are of the process's monotonic clock, in seconds."""

    left: int = 0
    cell: int = 0
    used: int = 0
    until: float = 0.0
    touched: float = 0.0
    refused_until: float = 0.0
    frees_at: float = 0.0
    away_until: float = 0.0
    leasing: asyncio.Task[None] | None = None


@dataclass(slots=True, kw_only=True)
class Permit:
    """One request was let in. `used` of `rate` are let in within its window with this one, of the fullest limit."""

    whose: str = ""
    used: int = 0
    rate: Rate | None = None
    _taken: list[tuple[str, int]] = field(default_factory=list)
    _limiter: RateLimiter | None = None

    def give_back(self) -> None:
        """Count it no longer: the request was refused after all."""
        for scope, cell in self._taken:
            if self._limiter is not None:
                self._limiter.put_back(scope, cell)
        self._taken.clear()

    def take(self, whose: str, scope: str, rate: Rate, held: _Held) -> None:
        """Note a permit of one limit."""
        self._taken.append((scope, held.cell))
        if self.rate is None or held.used * self.rate.count > self.used * rate.count:
            self.whose, self.used, self.rate = whose, held.used, rate


class RateLimiter:
    """Lets requests of one process in. What it holds of a limit that nobody asks under goes back after a second."""

    def __init__(self, cells: Cells, *, monotonic: Callable[[], float]) -> None:
        self._cells = cells
        self._monotonic = monotonic
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._unused: dict[tuple[str, int], int] = {}
        self._is_away = False
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._forgot_at = 0.0

    def start(self) -> None:
        """Begin to give back what idles."""
        self._task = asyncio.create_task(self._run(), name="rate limits")

    async def stop(self) -> None:
        """End, and give everything back; what is under way ends first, or nobody knew what the store has."""
        if self._task is None:
            return
        self._stop.set()
        await self._task
        leasing = [held.leasing for held in self._held.values() if held.leasing is not None]
        await asyncio.gather(*leasing)
        self._is_away = False
        await self._look(math.inf)

    async def admit(self, limits: RateLimits, asker: Counted) -> Permit | Refusal:
        """Let a request in under every limit, or refuse and count it in none."""
        permit = Permit(_limiter=self)
        try:
            for whose, scope, rate in _scopes(limits, asker):
                refusal = await self._take(whose, scope, rate, permit)
                if refusal is not None:
                    permit.give_back()
                    return refusal
        except BaseException:
            permit.give_back()
            raise
        return permit

    def put_back(self, scope: str, cell: int) -> None:
        """Take a permit back that was not used after all."""
        held = self._held.get(scope)
        if held is None or held.cell != cell:
            self._queue(scope, cell, 1)
        else:
            held.left += 1
            held.used -= 1

    async def _take(self, whose: str, scope: str, rate: Rate, permit: Permit) -> Refusal | None:
        """Take a permit of what is held; one lease at a time, and everybody waits for the same one."""
        late = 0
        held, now = self._touched(scope)
        while held.left <= 0 or now >= held.until:
            if now < held.away_until or late > _MOST_LATE:
                return _AWAY
            if now < held.refused_until:
                return _refusal(whose, rate, held.frees_at - now)
            if held.leasing is None:
                held.leasing = asyncio.create_task(self._lease(scope, rate, held), name=f"lease of {whose}")
                late += 1
            await asyncio.shield(held.leasing)
            held, now = self._touched(scope)
        held.left -= 1
        held.used += 1
        permit.take(whose, scope, rate, held)
        return None

    def _touched(self, scope: str) -> tuple[_Held, float]:
        """Return what is held of a limit, now the last that was asked under, and the time."""
        held, now = self._held.setdefault(scope, _Held()), self._monotonic()
        self._held.move_to_end(scope)
        held.touched = now
        return held, now

    async def _lease(self, scope: str, rate: Rate, held: _Held) -> None:
        """Lease permits. A request that leaves meanwhile does not cut this short: the store would count them."""
        begun = self._monotonic()
        try:
            leased = await self._cells.lease(scope, rate)
        except (psycopg.Error, PoolTimeout, OSError) as error:
            logger.warning("A rate limit could not be counted: %s.", type(error).__name__)
            held.away_until, self._is_away = self._monotonic() + ASK_AGAIN_S, True
            return
        finally:
            held.leasing = None
        self._is_away = False
        if not leased.count:
            held.frees_at = begun + leased.frees_in_s
            held.refused_until = begun + min(leased.frees_in_s, ASK_AGAIN_S)
            return
        self._queue(scope, held.cell, held.left)
        # The store looked at its clock after `begun`, so the cell ends no sooner than this.
        held.left, held.cell, held.until = leased.count, leased.cell, begun + leased.ends_in_s
        held.used = leased.used

    def _queue(self, scope: str, cell: int, count: int) -> None:
        """Note permits that are to go back."""
        if count:
            self._unused[scope, cell] = self._unused.get((scope, cell), 0) + count

    async def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), LOOK_S)
            await self._look(self._monotonic())

    async def _look(self, now: float) -> None:
        """Give back what idles, and forget what no window touches."""
        while batch := self._to_return(now):
            for key, _ in batch:
                del self._unused[key]
            try:
                await self._cells.give_back([Unused(scope=scope, cell=cell, count=n) for (scope, cell), n in batch])
            except PoolTimeout:  # it never left
                for (scope, cell), count in batch:
                    self._queue(scope, cell, count)
                return
            except (psycopg.Error, OSError) as error:
                # Whether it arrived nobody knows: given back twice, more than the limit would be let in.
                logger.warning("Unused permits stay counted until their window is over: %s.", type(error).__name__)
                return
        if now - self._forgot_at > FORGET_S:
            self._forgot_at = now
            try:
                await self._cells.forget()
            except (psycopg.Error, PoolTimeout, OSError) as error:
                logger.warning("Cells of rate limits could not be forgotten: %s.", type(error).__name__)

    def _to_return(self, now: float) -> list[tuple[tuple[str, int], int]]:
        """Return permits that are to go back, a batch at a time, so that no request waits for all of them.

        What idles is let go of, the longest idle first; with the store away, only what nobody can use.
        """
        idle = itertools.takewhile(lambda one: now - one[1].touched >= IDLE_S, self._held.items())
        for scope, held in list(itertools.islice(idle, BATCH)):
            if held.leasing is None and (now >= held.until or not self._is_away):
                self._queue(scope, held.cell, held.left)
                held.left = 0  # who waits for it looks again
                del self._held[scope]
        return sorted(itertools.islice(self._unused.items(), BATCH))


def _scopes(limits: RateLimits, asker: Counted) -> Iterator[tuple[str, str, Rate]]:
    """Yield each limit that holds, the space's last: whose it is, the name it is counted under, and the rate."""
    whose = (
        ("key", limits.key, asker.key),
        ("principal", limits.principal, asker.principal),
        ("space", limits.space, ""),
    )
    for kind, rate, name in whose:
        if rate is not None and name is not None:
            yield kind, f"{kind}/{asker.space}/{name}/{rate.window_s}", rate


def _refusal(whose: str, rate: Rate, wait_s: float) -> Refusal:
    wait = max(1, math.ceil(wait_s))
    message = f"{_WHOSE[whose]} {rate.count:,} requests in {_said(rate.window_s)}; the next one in {wait} s."
    return Refusal(code=Code.RATE_LIMITED, message=message, retry_after_s=wait)


def _said(window_s: int) -> str:
    unit = {1: "a second", 60: "a minute", 3600: "an hour", 86_400: "a day"}.get(window_s)
    return unit or f"{window_s} seconds"

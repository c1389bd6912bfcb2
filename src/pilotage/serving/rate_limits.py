"""Who may ask how often: of the limits of a space, a principal and a key, the strictest refuses (serving.md 3.2).

Rule: permits are leased for a cell of the window and used within it, so never more than the limit are let in by all
processes in any window; most requests meet one dictionary and no I/O. What is let in counts, however it ends; what is
refused does not. Fail mode: a store that is down leaves the permits that are held, then nobody is let in.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import psycopg
from psycopg_pool import PoolTimeout

from pilotage.core.units import Rate
from pilotage.serving.ending import end
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

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    left: int = 0
    cell: int = 0
    used: int = 0
    until: float = 0.0
    touched: float = 0.0
    refused_until: float = 0.0
    frees_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Permit:
    """One request was let in. `used` of `rate` are let in within its window with this one, of the fullest limit."""

    whose: str = ""
    used: int = 0
    rate: Rate | None = None
    _taken: list[tuple[_Held, int]] = field(default_factory=list)

    def give_back(self) -> None:
        """Count it no longer: the request was refused after all."""
        for held, cell in self._taken:
            if held.cell == cell:
                held.left += 1
                held.used -= 1
        self._taken.clear()

    def take(self, whose: str, rate: Rate, held: _Held) -> None:
        """Note a permit of one limit."""
        self._taken.append((held, held.cell))
        if self.rate is None or held.used * self.rate.count > self.used * rate.count:
            self.whose, self.used, self.rate = whose, held.used, rate


class RateLimiter:
    """Lets requests of one process in."""

    def __init__(self, cells: Cells, *, monotonic: Callable[[], float]) -> None:
        self._cells = cells
        self._monotonic = monotonic
        self._held: dict[str, _Held] = {}
        self._task: asyncio.Task[None] | None = None
        self._forgot_at = 0.0

    def start(self) -> None:
        """Begin to give back what idles."""
        self._task = asyncio.create_task(self._run(), name="rate limits")

    async def stop(self) -> None:
        """End, and give everything back."""
        if self._task is not None:
            await end(self._task)
            await self._look(math.inf)

    async def admit(self, limits: RateLimits, asker: Counted) -> Permit | Refusal:
        """Let a request in under every limit, or refuse and count it in none."""
        permit = Permit()
        for whose, scope, rate in _scopes(limits, asker):
            refusal = await self._take(whose, scope, rate, permit)
            if refusal is not None:
                permit.give_back()
                return refusal
        return permit

    async def _take(self, whose: str, scope: str, rate: Rate, permit: Permit) -> Refusal | None:
        held = self._held.get(scope)
        if held is None:
            held = self._held[scope] = _Held()
        if not self._has_left(held):
            refusal = await self._lease(whose, scope, rate, held)
            if refusal is not None:
                return refusal
        held.left -= 1
        held.used += 1
        held.touched = self._monotonic()
        permit.take(whose, rate, held)
        return None

    def _has_left(self, held: _Held) -> bool:
        return held.left > 0 and self._monotonic() < held.until

    async def _lease(self, whose: str, scope: str, rate: Rate, held: _Held) -> Refusal | None:
        """Lease permits unless another request just did; the first is used by whoever asked, in the cell's time."""
        async with held.lock:
            if self._has_left(held):
                return None
            begun = self._monotonic()
            if begun < held.refused_until:
                return _refusal(whose, rate, held.frees_at - begun)
            try:
                if held.left:
                    left, held.left = held.left, 0
                    await self._cells.give_back([Unused(scope=scope, cell=held.cell, count=left)])
                leased = await self._cells.lease(scope, rate)
            except (psycopg.Error, PoolTimeout, OSError) as error:
                logger.warning("A rate limit could not be counted: %s.", type(error).__name__)
                return _AWAY
            if not leased.count:
                held.frees_at = begun + leased.frees_in_s
                held.refused_until = begun + min(leased.frees_in_s, ASK_AGAIN_S)
                return _refusal(whose, rate, leased.frees_in_s)
            # The store looked at its clock after `begun`, so the cell ends no sooner than this.
            held.left, held.cell, held.until = leased.count, leased.cell, begun + leased.ends_in_s
            held.used, held.touched = leased.used, begun
            return None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look(self._monotonic())

    async def _look(self, now: float) -> None:
        """Give back what idles, and forget what no window touches."""
        try:
            await self._give_back(now)
            if now - self._forgot_at > FORGET_S:
                self._forgot_at = now
                await self._cells.forget()
        except (psycopg.Error, PoolTimeout, OSError) as error:
            logger.warning("Unused permits could not be given back: %s.", type(error).__name__)

    async def _give_back(self, now: float) -> None:
        unused = []
        for scope, held in list(self._held.items()):
            is_idle = now >= held.until or now - held.touched >= IDLE_S
            if held.left and is_idle and not held.lock.locked():
                unused.append(Unused(scope=scope, cell=held.cell, count=held.left))
                held.left = 0
            elif not held.left and now - held.touched >= FORGET_S and not held.lock.locked():
                del self._held[scope]
        if unused:
            await self._cells.give_back(unused)


def _scopes(limits: RateLimits, asker: Counted) -> Iterator[tuple[str, str, Rate]]:
    """Yield each limit that holds: whose it is, the name it is counted under, and the rate."""
    whose = (
        ("space", limits.space, ""),
        ("principal", limits.principal, asker.principal),
        ("key", limits.key, asker.key),
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

"""When to call a model again, and when to stop calling it (serving.md 6.4).

`RetryBudget`: at most two retries of a request, and retries are at most 10 % of the requests of a 10 s window.
`Breaker`: 20 calls or more in 30 s with half of them failed open it for 15 s; then three probes must succeed. Both
count in this process only and take the monotonic time as an argument. Fail mode: an open breaker refuses at once.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from enum import StrEnum

RETRY_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
MAX_RETRIES = 2
_QUIET_RETRIES = 2  # a process with little traffic may still retry one request twice in a window
_BUDGET_WINDOW_S = 10.0
_BUDGET_SHARE = 0.10
_BACKOFF_FIRST_S = 0.2
_BACKOFF_MOST_S = 2.0
_RETRY_AFTER_MOST_S = 5.0


class RetryBudget:
    """Grants or refuses one retry, with the pause before it. `draw` returns a number in [0, 1)."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self._requests: deque[float] = deque()
        self._retries: deque[float] = deque()

    def note_request(self, now: float) -> None:
        """Count a first attempt at monotonic time `now`, in seconds."""
        self._requests.append(now)
        self._forget(now)

    def pause(self, attempt: int, *, now: float, retry_after: float | None = None) -> float | None:
        """Return the seconds to wait before retry number `attempt` + 1, or None when there must be none.

        `retry_after` is what the provider asked for, in seconds; above 5 s there is no retry.
        """
        if attempt >= MAX_RETRIES or (retry_after is not None and retry_after > _RETRY_AFTER_MOST_S):
            return None
        self._forget(now)
        if len(self._retries) >= max(_QUIET_RETRIES, int(len(self._requests) * _BUDGET_SHARE)):
            return None
        self._retries.append(now)
        if retry_after is not None:
            return retry_after
        return _BACKOFF_FIRST_S + self._draw() * (min(_BACKOFF_MOST_S, float(1 << attempt)) - _BACKOFF_FIRST_S)

    def _forget(self, now: float) -> None:
        for times in (self._requests, self._retries):
            while times and times[0] <= now - _BUDGET_WINDOW_S:
                times.popleft()


class BreakerState(StrEnum):
    """Closed lets calls through, open refuses, probing lets three through."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


_BREAKER_WINDOW_S = 30.0
_BREAKER_CALLS = 20
_BREAKER_SHARE = 0.5
_OPEN_S = 15.0
_PROBES = 3


class Breaker:
    """One per (provider, model) and process."""

    def __init__(self) -> None:
        self._calls: deque[tuple[float, bool]] = deque()
        self._state = BreakerState.CLOSED
        self._opened_at = 0.0
        self._probes_started = 0
        self._probes_passed = 0

    @property
    def state(self) -> BreakerState:
        """The state after the last call that was noted."""
        return self._state

    def is_open(self, now: float) -> bool:
        """Tell whether a call must be refused; a call let through must be followed by `note`."""
        if self._state is BreakerState.OPEN and now >= self._opened_at + _OPEN_S:
            self._state = BreakerState.PROBING
            self._probes_started = self._probes_passed = 0
        if self._state is BreakerState.CLOSED:
            return False
        if self._state is BreakerState.OPEN or self._probes_started >= _PROBES:
            return True
        self._probes_started += 1
        return False

    def note(self, *, failed: bool, now: float) -> None:
        """Count the result of one call."""
        if self._state is BreakerState.PROBING:
            self._note_probe(failed=failed, now=now)
            return
        self._calls.append((now, failed))
        while self._calls and self._calls[0][0] <= now - _BREAKER_WINDOW_S:
            self._calls.popleft()
        if not failed or len(self._calls) < _BREAKER_CALLS:
            return
        if sum(bad for _, bad in self._calls) >= len(self._calls) * _BREAKER_SHARE:
            self._open(now)

    def forget_probe(self) -> None:
        """Give a probe back whose call ended without a result (the asker left)."""
        if self._state is BreakerState.PROBING and self._probes_started > self._probes_passed:
            self._probes_started -= 1

    def _note_probe(self, *, failed: bool, now: float) -> None:
        if failed:
            self._open(now)
            return
        self._probes_passed += 1
        if self._probes_passed >= _PROBES:
            self._state = BreakerState.CLOSED
            self._calls.clear()

    def _open(self, now: float) -> None:
        self._state = BreakerState.OPEN
        self._opened_at = now
        self._calls.clear()

"""Keeps the provider's key set fresh without making requests wait, and alive through an outage (serving.md 2.1.3).

Rule: cached for its max-age, clamped to 5 min..24 h (10 min when it says nothing); refreshed in the background at 80 %
of that; an unknown key id causes one refresh, at most one per 30 s. A set without usable keys replaces nothing.
Fail mode: the last good set serves for 24 h after it was fetched, then `KeysUnavailable`: never a bad credential.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from pilotage.adapters.identity_providers.key_set import KeySet, KeySetError, SigningKey, parse_key_set
from pilotage.core.errors import Unavailable

_LOG = logging.getLogger(__name__)
MIN_AGE_S: Final = 300.0
MAX_AGE_S: Final = 86_400.0
DEFAULT_AGE_S: Final = 600.0
REFRESH_AT: Final = 0.8
UNKNOWN_KID_PAUSE_S: Final = 30.0
RETRY_PAUSE_S: Final = 5.0
OUTAGE_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A fetched key set document, and the max-age in seconds its cache headers name."""

    body: bytes
    max_age_s: float | None


class KeyFetch(Protocol):
    """Fetches the provider's key set."""

    async def fetch(self) -> Published:
        """Return the document; raise Unavailable when the provider cannot be reached."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


class KeysUnavailable(Unavailable):
    """No key set is known, or the last one is older than 24 h."""

    def __init__(self) -> None:
        message = "The identity provider's keys cannot be fetched."
        super().__init__("identity_provider_unavailable", message, hint="Try again; check the provider's status.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    keys: KeySet
    at: float
    max_age_s: float


class KeyCache:
    """One provider's keys. `monotonic` counts seconds; `generation` rises whenever the set is replaced."""

    def __init__(self, fetch: KeyFetch, *, algorithms: Iterable[str], monotonic: Callable[[], float]) -> None:
        self._fetch = fetch
        self._algorithms = tuple(algorithms)
        self._monotonic = monotonic
        self._held: _Held | None = None
        self._tried: float | None = None
        self._lock = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None
        self.generation = 0

    async def key(self, kid: str | None, algorithm: str) -> SigningKey | None:
        """Return the key, refreshing when it is not known; None when the provider does not publish it.

        Raises KeysUnavailable when no set may be used.
        """
        found = (await self._fresh()).find(kid, algorithm)
        if found is None:
            await self._refresh(not_within=UNKNOWN_KID_PAUSE_S)
            found = self._current().find(kid, algorithm)
        return found

    async def warm_up(self) -> bool:
        """Fetch the keys when none are held; tell whether tokens can be verified now (for readiness)."""
        try:
            await self._fresh()
        except KeysUnavailable:
            return False
        return True

    async def close(self) -> None:
        """End a running refresh and release connections."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        await self._fetch.close()

    async def _fresh(self) -> KeySet:
        """Return the current set; one past its age waits for a refresh, one past 80 % of it only starts one.

        While the provider is down nobody waits: each further try runs in the background.
        """
        held = self._held
        age = 0.0 if held is None else self._age(held)
        if held is None or age >= OUTAGE_S or (age >= held.max_age_s and not self._is_failing(held)):
            await self._refresh(not_within=RETRY_PAUSE_S)
        elif age >= REFRESH_AT * held.max_age_s and (self._background is None or self._background.done()):
            self._background = asyncio.create_task(self._refresh(not_within=RETRY_PAUSE_S))
        return self._current()

    def _is_failing(self, held: _Held) -> bool:
        return self._tried is not None and self._tried > held.at

    def _current(self) -> KeySet:
        if self._held is None or self._age(self._held) >= OUTAGE_S:
            raise KeysUnavailable
        return self._held.keys

    def _age(self, held: _Held) -> float:
        return self._monotonic() - held.at

    async def _refresh(self, *, not_within: float) -> None:
        """Fetch once, unless the last try is younger than `not_within` seconds; callers at the same time share it."""
        async with self._lock:
            now = self._monotonic()
            if self._tried is not None and now - self._tried < not_within:
                return
            self._tried = now
            try:
                published = await self._fetch.fetch()
                keys = parse_key_set(published.body, self._algorithms)
            except (Unavailable, KeySetError) as error:
                _LOG.warning("The identity provider's keys were not refreshed: %s", error)
                return
            age = DEFAULT_AGE_S if published.max_age_s is None else published.max_age_s
            is_new = self._held is None or _names(self._held.keys) != _names(keys)
            self._held = _Held(keys=keys, at=now, max_age_s=min(max(age, MIN_AGE_S), MAX_AGE_S))
            self.generation += is_new


def _names(keys: KeySet) -> list[tuple[str | None, str]]:
    return [(key.kid, key.key.thumbprint()) for key in keys.keys]

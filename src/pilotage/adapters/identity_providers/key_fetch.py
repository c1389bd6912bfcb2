"""Fetches a key set over HTTP: from the configured address only, without redirects, proxies or cookies.

Rule: https (http on loopback), public addresses unless a declared network names them, at most 1 MiB, 5 s. Fail mode:
Unavailable.
"""

from __future__ import annotations

import re
from typing import Final

import aiohttp

from pilotage.adapters.identity_providers.key_cache import Published
from pilotage.adapters.outward import outward_session
from pilotage.core.errors import Unavailable
from pilotage.core.urls import check_url

_MAX_BYTES: Final = 1_048_576
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0, sock_connect=2.0)
_MAX_AGE = re.compile(r"(?:^|[ ,])max-age=([0-9]{1,9})(?:$|[ ,])")


class HttpKeyFetch:
    """A KeyFetch over aiohttp; keys are fetched rarely, so each fetch has a session of its own."""

    def __init__(self, url: str, *, allow_private: tuple[str, ...] = ()) -> None:
        self._url = check_url(url)
        self._allowed = allow_private

    async def fetch(self) -> Published:
        """Return the document at the configured address."""
        try:
            async with (
                outward_session(self._url, _TIMEOUT, self._allowed) as session,
                session.get(self._url, allow_redirects=False) as response,
            ):
                if response.status != 200:
                    raise self._failed("answered with status", str(response.status))
                body = await response.content.read(_MAX_BYTES + 1)
                while len(body) <= _MAX_BYTES and (more := await response.content.read(_MAX_BYTES + 1 - len(body))):
                    body += more
                if len(body) > _MAX_BYTES:
                    raise self._failed("sent too much, in bytes over", str(_MAX_BYTES))
                match = _MAX_AGE.search(response.headers.get("Cache-Control", ""))
                return Published(body=body, max_age_s=float(match[1]) if match else None)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            detail = str(error) if type(error) is OSError else type(error).__name__
            raise self._failed("cannot be reached:", detail) from error

    async def close(self) -> None:
        """Nothing is held between fetches."""

    def _failed(self, what: str, detail: str) -> Unavailable:
        message = f"The key set {self._url} {what} {detail}."
        return Unavailable("identity_provider_unavailable", message, hint="Check jwks_uri and the provider.")

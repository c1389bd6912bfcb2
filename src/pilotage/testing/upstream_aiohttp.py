"""A provider over aiohttp: what our own client of the model call is held to. No process calls with it.

The suite of `upstream.Upstream` runs over both, so that it asks for what HTTP clients do and not for what ours does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import aiohttp

from pilotage.adapters.direct import direct_session
from pilotage.adapters.models.upstream import UpstreamError
from pilotage.adapters.outward import CheckedResolver
from pilotage.core.outward import networks_of


class AiohttpResponse:
    """`upstream.Response`."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        """The status code."""
        return self._response.status

    @property
    def is_read(self) -> bool:
        """Tell whether the body was read to its end."""
        return self._response.content.at_eof()

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        return self._response.headers.get(name)

    async def read(self, within_s: float) -> bytes:
        """Return what has come of the body; nothing at its end."""
        try:
            async with asyncio.timeout(max(within_s, 0.0)):
                return await self._response.content.readany()
        except aiohttp.ClientError as error:
            raise UpstreamError(type(error).__name__) from None

    def end(self) -> None:
        """Give the connection back, or close it."""
        if self.is_read:
            self._response.release()
        else:
            self._response.close()


class AiohttpUpstream:
    """`upstream.Upstream`."""

    def __init__(self, address: str, connect_s: float, allow_private: Iterable[str] = ()) -> None:
        self._address = address
        self._allowed = networks_of(urlsplit(address).hostname or "", allow_private)
        self._connect_s = connect_s
        self._session: aiohttp.ClientSession | None = None

    async def post(self, body: bytes, headers: Mapping[str, str], *, within_s: float) -> AiohttpResponse:
        """Send a body."""
        return await self._call("POST", body, headers, within_s)

    async def get(self, headers: Mapping[str, str], *, within_s: float) -> AiohttpResponse:
        """Ask without a body."""
        return await self._call("GET", None, headers, within_s)

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(
        self, method: str, body: bytes | None, headers: Mapping[str, str], within_s: float
    ) -> AiohttpResponse:
        try:
            async with asyncio.timeout(max(within_s, 0.0)):
                response = await self._http().request(
                    method, self._address, data=body, headers=dict(headers), allow_redirects=False
                )
        except aiohttp.ClientError as error:
            raise UpstreamError(type(error).__name__) from None
        return AiohttpResponse(response)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = direct_session(
                aiohttp.TCPConnector(resolver=CheckedResolver(self._allowed), limit=0, keepalive_timeout=30),
                aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s),
            )
        return self._session

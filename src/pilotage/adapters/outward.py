"""Outbound HTTP to declared places: every address is checked before it is connected to (serving.md 5.8).

Rule: a name is resolved once, refused when any answer may not be reached, and connected to at the checked addresses
with the name's own TLS, or by a tunnel of the proxy declared for us; no redirects, other proxies or cookies. The host
that is judged is the one the client itself reads in the URL: other dots and digits of Unicode make an address too. Fail
mode: OSError, before a byte leaves.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pilotage.adapters import direct
from pilotage.adapters.tunnel import the_proxy
from pilotage.core.proxy import Proxy


class CheckedResolver(AbstractResolver):
    """Resolves names to addresses that may be reached."""

    def __init__(self, allow_private: tuple[str, ...] = (), *, proxy: Proxy | None = None) -> None:
        self._allowed = allow_private
        self._proxy = proxy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name, or raise OSError when any of them may not be reached."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        if self._proxy is None or host != self._proxy.host:
            direct.check_places(host, found, self._allowed)
        return [
            ResolveResult(
                hostname=host,
                host=str(place[0]),
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, place in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


@asynccontextmanager
async def outward_session(
    url: str, limits: aiohttp.ClientTimeout, allow_private: tuple[str, ...] = ()
) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session of the running loop for requests to this URL; OSError when its host may not be reached."""
    proxy = the_proxy(require_reachable(url, allow_private))
    connector = aiohttp.TCPConnector(
        resolver=CheckedResolver(allow_private, proxy=proxy), use_dns_cache=False, ssl=direct.verifying()
    )
    async with direct.direct_session(connector, limits, proxy=proxy) as session:
        yield session


def require_reachable(url: str, allow_private: tuple[str, ...] = ()) -> str:
    """Return the URL's host; OSError when it is an address that may not be reached. Names are checked when resolved."""
    host = _host_of(url)
    direct.check_named(host, allow_private)
    return host


def _host_of(url: str) -> str:
    """Return the host as the client connects to it; addresses among these ask no resolver."""
    try:
        host = URL(url).raw_host
    except ValueError:
        host = None
    if not host:
        message = f"{url[:80]!r} names no host that can be read."
        raise OSError(message)
    return host

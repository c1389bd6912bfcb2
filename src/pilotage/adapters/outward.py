"""Outbound HTTP to declared places: every address is checked before it is connected to (serving.md 5.8).

Rule: a name is resolved once, refused when any answer may not be reached, and connected to at the checked addresses
with the name's own TLS; no redirects, no proxies of the environment, no cookies. The host that is judged is the one the
client itself reads in the URL: other dots and digits of Unicode make an address too. Fail mode: OSError, before a byte
leaves.
"""

from __future__ import annotations

import asyncio
import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pilotage.adapters.direct import check_address, check_places, direct_session


class CheckedResolver(AbstractResolver):
    """Resolves names to addresses that may be reached."""

    def __init__(self, allow_private: tuple[str, ...] = ()) -> None:
        self._allowed = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name, or raise OSError when any of them may not be reached."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        check_places(host, found, self._allowed)
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


def outward_session(timeout: aiohttp.ClientTimeout, allow_private: tuple[str, ...] = ()) -> aiohttp.ClientSession:
    """Return a session of the running loop whose names are checked; check each URL with `require_reachable` too."""
    connector = aiohttp.TCPConnector(resolver=CheckedResolver(allow_private), use_dns_cache=False)
    return direct_session(connector, timeout)


def require_reachable(url: str, allow_private: tuple[str, ...] = ()) -> None:
    """Raise OSError when the URL's host is an address that may not be reached; names are checked when resolved."""
    host = _host_of(url)
    check_places(host, (), allow_private)
    if ":" in host or host.replace(".", "").isdigit():
        check_address(host, host, allow_private)


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

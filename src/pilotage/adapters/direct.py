"""Every client that opens connections to the outside is made here (serving.md 5.8), so that all go the same way.

Rule: a name is resolved once, refused when any of its addresses may not be reached, and connected to at those addresses
with the name's own TLS; no general proxy variable, netrc file, cookie or redirect changes where a request and its
secret go. A proxy declared for Pilotage itself (`core.proxy`) opens a tunnel to the name instead, by `tunnel`. Fail
mode: PlaceRefused before a byte leaves; a declared proxy that does not answer is never gone around.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Final, TypeVar

import aiohttp
from aiohappyeyeballs import AddrInfoType, start_connection

from pilotage.adapters.tunnel import dig, dig_at_once, the_proxy
from pilotage.core.outward import is_odd_host, may_reach, networks_of
from pilotage.core.proxy import Proxy

NEXT_ADDRESS_S: Final = 0.25
"""An address that has not answered for so long has the next one of its host tried beside it (RFC 8305)."""

Spoken = TypeVar("Spoken", bound=asyncio.Protocol)


class PlaceRefused(OSError):
    """A host stands where it may not be reached. The text names it and its address, for those who run this."""


class _Plain(http.client.HTTPConnection):
    allow_private: tuple[str, ...] = ()
    within_s: float

    def connect(self) -> None:
        """Connect to the first checked address that answers."""
        self.sock = direct_socket(self.host, self.port, timeout_s=self.within_s, allow_private=self.allow_private)


class _Secure(http.client.HTTPSConnection):
    allow_private: tuple[str, ...] = ()
    within_s: float

    def connect(self) -> None:
        """Connect to the first checked address that answers; there the host proves its name."""
        reached = direct_socket(self.host, self.port, timeout_s=self.within_s, allow_private=self.allow_private)
        try:
            self.sock = verifying().wrap_socket(reached, server_hostname=self.host)
        except BaseException:
            reached.close()
            raise


def direct_connection(
    host: str, port: int, *, is_tls: bool, timeout_s: float, allow_private: Iterable[str] = ()
) -> http.client.HTTPConnection:
    """Return a connection that is opened by its first request; with TLS the host proves its name.

    `allow_private` are networks (CIDR) in which the host may stand although they are not public.
    """
    connection: _Plain | _Secure
    if is_tls:
        connection = _Secure(host, port, timeout=timeout_s, context=verifying())
    else:
        connection = _Plain(host, port, timeout=timeout_s)
    connection.allow_private, connection.within_s = tuple(allow_private), timeout_s
    return connection


def direct_session(
    connector: aiohttp.BaseConnector, timeout: aiohttp.ClientTimeout, *, proxy: Proxy | None = None
) -> aiohttp.ClientSession:
    """Return a session of the running loop; each request says `allow_redirects=False` itself.

    With a proxy every request of the session goes through it.
    """
    return aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        proxy=None if proxy is None else proxy.address,
    )


async def direct_stream(
    speak: Callable[[], Spoken], host: str, port: int, *, is_tls: bool, allow_private: Iterable[str] = ()
) -> Spoken:
    """Open a connection at once and return its protocol; with TLS the host proves its name.

    `allow_private` are networks (CIDR) in which the host may stand although they are not public.
    """
    proxy = the_proxy(host)
    if proxy is None:
        found = await places_of(host, port)
        check_places(host, found, networks_of(host, allow_private))
        reached = await start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_S)
    else:
        check_named(host, networks_of(host, allow_private))
        found = await places_of(proxy.host, proxy.port)
        reached = await dig(await start_connection(found, happy_eyeballs_delay=NEXT_ADDRESS_S), proxy, host, port)
    _, spoken = await asyncio.get_running_loop().create_connection(
        speak, sock=reached, ssl=verifying() if is_tls else None, server_hostname=host if is_tls else None
    )
    return spoken


async def places_of(host: str, port: int) -> Sequence[AddrInfoType]:
    """Return every address of a host, the preferred one first."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


def check_places(host: str, found: Iterable[AddrInfoType], allowed: Iterable[str]) -> None:
    """Raise PlaceRefused when any of a host's addresses may not be reached."""
    if is_odd_host(host):
        message = f"{host} is an address in a form that is not read. Write four decimal numbers, or a name."
        raise PlaceRefused(message)
    networks = tuple(allowed)
    for place in found:
        check_address(host, str(place[4][0]), networks)


def check_named(host: str, allowed: Iterable[str]) -> None:
    """Raise PlaceRefused when a host is written as an address that may not be reached; a name is not looked up."""
    check_places(host, (), allowed)
    if ":" in host or host.replace(".", "").isdigit():
        check_address(host, host, allowed)


def check_address(host: str, address: str, allowed: Iterable[str]) -> None:
    """Raise PlaceRefused when this address of a host may not be reached."""
    if not may_reach(address, allowed):
        message = f"{host} is at {address}, which is not public. Name its network in allow_private if it belongs there."
        raise PlaceRefused(message)


def direct_socket(host: str, port: int, *, timeout_s: float, allow_private: tuple[str, ...] = ()) -> socket.socket:
    """Return a connection to the first address that answers; they share the time, so that a silent one leaves some."""
    until = time.monotonic() + timeout_s
    proxy = the_proxy(host)
    if proxy is None:
        found = _places(host, port)
        check_places(host, found, networks_of(host, allow_private))
        reached = _first(host, found, until)
    else:
        check_named(host, networks_of(host, allow_private))
        reached = dig_at_once(_first(proxy.host, _places(proxy.host, proxy.port), until), proxy, host, port, until)
    reached.settimeout(timeout_s)
    return reached


def _places(host: str, port: int) -> Sequence[AddrInfoType]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # what is no name at all is a ValueError there
        message = f"{host[:80]!r} is no name that can be looked up."
        raise OSError(message) from None


def _first(host: str, found: Sequence[AddrInfoType], until: float) -> socket.socket:
    failed: OSError = OSError(f"{host} has no address.")
    for tried, one in enumerate(found):
        try:
            return _opened(one, max(0.1, (until - time.monotonic()) / (len(found) - tried)))
        except OSError as error:
            failed = error
    raise failed


def _opened(one: AddrInfoType, within_s: float) -> socket.socket:
    family, kind, protocol, _, place = one
    opened = socket.socket(family, kind, protocol)  # raises where this machine does not speak the family at all
    try:
        opened.settimeout(within_s)
        opened.connect(place)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        opened.close()
        raise
    return opened


@cache
def verifying() -> ssl.SSLContext:
    """Return the context of this process for streams that speak HTTP/1.1."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

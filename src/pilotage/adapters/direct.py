"""Every client that opens connections to the outside is made here (serving.md 5.8), so that all go straight there.

Rule: no proxy variable of the environment, netrc file, cookie or redirect changes where a request and its secret go; no
deployment can declare a proxy yet. Fail mode: a place that only a proxy reaches is not reached.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import urllib.request
from collections.abc import Callable, Sequence
from email.message import Message
from functools import cache
from typing import IO, Final, TypeVar

import aiohttp
from aiohappyeyeballs import AddrInfoType, start_connection

NEXT_ADDRESS_S: Final = 0.25
"""An address that has not answered for so long has the next one of its host tried beside it (RFC 8305)."""

Spoken = TypeVar("Spoken", bound=asyncio.Protocol)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """Follow nothing: the answer then counts as the error it is."""


def direct_opener() -> urllib.request.OpenerDirector:
    """Return an opener for requests that may wait."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def direct_connection(host: str, port: int, *, is_tls: bool, timeout_s: float) -> http.client.HTTPConnection:
    """Return a connection that is opened by its first request; with TLS the host proves its name."""
    if is_tls:
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def direct_session(connector: aiohttp.BaseConnector, timeout: aiohttp.ClientTimeout) -> aiohttp.ClientSession:
    """Return a session of the running loop; each request says `allow_redirects=False` itself."""
    return aiohttp.ClientSession(
        connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    )


async def direct_stream(speak: Callable[[], Spoken], host: str, port: int, *, is_tls: bool) -> Spoken:
    """Open a connection at once and return its protocol; with TLS the host proves its name."""
    reached = await start_connection(await places_of(host, port), happy_eyeballs_delay=NEXT_ADDRESS_S)
    _, spoken = await asyncio.get_running_loop().create_connection(
        speak, sock=reached, ssl=verifying() if is_tls else None, server_hostname=host if is_tls else None
    )
    return spoken


async def places_of(host: str, port: int) -> Sequence[AddrInfoType]:
    """Return every address of a host, the preferred one first."""
    return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


@cache
def verifying() -> ssl.SSLContext:
    """Return the context of this process for streams that speak HTTP/1.1."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context

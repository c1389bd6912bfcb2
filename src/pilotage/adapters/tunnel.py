"""Opens a tunnel to a host through the declared proxy, on a connection to the proxy (RFC 9110 9.3.6).

Rule: only what the proxy says before the tunnel is read here, byte for byte; the host's own bytes are TLS. Fail mode:
ProxyRefused, an OSError, and the connection is closed; the answer of a proxy is never quoted beyond its status.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from functools import lru_cache
from typing import Final

from pilotage.core.proxy import EXCEPT, PROXY, Proxy, declared_proxy

_LONGEST_HEAD: Final = 16_384
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


class ProxyRefused(OSError):
    """The proxy lets no connection to the host through. The text says what to look at."""


def the_proxy(host: str) -> Proxy | None:
    """Return the proxy that carries a connection to this host, or None; raise UsageError for a bad declaration."""
    proxy = _declared(os.environ.get(PROXY, ""), os.environ.get(EXCEPT, ""))
    return proxy if proxy is not None and proxy.carries(host) else None


@lru_cache(maxsize=8)
def _declared(address: str, excepted: str) -> Proxy | None:
    return declared_proxy({PROXY: address, EXCEPT: excepted})


async def dig(connection: socket.socket, proxy: Proxy, host: str, port: int) -> socket.socket:
    """Return a connection to the proxy as one to the host; it does not block. The caller bounds the time."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(connection, proxy.request_for(host, port))
        head = b""
        while not _is_whole(head):
            head += _some(await loop.sock_recv(connection, _next_size(head)))
        _check(head, proxy, host)
    except BaseException:
        connection.close()
        raise
    return connection


def dig_at_once(connection: socket.socket, proxy: Proxy, host: str, port: int, until: float) -> socket.socket:
    """Return a connection to the proxy as one to the host, until a monotonic time."""
    try:
        connection.settimeout(_left(until))
        connection.sendall(proxy.request_for(host, port))
        head = b""
        while not _is_whole(head):
            connection.settimeout(_left(until))
            head += _some(connection.recv(_next_size(head)))
        _check(head, proxy, host)
    except BaseException:
        connection.close()
        raise
    return connection


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        message = "the proxy did not answer in time"
        raise ProxyRefused(message)
    return left


def _is_whole(head: bytes) -> bool:
    if len(head) > _LONGEST_HEAD:
        message = "the proxy's answer is too long"
        raise ProxyRefused(message)
    return head.endswith(b"\r\n\r\n")


def _next_size(head: bytes) -> int:
    """Return how many bytes surely still belong to the head: what stands behind it is the host's."""
    for missing, end in ((1, b"\r\n\r"), (2, b"\r\n"), (3, b"\r")):
        if head.endswith(end):
            return missing
    return 4


def _some(piece: bytes) -> bytes:
    if not piece:
        message = "the proxy closed the connection"
        raise ProxyRefused(message)
    return piece


def _check(head: bytes, proxy: Proxy, host: str) -> None:
    status = _STATUS.match(head)
    if status is None:
        message = f"what answers at {proxy.host}:{proxy.port} is no HTTP proxy; see {PROXY}"
        raise ProxyRefused(message)
    code = status[1].decode("ascii")
    if code == "407":
        message = f"the proxy wants to know who asks (407): write USER:PASSWORD@ in {PROXY}"
        raise ProxyRefused(message)
    if not code.startswith("2"):
        message = f"the proxy lets no connection to {host} through ({code})"
        raise ProxyRefused(message)

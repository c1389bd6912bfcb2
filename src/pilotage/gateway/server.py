"""Running the gateway: uvicorn with uvloop, httptools and our protocol class; a stop that drains (serving.md 3.4).

A stop makes `/readyz` 503 at once, lets requests end for 30 s, then tells the rest with an error and flushes the
records. Fail mode: a second interrupt ends without waiting; records still buffered are then counted as lost in the log.
"""

from __future__ import annotations

import errno
import gc
import socket
from collections.abc import Callable

import uvicorn

from pilotage.core.errors import Unavailable, UsageError
from pilotage.gateway.app import Gateway
from pilotage.gateway.protocol import protocol_class
from pilotage.workspace.gateway import GatewayLimits

DRAIN_S = 30
# A request makes a few hundred objects and hardly a cycle: the default of 700 collects several times a request.
_COLLECT = (20_000, 20, 20)


class GatewayServer(uvicorn.Server):
    """A uvicorn server that says that it stops before it stops listening."""

    def __init__(self, config: uvicorn.Config, *, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; what was loaded until now lives as long as the process, so the collector need not look at it again."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECT)

    async def serve_here(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`, leaving signals to the caller."""
        await self._serve(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain."""
        self._on_stop()
        await super().shutdown(sockets)


def bind(host: str, port: int) -> list[socket.socket]:
    """Take every address of a host at a port, before anything else is started; nobody is listened to yet.

    UsageError for a host that is none of this machine's, Unavailable for a port that is taken or needs more rights.
    """
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, place in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            bound.append(socket.socket(family, kind, protocol))
            bound[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                bound[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            bound[-1].bind(place)
    except OSError as error:
        for one in bound:
            one.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            problem = f"{host} is no address of this machine."
            raise UsageError("HOST_UNKNOWN", problem, hint="Write --host 127.0.0.1, or one of its own.") from None
        why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        hint = "Write --port with another number, or end what listens there."
        raise Unavailable("PORT_TAKEN", f"Port {port} of {host} {why}.", hint=hint) from None
    return bound


def make_server(
    gateway: Gateway,
    limits: GatewayLimits,
    *,
    on_stop: Callable[[], None],
    drain_s: int = DRAIN_S,
) -> GatewayServer:
    """Return a server for the gateway; run `serve(sockets)` on a uvloop (`uvloop.run`): the default loop costs more.

    The access log is off: records are the log of requests.
    """
    config = uvicorn.Config(
        gateway,
        http=protocol_class(limits),
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_keep_alive=int(limits.keep_alive_s),
        timeout_graceful_shutdown=drain_s,
        backlog=2048,
    )

    def stop() -> None:
        gateway.health.is_draining = True
        on_stop()

    return GatewayServer(config, on_stop=stop)

"""Running the gateway: uvicorn with uvloop, httptools and our protocol class; a stop that drains (serving.md 3.4).

A stop makes `/readyz` 503 at once, lets requests end for 30 s, then tells the rest with an error and flushes the
records. Fail mode: a second interrupt ends without waiting; records still buffered are then counted as lost in the log.
"""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable

import uvicorn

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


def make_server(
    gateway: Gateway,
    limits: GatewayLimits,
    *,
    host: str,
    port: int,
    on_stop: Callable[[], None],
    drain_s: int = DRAIN_S,
) -> GatewayServer:
    """Return a server for the gateway; run `serve()` on a uvloop (`uvloop.run`): the default loop costs more.

    The access log is off: records are the log of requests.
    """
    config = uvicorn.Config(
        gateway,
        host=host,
        port=port,
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

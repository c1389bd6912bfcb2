"""Limits and network settings of the gateway: `pilotage.yaml: gateway` (serving.md 1.4, 3.1).

Units in names. Every limit has a ceiling that no file can raise. Fail mode: over a ceiling, the file is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from pilotage.core.ids import SpaceName


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits:
    """What one request, connection, principal and process may use.

    `body_deadline_s`: a body is whole by then, or has come at `body_rate_bytes_s`, and does so in each span after it.
    """

    body_bytes: int = 1_048_576
    message_code_points: int = 32_768
    messages_code_points: int = 131_072
    request_line_bytes: int = 4096
    header_bytes: int = 16_384
    headers_bytes: int = 32_768
    headers_count: int = 100
    header_deadline_s: float = 10.0
    body_deadline_s: float = 30.0
    body_floor_bytes_s: int = 1024
    body_rate_bytes_s: int = 65_536
    connections: int = 2048
    connections_per_peer: int = 256
    keep_alive_s: float = 30.0
    streams: int = 1000
    streams_per_principal: int = 8
    stream_s: float = 600.0
    request_s: float = 120.0
    unread_bytes: int = 262_144
    unread_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """`trusted_proxies` and `health_peers` are CIDR ranges in canonical form; `routing_stale_s` is at most 240."""

    default_space: SpaceName | None = None
    limits: GatewayLimits = GatewayLimits()
    trusted_proxies: tuple[str, ...] = ()
    health_peers: tuple[str, ...] = ()
    routing_stale_s: float = 60.0
    record_flush_ms: int = 50

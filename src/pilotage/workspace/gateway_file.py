"""Reads `gateway` of `pilotage.yaml`. Each limit has the ceiling of serving.md 1.4, or ten times its default.

Fail mode: every mistake at once.
"""

from __future__ import annotations

from dataclasses import fields as record_fields

from pilotage.core.durations import parse_duration
from pilotage.core.fields import Fields, Reader, converted, integer, record
from pilotage.core.located import Located, Problems
from pilotage.core.readers import BYTES, NETWORKS, SPACE
from pilotage.workspace.gateway import GatewayLimits, GatewaySettings

_CEILINGS = {"body_bytes": 8_388_608}


def parse_gateway(fields: Fields) -> GatewaySettings:
    """Read the gateway's settings."""
    return GatewaySettings(
        default_space=fields.get("default_space", SPACE, None),
        limits=fields.get("limits", record(_limits), GatewayLimits()),
        trusted_proxies=fields.get("trusted_proxies", NETWORKS, ()),
        health_peers=fields.get("health_peers", NETWORKS, ()),
        routing_stale_s=fields.get("routing_stale", _seconds(240), 60.0),
        record_flush_ms=int(1000 * fields.get("record_flush", _seconds(1), 0.05)),
    )


def _seconds(ceiling: float) -> Reader[float]:
    def convert(text: str) -> float:
        seconds = parse_duration(text).total_seconds()
        if not 0 < seconds <= ceiling:
            message = f"{text!r} is out of range. Write a duration above 0 and at most {ceiling:g}s."
            raise ValueError(message)
        return seconds

    return converted(convert, 1.0)


def _limits(fields: Fields) -> GatewayLimits:
    """Read each limit under its own name; `_bytes` accept sizes, `_s` durations."""
    values: dict[str, int | float] = {}
    for one in record_fields(GatewayLimits):
        default = one.default
        assert isinstance(default, int | float)
        reader = _reader(one.name, _CEILINGS.get(one.name, 10 * default))
        values[one.name] = fields.get(one.name, reader, default)
    return GatewayLimits(**values)  # type: ignore[arg-type] # names and types come from the record itself


def _reader(name: str, ceiling: float) -> Reader[int] | Reader[float]:
    if name.endswith("_s") and not name.endswith("_bytes_s"):
        return _seconds(ceiling)
    if name.endswith("_bytes"):
        return _size(int(ceiling))
    return integer(1, int(ceiling))


def _size(ceiling: int) -> Reader[int]:
    def read(at: Located, problems: Problems) -> int:
        size = BYTES.read(at, problems)
        if size > ceiling or size < 1:
            problems.add(at, f"{at.path!r} is {size:,} bytes", f"Write a size from 1 to {ceiling:,} bytes.")
        return size

    return Reader(read=read, stand_in=lambda: ceiling)

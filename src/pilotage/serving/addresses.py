"""The client's address and whether it may enter (serving.md 3.1).

The TCP peer is the client, unless it is a trusted proxy: then `X-Forwarded-For` is read from the right, skipping
trusted entries. `Forwarded` and `X-Real-IP` are never read. Fail mode: an entry that cannot be parsed, or an unknown
peer where addresses are limited, is refused.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from pilotage.serving.refusal import Code, Refusal

Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"

FORWARDING: Final = (
    *("forwarded", "via", "x-real-ip"),
    *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
)
"""Headers that tell of a client behind the TCP peer."""

_NOT_ALLOWED = Refusal(code=Code.IP_NOT_ALLOWED, message="Your address may not use this space.")


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """Return the address, IPv4-mapped IPv6 unwrapped, or None."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(maxsize=256)
def _networks(ranges: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in ranges)


def containing(address: Address, ranges: Sequence[str]) -> str | None:
    """Return the first range that holds the address, as it is written, or None."""
    for text, network in zip(ranges, _networks(tuple(ranges)), strict=True):
        if address.version == network.version and address in network:
            return text
    return None


def client_address(peer: str, forwarded_for: Sequence[str], trusted: Sequence[str]) -> Address | Refusal:
    """Return who connects. `forwarded_for` are the header's values in order; they may hold lists."""
    address = parse_address(peer)
    if address is None:
        return _NOT_ALLOWED
    if not forwarded_for or containing(address, trusted) is None:
        return address
    for entry in reversed(",".join(forwarded_for).split(",")):
        hop = parse_address(entry)
        if hop is None:
            return _NOT_ALLOWED
        address = hop
        if containing(hop, trusted) is None:
            return hop
    return address


def is_over_tls(peer: str, forwarded_proto: str, trusted: Sequence[str]) -> bool:
    """Tell whether a trusted proxy says that the client came to it over TLS; of several values the nearest counts."""
    address = parse_address(peer)
    if address is None or containing(address, trusted) is None:
        return False
    return forwarded_proto.rpartition(",")[2].strip().lower() == "https"


def may_enter(address: Address, ranges: Sequence[str] | None, *, local_mode: bool) -> str | Refusal:
    """Return the rule that lets the address in, or the refusal. `ranges` None allows every address.

    In local identity mode, and only there, loopback counts as inside any list.
    """
    if ranges is None:
        return "any"
    found = containing(address, ranges)
    if found is not None:
        return found
    if local_mode and address.is_loopback:
        return "loopback_local"
    return _NOT_ALLOWED

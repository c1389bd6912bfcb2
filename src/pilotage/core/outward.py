"""Which addresses may be reached from here (serving.md 5.8): public ones, and those a declared network names.

Rule: loopback, private, link-local, shared, multicast, reserved and metadata addresses are refused, also when they hide
in an IPv6 form (mapped, NAT64, 6to4, Teredo). Fail mode: what is no plain address is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias

Address: TypeAlias = "IPv4Address | IPv6Address"

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""How a file names this machine itself: what is declared so may be reached without TLS, and at loopback only."""

_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
_NAT64: Final = ip_network("64:ff9b::/96")
_LOCAL_NAT64: Final = ip_network("64:ff9b:1::/48")
_NUMBERS: Final = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+)){0,3}\.?")


def is_odd_host(host: str) -> bool:
    """Tell whether a host is an address in a form that only some programs read: 127.1, 0x7f.1, 2130706433."""
    if _NUMBERS.fullmatch(host) is None:
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False


def networks_of(host: str, allow_private: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the networks besides the public ones in which a declared host may stand."""
    return _LOOPBACK if host in LOCAL_NAMES else tuple(allow_private)


def may_reach(address: str, allow_private: Iterable[str] = ()) -> bool:
    """Tell whether a connection to this address may be opened. `allow_private` are networks in CIDR form."""
    try:
        found = ip_address(address.partition("%")[0])
        networks = [ip_network(one) for one in allow_private]
    except ValueError:
        return False
    return all(_is_public(one) or any(one in network for network in networks) for one in _meant(found))


def _meant(address: Address) -> tuple[Address, ...]:
    """Return what is really reached: the IPv4 address inside an IPv6 one, or the address itself."""
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address in _NAT64:
        return (IPv4Address(int(address) & 0xFFFF_FFFF),)
    return (address, *(address.teredo or ()))


def _is_public(address: Address) -> bool:
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified or address in _LOCAL_NAT64
    )

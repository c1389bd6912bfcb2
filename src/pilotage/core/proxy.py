"""The proxy through which a network lets calls out, where one is declared (serving.md 5.8).

Rule: a connection through it is a tunnel (CONNECT, RFC 9110 9.3.6): TLS runs from here to the host itself, and the
proxy reads neither a request nor its secret. It resolves the names, so that it, and no longer we, refuses a name that
stands inside; an address that is written out is still judged here. Fail mode: UsageError for a declaration that cannot
be read; nobody goes straight instead.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import unquote, urlsplit

from pilotage.core.errors import UsageError
from pilotage.core.outward import LOCAL_NAMES, is_odd_host

Network: TypeAlias = "IPv4Network | IPv6Network"

PROXY: Final = "PILOTAGE_PROXY"
EXCEPT: Final = "PILOTAGE_PROXY_EXCEPT"
_PORT: Final = 3128


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Where the proxy answers. `login` is `USER:PASSWORD` as an address holds it, percent-encoded, "" for none.

    Hosts of `names`, below them or in `networks` are reached without it, and so is this machine by its own names.
    """

    host: str
    port: int
    login: str = field(default="", repr=False)
    names: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()

    @property
    def address(self) -> str:
        """The proxy as one address, its login included."""
        return f"http://{f'{self.login}@' if self.login else ''}{_place(self.host, self.port)}"

    def carries(self, host: str) -> bool:
        """Tell whether a connection to this host goes through the proxy."""
        plain = host.rstrip(".").casefold()
        if plain in LOCAL_NAMES or any(plain == name or plain.endswith(f".{name}") for name in self.names):
            return False
        try:
            address = ip_address(plain)
        except ValueError:
            return True
        return not any(address in network for network in self.networks)

    def request_for(self, host: str, port: int) -> bytes:
        """Return what asks the proxy for a tunnel to a host."""
        place = _place(host, port)
        login = f"Proxy-Authorization: {_basic(self.login)}\r\n" if self.login else ""
        return f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{login}\r\n".encode("ascii")


def declared_proxy(environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy that `PILOTAGE_PROXY` declares, or None; raise UsageError for what cannot be read."""
    address, excepted = environ.get(PROXY, "").strip(), environ.get(EXCEPT, "")
    if not address:
        return None
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError:
        parts, host, port = urlsplit(""), "", _PORT
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment
    if parts.scheme != "http" or not host.isascii() or not host or is_odd_host(host) or has_more:
        # The value may hold a password: it is not shown.
        hint = (
            "Write http://HOST:PORT, or http://USER:PASSWORD@HOST:PORT; what is sent to a host stays encrypted in it."
        )
        raise UsageError("PROXY_FORM", f"{PROXY} is no address of an HTTP proxy.", hint=hint)
    names, networks = _exceptions(excepted)
    login = "" if parts.username is None else f"{parts.username}:{parts.password or ''}"
    return Proxy(host=host, port=port, login=login, names=names, networks=networks)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _basic(login: str) -> str:
    return f"Basic {base64.b64encode(unquote(login).encode()).decode('ascii')}"


def _exceptions(text: str) -> tuple[tuple[str, ...], tuple[Network, ...]]:
    """Return the names and the networks of a list between commas."""
    names: list[str] = []
    networks: list[Network] = []
    for one in filter(None, (piece.strip() for piece in text.split(","))):
        try:
            networks.append(ip_network(one))
        except ValueError:
            name = one.removeprefix("*.").strip(".").casefold()
            if not name.isascii() or not all(part.replace("-", "").isalnum() for part in name.split(".")) or "/" in one:
                hint = "Write names and networks between commas: bank.example,10.0.0.0/8."
                raise UsageError("PROXY_FORM", f"{EXCEPT} lists {one[:80]!r}.", hint=hint) from None
            names.append(name)
    return tuple(names), tuple(networks)

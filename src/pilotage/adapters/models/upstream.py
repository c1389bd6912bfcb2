"""The one call a model adapter makes: a POST to its provider, and the response as it comes (serving.md 6.4, 6.5).

No proxies, cookies or redirects; TLS always verified. Rule: whoever got a response calls its `end`: read to its end it
gives its connection back for the next call, before that it closes it at once. Fail mode: UpstreamError when the
provider cannot be reached, breaks off or does not speak proper HTTP; TimeoutError when it is late. Neither quotes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

MAX_BODY_BYTES = 8 * 1024 * 1024


class UpstreamError(Exception):
    """The call failed; the text is a few words of ours, nothing of the provider's."""


class Response(Protocol):
    """A response whose head has come. `header` takes a lower-case name; `is_read` once the whole body was read."""

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def is_read(self) -> bool:
        """Tell whether the body was read to its proper end."""
        ...

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        ...

    async def read(self, within_s: float) -> bytes:
        """Return what has come of the body, waiting for more at most this long; nothing at its proper end."""
        ...

    def end(self) -> None:
        """Give the connection back, or close it when the body was not read to its end."""
        ...


class Upstream(Protocol):
    """A provider's address with its connections."""

    async def post(self, body: bytes, headers: Mapping[str, str], *, within_s: float) -> Response:
        """Send a body; return once the head of the response has come, whatever its status."""
        ...

    async def get(self, headers: Mapping[str, str], *, within_s: float) -> Response:
        """Ask whether somebody is there, without a body."""
        ...

    async def close(self) -> None:
        """Close every connection. The next call opens new ones."""
        ...


class Connect(Protocol):
    """Makes a client."""

    def __call__(self, address: str, connect_s: float, allow_private: Iterable[str] = ()) -> Upstream:
        """Return the client of an address, its query included; a connection may take so long.

        `allow_private` are networks (CIDR) in which the provider may stand although they are not public.
        """
        ...

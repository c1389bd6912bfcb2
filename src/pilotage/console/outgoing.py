"""Answers as bytes: status, headers, body, packed when the browser takes it."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from pilotage.console.assets import Asset
from pilotage.console.reply import Download, Page, Redirect

Pairs = tuple[tuple[bytes, bytes], ...]

_PACK_OVER: Final = 1_400
_IMMUTABLE: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_PACKED: Final = ((b"content-encoding", b"gzip"), (b"vary", b"accept-encoding"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One whole answer."""

    status: int
    headers: Pairs
    body: bytes

    def packed(self) -> Outgoing:
        """Return the answer gzipped when that is worth it."""
        if len(self.body) <= _PACK_OVER or any(name == b"content-encoding" for name, _ in self.headers):
            return self
        body = gzip.compress(self.body, compresslevel=5, mtime=0)
        return replace(self, headers=(*self.headers, *_PACKED), body=body)


def html(page: Page, text: str) -> Outgoing:
    """Return a rendered page."""
    headers = ((b"content-type", b"text/html; charset=utf-8"), *_encoded(page.headers))
    return Outgoing(status=page.status, headers=headers, body=text.encode("utf-8", "replace"))


def whole(reply: Redirect | Download) -> Outgoing:
    """Return an answer that is no page."""
    if isinstance(reply, Redirect):
        return Outgoing(status=303, headers=((b"location", reply.to.encode()), *_encoded(reply.headers)), body=b"")
    return Outgoing(status=200, headers=attached(reply.filename, reply.media), body=reply.body)


def attached(filename: str, media: str = "application/octet-stream") -> Pairs:
    """Return the headers of what is kept and never shown."""
    disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    return ((b"content-type", media.encode()), (b"content-disposition", disposition.encode()))


def static(asset: Asset, *, takes_gzip: bool) -> Outgoing:
    """Return a static file, kept by the browser for good."""
    headers: Pairs = ((b"content-type", asset.media.encode()), _IMMUTABLE)
    if takes_gzip:
        return Outgoing(status=200, headers=(*headers, *_PACKED), body=asset.packed)
    return Outgoing(status=200, headers=headers, body=asset.body)


def _encoded(headers: Iterable[tuple[str, str]]) -> Pairs:
    return tuple((name.encode(), value.encode()) for name, value in headers)

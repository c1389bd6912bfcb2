"""Reading JSON from a service over HTTPS: bounded in time and size, with a token by reference, page after page.

Rule: only GET; plain HTTP only to this machine; a token never follows a redirect, because none is followed, and no
proxy reads it; a next page must be on the same host. Fail mode: Unavailable that names the address without its query,
never a part of an answer.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from pilotage.adapters.direct import PlaceRefused, direct_connection
from pilotage.adapters.models.secret import read_secret
from pilotage.adapters.tunnel import ProxyRefused
from pilotage.core.canonical import Json
from pilotage.core.errors import Unavailable, UsageError
from pilotage.core.urls import is_confidential, place_of

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_PAGES: Final = 200
_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One JSON answer. `next_url` is what the Link header (RFC 8288) names as the next page."""

    value: Json
    next_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Where a service answers, and with what right: `token` is `env:NAME` or `file:PATH` (relative to `root`), or None.

    `allow_private` are networks (CIDR) in which it may stand although they are not public. A request may take
    `timeout_s`, all requests of one reader together `total_s` and one request more.
    """

    url: str
    token: str | None
    root: Path
    allow_private: tuple[str, ...] = ()
    timeout_s: float = 20.0
    total_s: float = 120.0


class RestClient:
    """A reader of one service. `scheme` is how the token is sent; `headers` go with every request."""

    def __init__(self, service: Service, *, scheme: str = "Bearer", headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(service.url)
        if not is_confidential(parts.scheme, parts.hostname or ""):
            raise UsageError("SOURCE_URL", f"{service.url[:200]!r} is no https address.", hint="Write https://HOST.")
        self._base = service.url.rstrip("/") + "/"
        self._origin = (parts.scheme, parts.netloc)
        self._service = service
        self._until = time.monotonic() + service.total_s
        self._scheme = scheme
        self._headers = dict(headers or {})

    def get(self, path: str, **query: str) -> Answer:
        """Return the JSON at `path` below the base; raise Unavailable."""
        asked = urlencode({name: value for name, value in query.items() if value})
        return self.get_url(urljoin(self._base, path.lstrip("/")) + (f"?{asked}" if asked else ""))

    def get_path(self, path_and_query: str) -> Answer:
        """Return the JSON at a path of this host with its query, as a `next` link gives it; raise Unavailable."""
        return self.get_url(urljoin(self._base, path_and_query))

    def get_url(self, url: str) -> Answer:
        """Return the JSON at an address on this service's host; raise Unavailable."""
        parts = urlsplit(url)
        shown = f"{parts.scheme}://{parts.netloc}{parts.path}"
        if (parts.scheme, parts.netloc) != self._origin:
            raise Unavailable("source_host", f"The next page is on another host: {shown[:300]}.")
        data, headers = self._fetch(url, shown)
        try:
            value: Json = json.loads(data)
        except (ValueError, RecursionError):
            raise Unavailable("source_answer", f"{shown} did not answer with JSON.") from None
        found = _NEXT.search(headers.get("Link") or "")
        return Answer(value=value, next_url=urljoin(url, found[1]) if found else None)

    def get_all(self, path: str, **query: str) -> list[Json]:
        """Return the elements of a list over all of its pages by the Link header; raise Unavailable."""
        found: list[Json] = []
        answer = self.get(path, **query)
        for _ in range(MAX_PAGES):
            if not isinstance(answer.value, list):
                raise Unavailable("source_answer", f"{path} did not answer with a list.")
            found += answer.value
            if answer.next_url is None:
                return found
            answer = self.get_url(answer.next_url)
        raise Unavailable("source_pages", f"{path} has more than {MAX_PAGES} pages.", hint="Narrow the question.")

    def _fetch(self, url: str, shown: str) -> tuple[bytes, Message]:
        if time.monotonic() > self._until:
            raise Unavailable("source_late", f"{shown} was not asked: the reading took {self._service.total_s:g} s.")
        headers = {"Accept": "application/json", "User-Agent": "pilotage"} | self._headers
        if self._service.token is not None:
            headers["Authorization"] = f"{self._scheme} {self._secret(self._service.token)}"
        parts, (host, port) = urlsplit(url), place_of(url)
        connection = direct_connection(
            host,
            port,
            is_tls=parts.scheme == "https",
            timeout_s=self._service.timeout_s,
            allow_private=self._service.allow_private,
        )
        try:
            connection.request("GET", urlunsplit(("", "", parts.path or "/", parts.query, "")), headers=headers)
            with connection.getresponse() as response:
                if response.status != 200:
                    hint = "Check the token and what it may read." if response.status in (401, 403, 404) else ""
                    raise Unavailable("source_status", f"{shown} answered {response.status}.", hint=hint)
                return self._read(response, shown), response.headers
        except PlaceRefused as error:
            hint = "Name its network in allow_private of the source, in pilotage.yaml, if it belongs there."
            raise Unavailable("source_place", f"{shown} was not called: {error}", hint=hint) from None
        except ProxyRefused as error:
            raise Unavailable("source_proxy", f"{shown} was not called: {error}.") from None
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("source_unreachable", f"{shown} did not answer: {type(error).__name__}.") from None
        finally:
            connection.close()

    def _secret(self, reference: str) -> str:
        secret = read_secret(reference, root=self._service.root)
        if not (secret.isascii() and secret.isprintable()):  # http.client would quote it in its error
            hint = "Write the token alone, on one line."
            raise Unavailable("secret_form", f"What {reference} holds is no token: it fits no header.", hint=hint)
        return secret

    def _read(self, response: http.client.HTTPResponse, shown: str) -> bytes:
        found = bytearray()
        while piece := response.read1(65_536):
            found += piece
            if len(found) > MAX_BYTES:
                raise Unavailable("source_size", f"{shown} answered with more than {MAX_BYTES:,} bytes.")
            if time.monotonic() > self._until + self._service.timeout_s:
                raise Unavailable("source_late", f"{shown} did not end within {self._service.total_s:g} s.")
        if response.length:
            raise Unavailable("source_unreachable", f"{shown} ended before its answer did.")
        return bytes(found)

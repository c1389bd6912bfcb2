"""Reading JSON from a service over HTTPS: bounded in time and size, with a token by reference, page after page.

Rule: only GET; plain HTTP only to this machine; a token never follows a redirect, because none is followed, and passes
no proxy of the environment; a next page must be on the same host. Fail mode: Unavailable that names the address without
its query, never a part of an answer.
"""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urljoin, urlsplit

from pilotage.adapters.direct import direct_opener
from pilotage.adapters.models.secret import read_secret
from pilotage.core.canonical import Json
from pilotage.core.errors import Unavailable, UsageError

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_PAGES: Final = 200
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_NEXT = re.compile(r'<([^<>]+)>\s*;[^,]*\brel="?next"?', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One JSON answer. `next_url` is what the Link header (RFC 8288) names as the next page."""

    value: Json
    next_url: str | None


class RestClient:
    """A reader of one service at `base_url`; `token` is `env:NAME` or `file:PATH` (relative to `root`), or None.

    `scheme` is how the token is sent (`Bearer`, `token`); `headers` go with every request.
    """

    def __init__(
        self,
        base_url: str,
        *,
        token: str | None,
        root: Path,
        scheme: str = "Bearer",
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 20.0,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise UsageError("SOURCE_URL", f"{base_url[:200]!r} is no https address.", hint="Write https://HOST.")
        self._base = base_url.rstrip("/") + "/"
        self._origin = (parts.scheme, parts.netloc)
        self._token = token
        self._root = root
        self._scheme = scheme
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._opener = direct_opener()

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
        headers = {"Accept": "application/json", "User-Agent": "pilotage"} | self._headers
        if self._token is not None:
            headers["Authorization"] = f"{self._scheme} {read_secret(self._token, root=self._root)}"
        request = urllib.request.Request(url, headers=headers)  # noqa: S310  # the scheme is checked in get_url
        try:
            with self._opener.open(request, timeout=self._timeout_s) as response:
                data: bytes = response.read(MAX_BYTES + 1)
                answered: Message = response.headers
        except urllib.error.HTTPError as error:
            error.close()
            hint = "Check the token and what it may read." if error.code in (401, 403, 404) else ""
            raise Unavailable("source_status", f"{shown} answered {error.code}.", hint=hint) from None
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("source_unreachable", f"{shown} did not answer: {type(error).__name__}.") from None
        if len(data) > MAX_BYTES:
            raise Unavailable("source_size", f"{shown} answered with more than {MAX_BYTES:,} bytes.")
        return data, answered

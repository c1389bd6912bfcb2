"""What a POST must prove before anything is done: where it comes from, and that our own page wrote it (console.md 5).

`Origin` must name this host; browsers that send none must say `Sec-Fetch-Site: same-origin`. The token is bound to the
session and masked anew in every page, so that compressed pages do not leak it. Fail mode: nothing is recorded.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from pilotage.core.reason import Reason

FOREIGN_ORIGIN: Final = Reason(
    code="FOREIGN_ORIGIN", text="The form was not sent by a page of this site. Nothing was recorded."
)
FORM_TOKEN: Final = Reason(
    code="FORM_TOKEN", text="The form was not sent by a page of this session. Nothing was recorded."
)
_BYTES = 32


def is_own_origin(headers: Mapping[str, str]) -> bool:
    """Tell whether the request was sent by a page of this host. `headers` have lower-case names."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    try:
        named = urlsplit(origin).netloc.lower()
    except ValueError:  # "http://[" names nobody
        return False
    return bool(named) and named == headers.get("host", "").lower()


def form_token(session: str, *, entropy: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Return a fresh spelling of the session's form token."""
    mask = entropy(_BYTES)
    return base64.urlsafe_b64encode(mask + _mixed(mask, _secret(session))).decode().rstrip("=")


def is_form_token(session: str, text: str) -> bool:
    """Tell whether the text is a spelling of the session's form token."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(data) == 2 * _BYTES and hmac.compare_digest(_mixed(data[:_BYTES], data[_BYTES:]), _secret(session))


def _secret(session: str) -> bytes:
    return hmac.new(session.encode("utf-8", "surrogateescape"), b"pilotage/console-form/v1", hashlib.sha256).digest()


def _mixed(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=True))

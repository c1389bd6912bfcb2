"""The headers of every answer of console and API (console.md 5).

Rule: nothing inline, nothing foreign, no framing; `unsafe-inline` and `unsafe-eval` never come. Fail mode: headers are
set at the edge of the application, so an error page carries them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

_FEATURES: Final = (
    "accelerometer autoplay camera clipboard-read display-capture encrypted-media fullscreen gamepad"
    " geolocation gyroscope hid idle-detection local-fonts magnetometer microphone midi payment"
    " picture-in-picture publickey-credentials-get screen-wake-lock serial usb xr-spatial-tracking"
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def content_policy(issuer: str | None = None) -> str:
    """Return the Content-Security-Policy; forms may go to the identity provider's origin when there is one."""
    origin = ""
    if issuer is not None:
        parts = urlsplit(issuer)
        origin = f" {parts.scheme}://{parts.netloc}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
        f" form-action 'self'{origin}; base-uri 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types pilotage"
    )


def strict_headers(issuer: str | None = None) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that every answer carries, whatever it is."""
    features = ", ".join(f"{name}=()" for name in _FEATURES.split())
    return (
        (b"content-security-policy", content_policy(issuer).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", features.encode()),
    )


def with_strict(
    headers: Iterable[tuple[bytes, bytes]], strict: Iterable[tuple[bytes, bytes]], *, is_secure: bool
) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers with the strict ones; pages without a cache rule are never stored."""
    found = list(headers)
    names = {name for name, _ in found}
    found += [pair for pair in strict if pair[0] not in names]
    if b"cache-control" not in names:
        found.append((b"cache-control", b"no-store"))
    if is_secure:
        found.append(_HSTS)
    return found

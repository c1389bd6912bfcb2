"""The headers of every answer of console and API (console.md 5).

Rule: nothing inline, nothing foreign, no framing; `unsafe-inline` and `unsafe-eval` never come. Fail mode: headers are
set at the edge of the application, so an error page carries them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from pilotage.identity.settings import OidcSettings

_FEATURES: Final = (
    "accelerometer autoplay camera clipboard-read display-capture encrypted-media fullscreen gamepad"
    " geolocation gyroscope hid idle-detection local-fonts magnetometer microphone midi payment"
    " picture-in-picture publickey-credentials-get screen-wake-lock serial usb xr-spatial-tracking"
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def form_targets(oidc: OidcSettings) -> tuple[str, ...]:
    """Return the origins of the identity provider that forms may lead to: its own and those declared for its pages."""
    given = oidc.sign_in
    pages = (oidc.issuer, *((given.authorization_endpoint, given.end_session_endpoint) if given is not None else ()))
    parts = [urlsplit(page) for page in pages if page is not None]
    return tuple(dict.fromkeys(f"{one.scheme}://{one.netloc}" for one in parts))


def content_policy(targets: tuple[str, ...] = ()) -> str:
    """Return the Content-Security-Policy; forms may lead to ourselves and to these origins."""
    origin = "".join(f" {target}" for target in targets)
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
        f" form-action 'self'{origin}; base-uri 'none'; frame-ancestors 'none';"
        " require-trusted-types-for 'script'; trusted-types pilotage"
    )


def strict_headers(targets: tuple[str, ...] = ()) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that every answer carries, whatever it is."""
    features = ", ".join(f"{name}=()" for name in _FEATURES.split())
    return (
        (b"content-security-policy", content_policy(targets).encode()),
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

"""Checks addresses in declared files: https, or http on loopback; no user information, no fragment, a plain host.

Rule: an address in a file is where data may go, so it must say exactly one host, in ASCII: programs read other dots and
digits of Unicode differently. Fail mode: ValueError with what to write; reaching the address is the egress rule's
business.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pilotage.core.fields import Reader, converted
from pilotage.core.outward import LOCAL_NAMES


def check_url(text: str) -> str:
    """Return the address unchanged, or raise ValueError."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.scheme not in {"http", "https"} or port == 0 or any(char.isspace() for char in text):
        message = f"{text[:80]!r} is not an address. Write https://host/path."
        raise ValueError(message)
    if parts.username is not None or parts.password is not None or parts.fragment:
        message = "An address holds user information or a fragment. Write https://host/path, secrets by reference."
        raise ValueError(message)
    if not host.isascii():
        message = f"The host of {text[:80]!r} is not written in ASCII. Write its xn-- form."
        raise ValueError(message)
    if not is_confidential(parts.scheme, host):
        message = f"{text[:80]!r} is not encrypted. Write https; http is for loopback only."
        raise ValueError(message)
    return text


def is_confidential(scheme: str, host: str) -> bool:
    """Tell whether nobody on the way can read what is sent: https, or http that does not leave this machine."""
    return scheme == "https" or (scheme == "http" and host in LOCAL_NAMES)


def place_of(url: str) -> tuple[str, int]:
    """Return host and port of an address that `check_url` passed."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


URL: Reader[str] = converted(check_url, "")

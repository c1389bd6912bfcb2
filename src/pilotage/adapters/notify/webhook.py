"""Sends one JSON message to an address, with its idempotency key.

Rule: https, or http on this machine only; a host that is not public is reached where the channel allows its network; no
redirect is followed, and the answer is not read. Fail mode: Unavailable without the address, which may carry a secret.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pilotage.adapters.direct import PlaceRefused, direct_connection
from pilotage.adapters.tunnel import ProxyRefused
from pilotage.core.errors import Unavailable, UsageError
from pilotage.core.urls import is_confidential, place_of

TIMEOUT_S: Final = 10.0


def send_webhook(address: str, message: Mapping[str, Any], *, key: str, allow_private: Iterable[str] = ()) -> None:
    """Send; return when the other side has accepted it with a 2xx status.

    `allow_private` are networks (CIDR) in which the channel may stand although they are not public.
    """
    try:
        parts = urlsplit(address)
        host, port = place_of(address)
    except ValueError:
        raise _unreadable() from None
    written = host + parts.path + parts.query
    if not host or " " in written or not (written.isascii() and written.isprintable()):
        raise _unreadable()
    if not is_confidential(parts.scheme, parts.hostname or ""):
        raise UsageError("CHANNEL_ADDRESS", "A channel's address must be https.", hint="Plain http only on localhost.")
    connection = direct_connection(
        host, port, is_tls=parts.scheme == "https", timeout_s=TIMEOUT_S, allow_private=allow_private
    )
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    try:
        connection.request("POST", path, body=json.dumps(message, ensure_ascii=False).encode(), headers=headers)
        with connection.getresponse() as response:
            status = response.status
    except PlaceRefused:
        raise place_refused() from None
    except ProxyRefused as error:
        raise Unavailable("CHANNEL_PROXY", f"The channel was not called: {error}.") from None
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable("CHANNEL_DOWN", f"The channel does not answer ({type(error).__name__}).") from error
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise Unavailable("CHANNEL_REFUSED", f"The channel answered {status}.", hint="Check its address and its token.")


def _unreadable() -> UsageError:
    hint = "Write https://host/path, without spaces."
    return UsageError("CHANNEL_ADDRESS", "The channel's address cannot be read.", hint=hint)


def place_refused() -> Unavailable:
    """Return what is said of a channel whose host is not public."""
    hint = "Name its network in allow_private of the channel, in pilotage.yaml, if it belongs there."
    return Unavailable("CHANNEL_PLACE", "The channel's host is not public.", hint=hint)

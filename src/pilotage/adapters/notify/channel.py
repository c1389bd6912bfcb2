"""One message to one channel: the scheme of its address says how it is spoken to.

`https://` takes our JSON (`http://` on this machine only), `pagerduty://` an event, `mailtos://`, `slack://` and other
chats their own text by Apprise. Rule: what an incident's page goes on to (acknowledged, resolved) is for PagerDuty
alone; people were told already. Fail mode: UsageError or Unavailable, never with the address, which may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from pilotage.adapters.notify.pagerduty import SCHEME, send_event
from pilotage.adapters.notify.spoken import is_spoken, send_spoken
from pilotage.adapters.notify.webhook import send_webhook
from pilotage.core.errors import UsageError

_HINT = "Write https://, pagerduty://, mailtos:// or slack:// with what stands behind it; the guide lists the others."


def send_to_channel(
    address: str,
    message: Mapping[str, Any],
    *,
    key: str,
    allow_private: Iterable[str] = (),
    origin: str | None = None,
) -> None:
    """Send a message; return when the other side has it. `origin`: where people open the console, for links.

    `key` is the message's idempotency key, `allow_private` networks (CIDR) the channel may stand in.
    """
    scheme = _scheme(address)
    if scheme == SCHEME:
        send_event(address, message, key=key, allow_private=allow_private, origin=origin)
    elif message.get("event", "trigger") != "trigger":
        return
    elif is_spoken(address):
        send_spoken(address, message, allow_private=allow_private, origin=origin)
    elif scheme in {"https", "http"}:
        send_webhook(address, message, key=key, allow_private=allow_private)
    else:
        raise UsageError("CHANNEL_ADDRESS", f"Nothing here speaks {scheme[:20]!r} to a channel.", hint=_HINT)


def _scheme(address: str) -> str:
    try:
        return urlsplit(address).scheme
    except ValueError:
        raise UsageError("CHANNEL_ADDRESS", "The channel's address cannot be read.", hint=_HINT) from None

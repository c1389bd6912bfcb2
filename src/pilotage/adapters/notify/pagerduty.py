"""PagerDuty by its Events API v2: trigger, acknowledge and resolve, one alert for one deduplication key.

Source: https://developer.pagerduty.com/docs/events-api-v2-overview. The address is
`pagerduty://ROUTING_KEY[@HOST[:PORT]]`; without a host it is the service's own, `events.eu.pagerduty.com` for Europe.
Fail mode: Unavailable without the address; PagerDuty drops repeats by the key, so a repeated delivery pages nobody
twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pilotage.adapters.notify.webhook import send_webhook
from pilotage.adapters.notify.words import address_of, body_of
from pilotage.core.errors import UsageError
from pilotage.core.outward import LOCAL_NAMES

SCHEME: Final = "pagerduty"
HOST: Final = "events.pagerduty.com"
_PATH: Final = "/v2/enqueue"
_ADDRESS: Final = re.compile(
    r"pagerduty://(?P<key>[A-Za-z0-9]{20,64})"
    r"(?:@(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?)?/?",
    re.IGNORECASE,
)
_SUMMARY: Final = 1024
"""What the service takes of a summary, in characters."""
_SEVERITY: Final = {"SEV1": "critical", "SEV2": "error", "SEV3": "warning", "SEV4": "info"}
_OF_KIND: Final = {"page": "error", "ticket": "warning"}


def send_event(
    address: str,
    message: Mapping[str, Any],
    *,
    key: str,
    allow_private: Iterable[str] = (),
    origin: str | None = None,
) -> None:
    """Send a message as an event; `key` stands in for its alert where it is about none (see `event_of`)."""
    routing, place = read_address(address)
    event = event_of(message, key=key, origin=origin)
    send_webhook(place, {"routing_key": routing, **event}, key=key, allow_private=allow_private)


def event_of(message: Mapping[str, Any], *, key: str, origin: str | None) -> dict[str, Any]:
    """Return the event: pages of one incident are one alert; of what is no incident, the messages of one page are."""
    links: Mapping[str, Any] = message.get("links") or {}
    incident = links.get("incident")
    alert = f"incident/{incident}" if incident else f"page/{message.get('page', key)}"
    action = message.get("event", "trigger")
    if action != "trigger":
        return {"event_action": action, "dedup_key": alert}
    facts: Mapping[str, Any] = message.get("facts") or {}
    told = {"summary": str(message.get("title", ""))[:_SUMMARY], "source": _source(facts), "severity": _grade(message)}
    found = [(kind, address_of(kind, name, origin)) for kind, name in links.items()]
    return {
        "event_action": action,
        "dedup_key": alert,
        "client": "Pilotage",
        "payload": {**told, "custom_details": {**facts, "text": body_of(message, origin)}},
        "links": [{"href": href, "text": kind} for kind, href in found if href is not None],
    }


def _source(facts: Mapping[str, Any]) -> str:
    spaces = facts.get("spaces")
    first = spaces[0] if isinstance(spaces, list) and spaces else facts.get("space")
    return str(first or facts.get("workflow") or "pilotage")


def _grade(message: Mapping[str, Any]) -> str:
    facts: Mapping[str, Any] = message.get("facts") or {}
    return _SEVERITY.get(str(facts.get("severity")), _OF_KIND.get(str(message.get("kind")), "info"))


def read_address(address: str) -> tuple[str, str]:
    """Return the routing key and the address of the service."""
    found = _ADDRESS.fullmatch(address)
    host = HOST if found is None else found["host"] or HOST
    try:
        port = None if found is None else urlsplit(f"//{found['host'] or HOST}{found['port'] or ''}").port
    except ValueError:
        found, port = None, None
    if found is None or port == 0:
        raise UsageError(
            "CHANNEL_ADDRESS",
            "A PagerDuty channel's address holds no routing key, or no host behind its @.",
            hint="Write pagerduty://ROUTING_KEY, or pagerduty://ROUTING_KEY@events.eu.pagerduty.com.",
        )
    scheme = "http" if host.strip("[]").lower() in LOCAL_NAMES else "https"
    return found["key"], f"{scheme}://{host}{'' if port is None else f':{port}'}{_PATH}"

"""The services that Apprise speaks to here, and the parameters that an address of each may carry.

Rule: what stands in no list is refused, since Apprise takes `verify`, `redirect`, templates and key files from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_MAIL: Final = frozenset({"from", "to", "cc", "bcc", "name", "smtp", "user", "pass", "mode"})
_WORKFLOW: Final = frozenset(
    {"id", "workflow", "sig", "signature", "sp", "sv", "ver", "api-version", "pa", "powerautomate", "route", "routeid"}
)
PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "mailtos": _MAIL,
    "mailto": _MAIL,
    "slack": frozenset({"to", "mode"}),
    "workflows": _WORKFLOW,
    "workflow": _WORKFLOW,
    "gchat": frozenset({"key", "token", "workspace", "thread", "threadkey"}),
    "opsgenie": frozenset({"to", "region", "priority"}),
    "mmosts": frozenset({"to", "channel", "channels", "team", "mode"}),
    "rockets": frozenset({"to", "mode"}),
    "wxteams": frozenset({"to", "token", "mode"}),
    "zulip": frozenset({"to", "token"}),
}
"""By the scheme of the address; names as Apprise reads them, in small letters."""
PLUGINS: Final[Mapping[str, tuple[str, str]]] = {
    "mailtos": ("email", "NotifyEmail"),
    "mailto": ("email", "NotifyEmail"),
    "slack": ("slack", "NotifySlack"),
    "workflows": ("workflows", "NotifyWorkflows"),
    "workflow": ("workflows", "NotifyWorkflows"),
    "gchat": ("google_chat", "NotifyGoogleChat"),
    "opsgenie": ("opsgenie", "NotifyOpsgenie"),
    "mmosts": ("mattermost", "NotifyMattermost"),
    "rockets": ("rocketchat", "NotifyRocketChat"),
    "wxteams": ("webexteams", "NotifyWebexTeams"),
    "zulip": ("zulip", "NotifyZulip"),
}
"""Module and class; all of Apprise's, some 140, take seconds to import from a slow disk."""
MAIL: Final = frozenset({"mailtos", "mailto"})
NATIVE: Final[Mapping[str, str]] = {"hooks.slack.com": "slack", "chat.googleapis.com": "gchat"}
"""Hosts whose own webhook addresses Apprise reads; they take a format of theirs, not our JSON."""


def service_of(address: str) -> str | None:
    """Return which service an address is of; None where Apprise does not speak to it."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return NATIVE.get(parts.hostname or "")
    return parts.scheme if parts.scheme in PARAMETERS else None

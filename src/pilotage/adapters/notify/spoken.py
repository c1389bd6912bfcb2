"""Channels that Apprise speaks: e-mail, Slack, Teams and other chats, in a process of its own for each message.

Rule: the child opens its connections by `direct`, as every client here does: a checked address or the declared proxy,
no proxy variable, netrc file or redirect, and the other side proves its name. It gets this message, the channel's
address and no other secret. Fail mode: Unavailable without the address; after `WALL_S` the child is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from pilotage.adapters.notify.webhook import place_refused
from pilotage.adapters.notify.words import body_of
from pilotage.core.errors import Unavailable, UsageError
from pilotage.core.outward import LOCAL_NAMES

WALL_S: Final = 25.0
"""Below the time after which another process tries (`store.outbox.IN_FLIGHT`)."""
CHATS: Final = frozenset(
    {"slack", "workflows", "workflow", "gchat", "opsgenie", "mmosts", "rockets", "wxteams", "zulip"}
)
MAIL: Final = "mailtos"
NATIVE: Final = frozenset({"hooks.slack.com", "chat.googleapis.com"})
"""Hosts whose own webhook addresses Apprise reads; they take a format of theirs, not our JSON."""
_KEPT: Final = (
    "PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "COVERAGE_PROCESS_START", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "PILOTAGE_PROXY", "PILOTAGE_PROXY_EXCEPT",
)  # fmt: skip


def is_spoken(address: str) -> bool:
    """Tell whether Apprise speaks to this address."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return parts.hostname in NATIVE
    return parts.scheme in CHATS or parts.scheme in {MAIL, "mailto"}


def send_spoken(
    address: str, message: Mapping[str, Any], *, allow_private: Iterable[str] = (), origin: str | None = None
) -> None:
    """Send; return when the other side has taken it. A mail server and a chat drop no repeats."""
    check_spoken(address)
    wanted = {
        "address": address,
        "title": str(message.get("title", "")),
        "body": body_of(message, origin),
        "allow_private": list(allow_private),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pilotage.adapters.notify.spoken_child"],
            input=json.dumps(wanted).encode(),
            capture_output=True,
            env=_environment(),
            cwd="/",
            timeout=WALL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable("CHANNEL_DOWN", f"The channel did not answer within {WALL_S:g} s.") from None
    if done.returncode == 0:
        return
    word = done.stdout.decode("ascii", "replace").strip()
    if word == "place":
        raise place_refused()
    if word == "address":
        raise UsageError(
            "CHANNEL_ADDRESS", "The channel's address cannot be read.", hint="Write it as Apprise's site says."
        )
    said = f" ({word})" if word else ""
    hint = "Check its address, its token and what its own log says."
    raise Unavailable("CHANNEL_REFUSED", f"The channel did not take the message{said}.", hint=hint)


def check_spoken(address: str) -> None:
    """Raise UsageError for an address over which a message, or a login, could be read on its way."""
    parts = urlsplit(address)
    asked = {name: values[-1].casefold() for name, values in parse_qs(parts.query).items()}
    is_here = asked.get("smtp", parts.hostname or "") in LOCAL_NAMES
    if asked.get("verify", "yes") not in {"yes", "true", "1", "on"}:
        problem, hint = (
            "turns the check of certificates off",
            "Remove verify; name your own authority in SSL_CERT_FILE.",
        )
    elif not is_here and (parts.scheme == "mailto" or asked.get("mode") == "insecure"):
        problem, hint = "sends mail that is not encrypted", "Write mailtos://, without mode=insecure."
    else:
        return
    raise UsageError("CHANNEL_ADDRESS", f"The channel's address {problem}.", hint=hint)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    bundle = {"REQUESTS_CA_BUNDLE": kept["SSL_CERT_FILE"]} if "SSL_CERT_FILE" in kept else {}
    return kept | bundle | {"NETRC": os.devnull, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}

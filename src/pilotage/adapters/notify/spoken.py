"""Channels that Apprise speaks: e-mail, Slack, Teams and other chats, in a process of its own for each message.

Rule: the child opens its connections by `direct`, as every client here does: a checked address or the declared proxy,
no proxy variable, netrc file or redirect, and the other side proves its name. It gets this message, the channel's
address and no other secret; what people typed is text there, never markup. Fail mode: Unavailable or UsageError without
the address; after `WALL_S` the child is killed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pilotage.adapters.notify.services import MAIL, PARAMETERS, service_of
from pilotage.adapters.notify.spoken_child import REFUSED
from pilotage.adapters.notify.webhook import place_refused
from pilotage.adapters.notify.words import body_of, still
from pilotage.core.errors import PilotageError, Unavailable, UsageError

WALL_S: Final = 25.0
"""Below the time after which another process tries (`store.outbox.IN_FLIGHT`)."""
_KEPT: Final = (
    "PATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "COVERAGE_PROCESS_START", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "PILOTAGE_PROXY", "PILOTAGE_PROXY_EXCEPT",
)  # fmt: skip
_TITLED: Final = MAIL | {"opsgenie", "zulip"}
"""Services that show a title as text; others draw markup in it, or have none."""
_PARAGRAPHS: Final = frozenset({"workflows", "workflow", "wxteams"})
"""Services that keep lines apart only where an empty one stands between them."""
_BAD: Final[Mapping[str, tuple[str, str]]] = {
    "address": ("cannot be read", "Write it as Apprise's site says."),
    "certificates": ("turns the check of certificates off", "Remove verify; name your own authority in SSL_CERT_FILE."),
    "redirects": ("has redirects followed", "Remove redirect."),
    "plain": ("sends mail that is not encrypted", "Write mailtos://, without mode=insecure."),
    "recipient": ("names a recipient that is no mail address", "Write name@host, more of them with a comma between."),
    "several": ("names more than one place", "Declare one channel for each: one that fails repeats to no other."),
}
_MISSING: Final = "Apprise, which speaks to mail servers and chats, is not installed for this process."
logger = logging.getLogger("pilotage.notify")


def is_spoken(address: str) -> bool:
    """Tell whether Apprise speaks to this address."""
    return service_of(address) is not None


def send_spoken(
    address: str, message: Mapping[str, Any], *, allow_private: Iterable[str] = (), origin: str | None = None
) -> None:
    """Send; return when the other side has taken it. A mail server and a chat drop no repeats."""
    service = service_of(address) or ""
    title, body = words_for(service, message, origin)
    wanted = {
        "address": address,
        "service": service,
        "title": title,
        "body": body,
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
    word = done.stdout.decode("ascii", "replace").strip()
    if done.returncode != 0:
        raise _refused(service, word, done.returncode, done.stderr)
    if word:
        logger.warning("%s: the mail server refused %s of the recipients; the others have it.", title, word)


def words_for(service: str, message: Mapping[str, Any], origin: str | None) -> tuple[str, str]:
    """Return title and body as this service shows them: lines stay lines, and nothing that was typed is drawn."""
    title, body = " ".join(str(message.get("title", "")).split()), body_of(message, origin)
    if service not in _TITLED:
        title, body = "", f"{title}\n{body}"
    if service in MAIL or service == "slack":  # plain text; Apprise escapes & < > for Slack
        return title, body
    body = body.replace("\n", "\n\n") if service in _PARAGRAPHS else body
    return still(title), still(body)


def _refused(service: str, word: str, code: int, stderr: bytes) -> PilotageError:
    """Return what the child's end says; `word` is what it wrote (`spoken_child`)."""
    if word == "missing" or (code != REFUSED and b"No module named" in stderr):
        return Unavailable("CHANNEL_PROGRAM", _MISSING, hint="Install Pilotage with what it requires.")
    if code != REFUSED:
        text = f"The process that speaks to the channel broke off (exit {code})."
        return Unavailable("CHANNEL_PROGRAM", text, hint="Look whether it may be started, and has memory.")
    if word == "place":
        return place_refused()
    if word.startswith("parameter"):
        named = ", ".join(re.findall(r"[a-z_-]+", word.partition(":")[2])) or "one that is unknown"
        problem = f"has a parameter that is not taken: {named}"
        hint = f"{service}:// takes {', '.join(sorted(PARAMETERS[service]))}."
        return UsageError("CHANNEL_ADDRESS", f"The channel's address {problem}.", hint=hint)
    if word in _BAD:
        problem, hint = _BAD[word]
        return UsageError("CHANNEL_ADDRESS", f"The channel's address {problem}.", hint=hint)
    said = f" ({word})" if word else ""
    hint = "Check its address, its token and what its own log says."
    return Unavailable("CHANNEL_REFUSED", f"The channel did not take the message{said}.", hint=hint)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    if "PYTHONPATH" in os.environ:  # the child stands elsewhere
        kept["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, os.environ["PYTHONPATH"].split(os.pathsep)))
    bundle = {"REQUESTS_CA_BUNDLE": kept["SSL_CERT_FILE"]} if "SSL_CERT_FILE" in kept else {}
    return kept | bundle | {"NETRC": os.devnull, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}

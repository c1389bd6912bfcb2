"""The process that sends one message by Apprise. Reads `{address, service, title, body, allow_private}` as JSON.

Rule: every connection is opened by `direct`, the address is read as Apprise reads it, and none of it is printed. Exit
0: taken, with the number of recipients that a mail server refused beside those it took. Exit `REFUSED` with one word
on stdout: `place` (the host may not be reached), `parameter:NAMES`, what else is wrong with the address (`spoken`),
`missing` (no Apprise), the kind of error, or the status that the other side answered.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import smtplib
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pilotage.adapters.direct import PlaceRefused, direct_socket
from pilotage.adapters.notify.services import MAIL, PARAMETERS, PLUGINS
from pilotage.core.outward import LOCAL_NAMES

REFUSED: Final = 3
"""Apart from what Python ends with by itself."""
_STATUS: Final = re.compile(r"error[= ](\d{3})\b")
_TIMEOUT_S: Final = 10.0
_KNOWN: Final = frozenset(
    {
        "verify", "redirect", "mode", "template", "pgp", "pgppub", "pgpprv", "wkd", "reply", "inline", "format",
        "retry", "wait", "store", "overflow", "emojis", "tz", "optional", "rto", "cto", "image", "footer", "blocks",
        "icon_url", "avatar", "batch", "tags", "alias", "entity", "action", "smtp", "from", "to", "name", "wrap",
    }
)  # fmt: skip
"""Parameters that Apprise gives a meaning."""


class Opener:
    """Opens the connections of this process. `refused`: a host was asked for that may not be reached."""

    def __init__(self, allow_private: Sequence[str]) -> None:
        self._allowed = tuple(allow_private)
        self.is_refused = False
        self.failed: str | None = None

    def __call__(self, address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        """Return a connection, as `socket.create_connection` does."""
        host, port = address[:2]
        try:
            return direct_socket(host.strip("[]"), port, timeout_s=_TIMEOUT_S, allow_private=self._allowed)
        except PlaceRefused:
            self.is_refused = True
            raise
        except OSError as error:
            self.failed = type(error).__name__
            raise


class Statuses(logging.Handler):
    """Keeps the last status that Apprise logged; its texts may hold an address and go nowhere."""

    last: str | None = None
    is_dropped = False

    def emit(self, record: logging.LogRecord) -> None:
        """Read one line. `is_dropped`: the address names a recipient that Apprise leaves out."""
        found = _STATUS.search(record.getMessage())
        self.last = found[1] if found else self.last
        self.is_dropped = self.is_dropped or record.getMessage().startswith("Dropped invalid")


_send = smtplib.SMTP.sendmail
_refused: list[str] = []


def send_letter(server: smtplib.SMTP, *args: Any, **options: Any) -> dict[str, tuple[int, bytes]]:  # noqa: ANN401
    """Send as `smtplib` does and forget whom the server refused beside others it took: a repeat would reach those."""
    _refused.extend(_send(server, *args, **options))
    return {}


def main() -> int:
    """Send, and return the exit code."""
    wanted: dict[str, Any] = json.load(sys.stdin)
    opener, statuses = Opener(wanted["allow_private"]), Statuses()
    socket.create_connection = opener  # type: ignore[assignment]
    smtplib.SMTP.sendmail = send_letter  # type: ignore[assignment, method-assign]
    logger = logging.getLogger("apprise")
    logger.addHandler(statuses)
    logger.propagate = False
    try:
        import urllib3.util.connection  # noqa: PLC0415 - after `create_connection`, which its clients take from there

        urllib3.util.connection.create_connection = opener
        channel, problem = open_channel(wanted["address"], wanted["service"], statuses)
    except ImportError:
        return _ended("missing")
    if channel is None:
        return _ended(problem)
    if channel.notify(title=wanted["title"], body=wanted["body"], body_format="text"):
        sys.stdout.write(str(len(_refused) or ""))
        return 0
    return _ended("place" if opener.is_refused else statuses.last or opener.failed or "")


def open_channel(address: str, service: str, statuses: Statuses) -> tuple[Any, str]:
    """Return Apprise's channel, or None and the word for what is wrong with its address."""
    module, name = PLUGINS[service]
    import apprise  # noqa: PLC0415

    plugin = getattr(importlib.import_module(f"apprise.plugins.{module}"), name)
    asset = apprise.AppriseAsset(http_redirects=False, async_mode=False, app_id="Pilotage", app_desc="Pilotage")
    written = address.replace("/#", "/%23")  # as Apprise itself does first
    read = plugin.parse_native_url(written) if written.startswith("https:") else plugin.parse_url(written)
    if read is None or read["schema"] != service:
        return None, "address"
    problem = _of_names(read)
    if problem:
        return None, problem
    try:
        channel = plugin(**read, asset=asset)
    except (TypeError, ValueError, apprise.exception.AppriseException):
        return None, "address"
    problem = _of_channel(channel, service, statuses)
    return (None, problem) if problem else (channel, "")


def _of_names(read: Mapping[str, Any]) -> str:
    """Return what is wrong with the parameters; only names that Apprise knows are told, others may be a secret."""
    strange = set(read["qsd"]) - PARAMETERS[read["schema"]] - {""}
    return f"parameter:{','.join(sorted(strange & _KNOWN))}" if strange else ""


def _of_channel(channel: Any, service: str, statuses: Statuses) -> str:  # noqa: ANN401 - Apprise's plug-ins are untyped
    """Return what is wrong with the channel that Apprise made; make a mail one letter to all its recipients."""
    if not channel.verify_certificate:
        return "certificates"
    if channel.redirects:
        return "redirects"
    if service not in MAIL:
        return "several" if len(channel) > 1 else ""
    if not channel.smtp_host:
        return "address"
    if channel.secure_mode == "insecure" and channel.smtp_host not in LOCAL_NAMES:
        return "plain"
    if statuses.is_dropped or not channel.targets:
        return "recipient"
    channel.cc |= {address for _, address in channel.targets[1:]}
    del channel.targets[1:]
    return ""


def _ended(word: str) -> int:
    sys.stdout.write(word)
    return REFUSED


if __name__ == "__main__":
    sys.exit(main())

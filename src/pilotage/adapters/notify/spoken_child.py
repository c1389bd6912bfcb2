"""The process that sends one message by Apprise. Reads `{address, title, body, allow_private}` as JSON from stdin.

Rule: every connection is opened by `direct`; nothing of the address is printed. Exit 0: taken. Exit 1 with one word on
stdout: `place` (the host may not be reached), `address` (Apprise cannot read it), the kind of error, or the status
that the other side answered.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final

from pilotage.adapters.direct import PlaceRefused, direct_socket

_STATUS: Final = re.compile(r"error[= ](\d{3})\b")
_TIMEOUT_S: Final = 10.0


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

    def emit(self, record: logging.LogRecord) -> None:
        """Read one line."""
        found = _STATUS.search(record.getMessage())
        self.last = found[1] if found else self.last


def main() -> int:
    """Send, and return the exit code."""
    wanted: dict[str, Any] = json.load(sys.stdin)
    opener, statuses = Opener(wanted["allow_private"]), Statuses()
    socket.create_connection = opener  # type: ignore[assignment]

    import apprise  # noqa: PLC0415 - after `create_connection`, which its clients take from there
    import urllib3.util.connection  # noqa: PLC0415

    urllib3.util.connection.create_connection = opener
    logger = logging.getLogger("apprise")
    logger.addHandler(statuses)
    logger.propagate = False
    asset = apprise.AppriseAsset(http_redirects=False, async_mode=False, app_id="Pilotage", app_desc="Pilotage")
    channel = apprise.Apprise.instantiate(wanted["address"], asset=asset)
    if channel is None:
        return _ended("address")
    if channel.notify(title=wanted["title"], body=wanted["body"]):
        return 0
    return _ended("place" if opener.is_refused else statuses.last or opener.failed or "")


def _ended(word: str) -> int:
    sys.stdout.write(word)
    return 1


if __name__ == "__main__":
    sys.exit(main())

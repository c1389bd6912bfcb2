"""Server-sent events as providers really send them: an incremental parser for the `data:` part.

Accepts LF, CR and CRLF, comments, several `data:` lines in one event, other fields, and an event cut anywhere between
two reads. Source: WHATWG HTML, section 9.2. Fail mode: FrameTooLarge above 1 MiB, so a broken upstream cannot fill
memory.
"""

from __future__ import annotations

import re

MAX_FRAME_BYTES = 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")


class FrameTooLarge(ValueError):
    """One event holds more than `MAX_FRAME_BYTES`."""


class EventParser:
    """Feed it bytes as they come; it returns the data of each event that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of every event that `chunk` completes, in order."""
        buffer = self._rest + chunk if self._rest else chunk
        if b"\r" not in buffer:
            *lines, self._rest = buffer.split(b"\n")
        else:
            # A trailing CR may be half of a CRLF: it waits for the next chunk.
            held = b"\r" if buffer.endswith(b"\r") else b""
            *lines, last = _LINE_END.split(buffer[: len(buffer) - len(held)])
            self._rest = last + held
        if len(self._rest) + self._size > MAX_FRAME_BYTES:
            raise FrameTooLarge
        return self._events(lines)

    def end(self) -> list[bytes]:
        """Return the last event when the stream ended without its blank line."""
        lines = [self._rest.rstrip(b"\r"), b""]
        self._rest = b""
        return self._events(lines)

    def _events(self, lines: list[bytes]) -> list[bytes]:
        found: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(value)
                self._size += len(value)
                if self._size > MAX_FRAME_BYTES:
                    raise FrameTooLarge
            elif not line and self._data:
                found.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
                self._size = 0
        return found

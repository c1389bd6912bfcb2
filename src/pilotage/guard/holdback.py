"""Redaction of a stream: what leaves piece by piece adds up to the redaction of the whole (serving.md 5.5).

Text leaves at a white-space boundary once every hot word before it ends at least 128 code points before the end of the
buffer; cold words leave at the next white space. The last 48 released code points stay as context. A key block holds
from its opening marker on. Once `stops` sees what must not leave, nothing more does. Fail mode: text is held longer,
never released sooner.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pilotage.guard.clean import visible
from pilotage.guard.redact import PromptRedactor, Redacted, redact_from

SETTLED = 128
CONTEXT = 48

_CAPITALS = re.compile(r"^[^A-Za-z]*[A-Z]{2}")
_SIGNS = re.compile(r"[0-9@<=]|://|-----|^\W*(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_SECRET_WORDS = re.compile(r"(?:password|passwd|pwd|secret|api_?key)\W*$", re.IGNORECASE)
_BLOCK = "-----BEGIN"


def is_hot(word: str) -> bool:
    """Tell whether a word may be part of a value: a digit, a sign of one, two capitals, a month's name."""
    return bool(_SIGNS.search(word) or _CAPITALS.search(word) or _SECRET_WORDS.search(word))


class HoldBack:
    """Redacts one stream. `feed` returns what may leave now, `finish` the rest.

    `restores` gives the asker's own values back, `cleans` drops what no reader sees, `stops` looks at text before it
    leaves.
    """

    def __init__(
        self,
        redactor: PromptRedactor | None = None,
        *,
        restores: bool = False,
        cleans: bool = False,
        stops: Callable[[str], bool] | None = None,
    ) -> None:
        self._redactor = redactor or PromptRedactor()
        self._restores = restores
        self._cleans = cleans
        self._stops = stops
        self._is_stopped = False
        self._before = ""
        self._held = ""
        self.counts: dict[str, int] = {}

    def feed(self, text: str) -> str:
        """Take the next piece; return what may leave now."""
        self._held += visible(text).text if self._cleans else text
        return self._release(self._boundary())

    def finish(self) -> str:
        """Return the rest."""
        return self._release(len(self._held))

    def _boundary(self) -> int:
        """Return the end of the white space that follows the last word that may leave."""
        block = self._held.find(_BLOCK)
        end = len(self._held) if block < 0 else block
        boundary = 0
        for match in _WORD.finditer(self._held, 0, end):
            if match.end() == len(self._held):
                break  # the word may go on
            if is_hot(match.group()) and match.end() > len(self._held) - SETTLED:
                break
            boundary = match.end() + 1
        return self._outside_matches(min(boundary, end))

    def _outside_matches(self, boundary: int) -> int:
        """Move a boundary in front of the match it would cut."""
        if not boundary:
            return 0
        offset = len(self._before)
        for match in reversed(self._redactor.rules.find(self._before + self._held)):
            if match.start - offset < boundary < match.end - offset:
                boundary = max(match.start - offset, 0)
        return boundary

    def _release(self, boundary: int) -> str:
        if not boundary or self._is_stopped:
            return ""
        if self._stops is not None and self._stops(self._before + self._held):
            self._is_stopped = True
            return ""
        redacted: Redacted = redact_from(
            self._redactor, self._before + self._held, start=len(self._before), end=len(self._before) + boundary
        )
        for kind, count in redacted.counts.items():
            self.counts[kind] = self.counts.get(kind, 0) + count
        self._before = (self._before + self._held[:boundary])[-CONTEXT:]
        self._held = self._held[boundary:]
        return self._redactor.restore(redacted.text).text if self._restores else redacted.text

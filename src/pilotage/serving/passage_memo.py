"""What the checks have found in passages: the same passages come back with every question about their subject.

Rule: a result is a function of a check and of the passage's text alone, nothing of an asker. Only a digest and counts
are kept, never a text or a value, so a document that was taken down leaves nothing here. Fail mode: what broke is not
kept, so it breaks again; a full memo starts anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from pilotage.guard.redact import Rules

MEMO_ENTRIES: Final = 65_536
PartsDigest: TypeAlias = bytes


class PassageMemo:
    """Counts by check and passage, and which passages hold nothing to redact."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, PartsDigest], Mapping[str, int]] = {}
        self._plain: dict[tuple[object, ...], None] = {}

    def counts(self, check: str, parts: PartsDigest, look: Callable[[], Mapping[str, int]]) -> Mapping[str, int]:
        """Return what a check sees in a passage; look only when nobody has."""
        found = self._counts.get((check, parts))
        if found is None:
            found = look()
            if len(self._counts) >= MEMO_ENTRIES:
                self._counts.clear()
            self._counts[check, parts] = found
        return found

    def is_plain(self, rules: Rules, parts: PartsDigest) -> bool:
        """Tell whether a passage is known to come out of redaction by these rules as it went in."""
        return _key(rules, parts) in self._plain

    def keep_plain(self, rules: Rules, parts: PartsDigest) -> None:
        """Remember that a passage does."""
        if len(self._plain) >= MEMO_ENTRIES:
            self._plain.clear()
        self._plain[_key(rules, parts)] = None


def _key(rules: Rules, parts: PartsDigest) -> tuple[object, ...]:
    return parts, rules.threshold, rules.regions, frozenset((rules.types or {}).items())


def parts_digest(parts: tuple[str, ...]) -> PartsDigest:
    """Return the identity of a passage's parts; where one ends and the next begins counts."""
    lengths = ",".join(str(len(part)) for part in parts)
    return hashlib.sha256(f"{lengths}\0{''.join(parts)}".encode("utf-8", errors="surrogatepass")).digest()

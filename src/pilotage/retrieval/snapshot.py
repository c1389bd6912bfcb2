"""A whole index at one moment: its segments, and what each allowed set covers of them, remembered.

Immutable but for its cache, which belongs to one visibility generation. Chunks are addressed by (segment, chunk).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from pilotage.retrieval.allowed import Allowed, Asking, Visibility, allow
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.visible import Visible, visible_chunks

_CACHE_ENTRIES = 4_096
# A mask costs one byte a chunk: the cache holds at most this many bytes of ids and masks.
_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one asker may see of a snapshot: chunks, their number and their summed length."""

    allowed: Allowed
    parts: tuple[Visible, ...]
    chunks: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Segments (the base first, then deltas) and the visibility they are read under."""

    segments: tuple[Segment, ...]
    visibility: Visibility
    _views: OrderedDict[Asking, View] = field(default_factory=OrderedDict)

    def view(self, asking: Asking) -> View:
        """Return what the asker may see; decided once per asker and generation."""
        found = self._views.get(asking)
        if found is None:
            found = self.cover(allow(self.visibility, asking))
            self._views[asking] = found
            self._evict()
        return found

    def cover(self, allowed: Allowed) -> View:
        """Return the chunks an allowed set covers."""
        parts = tuple(visible_chunks(segment, allowed.revisions) for segment in self.segments)
        return View(
            allowed=allowed,
            parts=parts,
            chunks=sum(part.count for part in parts),
            tokens=sum(part.tokens for part in parts),
        )

    def _evict(self) -> None:
        weight = sum(map(_weight, list(self._views.values()))) if len(self._views) % 64 == 0 else 0
        while len(self._views) > _CACHE_ENTRIES or (weight > _CACHE_BYTES and len(self._views) > 1):
            _, gone = self._views.popitem(last=False)
            weight -= _weight(gone)


def _weight(view: View) -> int:
    return sum(part.nbytes for part in view.parts)

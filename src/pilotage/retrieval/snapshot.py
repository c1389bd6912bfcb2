"""A whole index at one moment: its segments, and what each allowed set covers of them, remembered.

Immutable but for its caches, which belong to one visibility generation. A chunk's place counts through all segments.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from pilotage.core.digest import Digest
from pilotage.retrieval.allowed import Allowed, Asking, Visibility, allow
from pilotage.retrieval.arrays import F64
from pilotage.retrieval.frequencies import Frequencies
from pilotage.retrieval.segment import Segment
from pilotage.retrieval.visible import Visible, visible_chunks
from pilotage.retrieval.weights import norms

_CACHE_ENTRIES = 4_096
_TERM_ENTRIES = 65_536
# A mask costs one byte a chunk: the cache holds at most this many bytes of ids and masks.
_CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What one asker may see of a snapshot: chunks, their number and their summed length.

    `norms` weigh the length of each chunk where a part is a list of few (weights.py).
    """

    allowed: Allowed
    parts: tuple[Visible, ...]
    chunks: int
    tokens: int
    norms: tuple[F64 | None, ...]

    @property
    def average(self) -> float:
        """The average length of a visible chunk in tokens."""
        return self.tokens / self.chunks if self.chunks else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Segments (the base first, then deltas) and the visibility they are read under."""

    segments: tuple[Segment, ...]
    visibility: Visibility
    _views: OrderedDict[Asking, View] = field(default_factory=OrderedDict)
    _terms: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    _frequencies: dict[int, Frequencies] = field(default_factory=dict)

    def under(self, visibility: Visibility) -> Snapshot:
        """Return the same segments under another visibility; nothing that was decided before is kept."""
        return Snapshot(
            segments=self.segments, visibility=visibility, _terms=self._terms, _frequencies=self._frequencies
        )

    @property
    def dimension(self) -> int | None:
        """How many numbers a vector has, None when no segment holds one."""
        for segment in self.segments:
            if segment.vectors is not None:
                return int(segment.vectors.shape[1])
        return None

    @property
    def cells(self) -> Digest | None:
        """The cells that all vectors are in, None when there are none or segments differ."""
        found = {one.quantiser.digest if one.quantiser else None for one in self.segments if one.vectors is not None}
        return found.pop() if len(found) == 1 else None

    @property
    def starts(self) -> tuple[int, ...]:
        """The place of each segment's first chunk."""
        return tuple(accumulate((segment.chunks for segment in self.segments[:-1]), initial=0))[: len(self.segments)]

    def term(self, term: str) -> tuple[int | None, ...]:
        """Return the number of a term in each segment; questions repeat words, so these are remembered."""
        found = self._terms.get(term)
        if found is None:
            if len(self._terms) >= _TERM_ENTRIES:
                self._terms.clear()
            found = self._terms[term] = tuple(segment.term(term) for segment in self.segments)
        return found

    def frequencies(self, segment: int) -> Frequencies:
        """Return the term frequencies of a segment."""
        found = self._frequencies.get(segment)
        return found or self._frequencies.setdefault(segment, Frequencies(self.segments[segment]))

    def origins(self, places: Sequence[int]) -> list[tuple[int, int]]:
        """Return the revision and ordinal of the chunk at each place."""
        if len(self.segments) == 1:
            return self.segments[0].origins(places)
        found: list[tuple[int, int]] = [(0, 0)] * len(places)
        for segment, start in zip(self.segments, self.starts, strict=True):
            inside = [index for index, place in enumerate(places) if start <= place < start + segment.chunks]
            for index, origin in zip(inside, segment.origins([places[one] - start for one in inside]), strict=True):
                found[index] = origin
        return found

    def view(self, asking: Asking) -> View:
        """Return what the asker may see; decided once per asker and generation, and again when an ACL went stale."""
        found = self._views.get(asking)
        if found is None or (found.allowed.until is not None and asking.at > found.allowed.until):
            found = self.cover(allow(self.visibility, asking))
            self._views[asking] = found
            self._evict()
        return found

    def cover(self, allowed: Allowed) -> View:
        """Return the chunks an allowed set covers."""
        parts = tuple(visible_chunks(segment, allowed.revisions) for segment in self.segments)
        chunks, tokens = sum(part.count for part in parts), sum(part.tokens for part in parts)
        weighed = tuple(
            None if part.few is None or not tokens else norms(segment.lengths(part.few.ids), tokens / chunks)
            for segment, part in zip(self.segments, parts, strict=True)
        )
        return View(allowed=allowed, parts=parts, chunks=chunks, tokens=tokens, norms=weighed)

    def _evict(self) -> None:
        weight = sum(map(_weight, list(self._views.values()))) if len(self._views) % 64 == 0 else 0
        while len(self._views) > _CACHE_ENTRIES or (weight > _CACHE_BYTES and len(self._views) > 1):
            _, gone = self._views.popitem(last=False)
            weight -= _weight(gone)


def _weight(view: View) -> int:
    return sum(part.nbytes for part in view.parts) + sum(part.nbytes for part in view.norms if part is not None)

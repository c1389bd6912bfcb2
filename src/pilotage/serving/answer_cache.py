"""The answers of this process that may be given again (serving.md 6.1): their keys, and a memory that is bounded.

Rule: a key holds everything an answer depends on, so what stands under it is the answer to the same question, of the
same release, for the same visible set. An entry goes with its release, with the state of its corpus, with any of its
revisions and with its time; the least used one goes when memory is full. Fail mode: what is late, too large or of a
state that has passed is not kept, and a clock that went back ends every entry; the model is then asked again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pilotage.core.canonical import Form, Json
from pilotage.core.digest import Digest, digest_of_json

CACHE_BYTES: Final = 64 * 2**20
LONGEST: Final = timedelta(seconds=300)
OVERHEAD_BYTES: Final = 1_024
"""What an entry takes besides its body and revisions: key, record, times and its place in the order."""
REVISION_BYTES: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """Everything an answer depends on (serving.md 6.1).

    `corpus` is the digest of its version, None for a release without documents; `generation` counts takedowns and
    changed permissions of the corpus; `allowed` is the fingerprint of the visible set; `regions` are the asker's and
    the space's; `messages` are (role, redacted text); `principal` is the asker, where nobody else may get the answer.
    """

    release: Digest
    corpus: Digest | None
    generation: int
    allowed: str
    as_of: str
    regions: tuple[str | None, str | None]
    messages: tuple[tuple[str, str], ...]
    parameters: Mapping[str, Json]
    principal: str | None

    @property
    def key(self) -> Digest:
        """The SHA-256 of the canonical JSON; CanonicalError when a text has none."""
        value: Json = {
            "release": self.release,
            "corpus": self.corpus,
            "generation": self.generation,
            "allowed": self.allowed,
            "as_of": self.as_of,
            "regions": self.regions,
            "messages": self.messages,
            "parameters": self.parameters,
            "principal": self.principal,
        }
        return digest_of_json(value, form=Form.PLAIN)


def ends_at(at: datetime, zone: ZoneInfo, *, allowed_until: datetime | None = None) -> datetime:
    """Return when an answer made at `at` must not be given any more: after 300 s, and not beyond midnight.

    Documents come into force, expire and reach their retention by whole days of the organisation's zone, so no
    boundary of any of them lies before that midnight; `allowed_until` is when the first ACL goes stale.
    """
    midnight = datetime.combine(at.astimezone(zone).date() + timedelta(days=1), time(), zone)
    return min(at + LONGEST, midnight.astimezone(at.tzinfo), *([] if allowed_until is None else [allowed_until]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One kept answer: `body` is all of it; `revisions` are those its prompt showed, of `corpus` at `generation`."""

    release: Digest
    corpus: str | None
    generation: int
    revisions: frozenset[int]
    kept_at: datetime
    ends_at: datetime
    body: bytes

    @property
    def size(self) -> int:
        """The bytes of memory it is counted with."""
        return len(self.body) + REVISION_BYTES * len(self.revisions) + OVERHEAD_BYTES

    def is_current(self, at: datetime) -> bool:
        """Tell whether it may be given at this time."""
        return self.kept_at <= at < self.ends_at


class AnswerCache:
    """Entries by key, the most recently used last. `hits` and `misses` count what was looked for."""

    def __init__(self, *, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._entries: OrderedDict[Digest, Entry] = OrderedDict()
        self._generations: dict[str, int] = {}
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Digest, *, at: datetime) -> Entry | None:
        """Return what is kept under a key at this time."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not entry.is_current(at):
            self.drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: Digest, entry: Entry) -> None:
        """Keep an entry, unless its corpus has moved on or it alone is larger than the memory."""
        self.drop(key)
        is_past = entry.corpus is not None and entry.generation < self._generations.get(entry.corpus, 0)
        if is_past or entry.size > self._limit:
            return
        self._entries[key] = entry
        self.bytes += entry.size
        while self.bytes > self._limit:
            self.drop(next(iter(self._entries)))

    def drop(self, key: Digest) -> None:
        """Forget one entry."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.size

    def count(self, release: Digest) -> int:
        """Return how many entries a release has."""
        return sum(entry.release == release for entry in self._entries.values())

    def moved(self, corpus: str, generation: int) -> int:
        """Forget what was decided before a generation of a corpus, and take no more of it; return how many went."""
        self._generations[corpus] = max(generation, self._generations.get(corpus, 0))
        return self._forget(lambda one: one.corpus == corpus and one.generation < generation)

    def lost(self, corpus: str, revisions: Collection[int]) -> int:
        """Forget what rests on any of these revisions; return how many went."""
        return self._forget(lambda one: one.corpus == corpus and not one.revisions.isdisjoint(revisions))

    def only(self, releases: Collection[Digest]) -> int:
        """Forget what other releases said; return how many went."""
        return self._forget(lambda one: one.release not in releases)

    def sweep(self, at: datetime) -> int:
        """Forget what may not be given any more at this time; return how many went."""
        return self._forget(lambda one: not one.is_current(at))

    def _forget(self, is_gone: Callable[[Entry], bool]) -> int:
        gone = [key for key, entry in self._entries.items() if is_gone(entry)]
        for key in gone:
            self.drop(key)
        return len(gone)

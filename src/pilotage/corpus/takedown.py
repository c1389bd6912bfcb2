"""Taking a document down: its states, and the byte shingles that prove its text is gone (corpus-and-ledger.md 4).

Rule: `hidden` is reached before the command returns; `purged` only after a scan found nothing. Fail mode: without a
shingle of its own nothing can be proven, and the state says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import StrEnum

MOST_SHINGLES = 32
SHORTEST, LONGEST = 24, 64
QUOTED = 40
"""Characters that stand in both, word for word, from which on a text is quoted and not merely alike."""


class TakedownState(StrEnum):
    """Where a takedown stands."""

    HIDDEN = "hidden"
    HELD = "held"
    PURGED = "purged"
    PURGED_PRIMARY = "purged_primary"
    PURGED_WITH_DUPLICATES = "purged_with_duplicates"
    UNPROVABLE_BY_SCAN = "unprovable_by_scan"
    PURGE_FAILED = "purge_failed"


ENDED = frozenset(TakedownState) - {TakedownState.HIDDEN, TakedownState.HELD}
"""States in which the purge has run. One that failed stays so: what it looked for is not known to anybody any more."""


def candidate_shingles(texts: Iterable[str]) -> Iterator[bytes]:
    """Yield pieces of 24 to 64 UTF-8 bytes, cut at white space, spread over the texts."""
    for text in texts:
        for line in text.split("\n"):
            words = line.split(" ")
            piece = ""
            for word in words:
                longer = f"{piece} {word}" if piece else word
                if len(longer.encode()) > LONGEST:
                    if len(piece.encode()) >= SHORTEST:
                        yield piece.encode()
                    piece = word if len(word.encode()) <= LONGEST else ""
                else:
                    piece = longer
            if len(piece.encode()) >= SHORTEST:
                yield piece.encode()


def sample_shingles(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return candidates spread evenly over the texts: at least twice as many as are searched for, where there are."""
    candidates = list(dict.fromkeys(candidate_shingles(texts)))
    step = max(1, len(candidates) // (2 * MOST_SHINGLES))
    return tuple(candidates[::step])


def standing_in(pieces: Collection[str], texts: Iterable[str]) -> frozenset[str]:
    """Return those among the pieces that occur in a text, all looked for in one pass over the texts."""
    found: set[str] = set()
    left = set(pieces)
    for said in texts if left else ():
        here = {piece for piece in left if piece in said}
        found |= here
        left -= here
    return frozenset(found)


def quoted_pieces(text: str, documents: Iterable[str]) -> tuple[str, ...]:
    """Return the pieces of `text` that also stand in the documents, as they stand there, in the order of `text`.

    A piece is the shortest run of whole words of at least 40 characters; white space and case do not matter.
    """
    known: dict[str, str] = {}
    for document in documents:
        for piece in word_runs(document.split()):
            known.setdefault(piece.casefold(), piece)
    found = (known.get(piece.casefold()) for piece in word_runs(text.split()))
    return tuple(dict.fromkeys(piece for piece in found if piece is not None))


def word_runs(words: Sequence[str]) -> Iterator[str]:
    """Yield from every word on the shortest run of words that is long enough."""
    end, length = 0, -1
    for start, word in enumerate(words):
        while length < QUOTED and end < len(words):
            length += len(words[end]) + 1
            end += 1
        if length < QUOTED:
            return
        yield " ".join(words[start:end])
        length -= len(word) + 1


def final_state(*, hits: int, shingles: int, is_embedded: bool, has_duplicates: bool) -> TakedownState:
    """Return what a finished purge may claim."""
    if hits:
        return TakedownState.PURGE_FAILED
    if not is_embedded:
        return TakedownState.PURGED_PRIMARY
    if has_duplicates:  # their text is this one's: no piece of it is its own
        return TakedownState.PURGED_WITH_DUPLICATES
    return TakedownState.PURGED if shingles else TakedownState.UNPROVABLE_BY_SCAN

"""Who asks the same, among many candidates at once: trigram Jaccard of 0.80 or more, without comparing texts in pairs.

Rule: only who asks as the same persona. The trigrams of all questions are laid into one inverted index; one question
then counts what it shares with every other in a single pass over the lists of its own. Fail mode: none; pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pilotage.core.canonical import Json
from pilotage.evaluation.candidate import Candidate
from pilotage.evaluation.leakage import NEAR_TWIN, trigrams
from pilotage.guard.normalise import normalise

_BITS: Final = np.uint64(21)
"""A code point has 21 bits, so three of them fit into one number."""
_NOBODY: Final = -1


class Twins:
    """Candidates that can be asked for a question's twin: those waiting, and of `later` those that were let in."""

    def __init__(self, waiting: Sequence[Candidate], later: Sequence[Candidate] = ()) -> None:
        self._candidates = (*waiting, *later)
        self._places = {one.id: place for place, one in enumerate(self._candidates)}
        self._askers: dict[Json, int] = {}
        self._asked_by = np.array([self._asker(one) for one in self._candidates], dtype=np.int64)
        self._stands = np.arange(len(self._candidates)) < len(waiting)
        rows = [_grams(one.question) for one in self._candidates]
        self._sizes = np.array([len(one) for one in rows], dtype=np.int64)
        grams = np.concatenate(rows) if rows else np.array([], dtype=np.uint64)
        order = np.argsort(grams, kind="stable")
        self._holders = np.repeat(np.arange(len(rows)), self._sizes)[order]
        self._grams, starts = np.unique(grams[order], return_index=True)
        self._bounds = np.append(starts, len(grams))

    def let_in(self, candidate: Candidate) -> None:
        """Let one of `later` be found."""
        place = self._places.get(candidate.id)
        if place is not None:
            self._stands[place] = True

    def find(self, candidate: Candidate) -> Candidate | None:
        """Return who asks the same as the same persona: the most alike at 0.80 or more."""
        asker = self._askers.get(candidate.row.get("as"), _NOBODY)
        possible = np.flatnonzero(self._stands & (self._asked_by == asker))
        if not len(possible):
            return None
        mine = _grams(candidate.question)
        shared = self._shared(mine)[possible]
        likeness = shared / (len(mine) + self._sizes[possible] - shared)
        best = likeness.max()
        if best < NEAR_TWIN:
            return None
        return max((self._candidates[int(place)] for place in possible[likeness == best]), key=lambda one: one.id)

    def _shared(self, grams: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return how many of these trigrams each candidate has."""
        places = np.searchsorted(self._grams, grams)
        inside = np.flatnonzero(places < len(self._grams))
        known = places[inside][self._grams[places[inside]] == grams[inside]]
        lists = [self._holders[self._bounds[one] : self._bounds[one + 1]] for one in known]
        held = np.concatenate(lists) if lists else np.array([], dtype=np.int64)
        return np.bincount(held, minlength=len(self._candidates))

    def _asker(self, candidate: Candidate) -> int:
        return self._askers.setdefault(candidate.row.get("as"), len(self._askers))


def _grams(question: str) -> NDArray[np.uint64]:
    """Return the trigrams of a question's normal form as numbers, sorted."""
    texts = np.array(list(trigrams(normalise(question))), dtype="<U3")
    points = texts.view("<u4").reshape(-1, 3).astype(np.uint64)
    return np.unique((points[:, 0] << _BITS << _BITS) | (points[:, 1] << _BITS) | points[:, 2])

"""What a finished purge may claim, and the pieces of a document that are searched for afterwards."""

from __future__ import annotations

import pytest

from pilotage.corpus.takedown import (
    LONGEST,
    MOST_SHINGLES,
    SHORTEST,
    TakedownState,
    candidate_shingles,
    final_state,
    sample_shingles,
)


@pytest.mark.parametrize(
    ("hits", "shingles", "is_embedded", "has_duplicates", "state"),
    [
        (1, 32, True, True, TakedownState.PURGE_FAILED),
        (1, 0, False, False, TakedownState.PURGE_FAILED),
        (0, 32, False, True, TakedownState.PURGED_PRIMARY),
        (0, 0, True, False, TakedownState.UNPROVABLE_BY_SCAN),
        (0, 32, True, True, TakedownState.PURGED_WITH_DUPLICATES),
        (0, 0, True, True, TakedownState.PURGED_WITH_DUPLICATES),
        (0, 32, True, False, TakedownState.PURGED),
    ],
)
def test_a_purge_claims_no_more_than_was_looked_for(
    *, hits: int, shingles: int, is_embedded: bool, has_duplicates: bool, state: TakedownState
) -> None:
    found = final_state(hits=hits, shingles=shingles, is_embedded=is_embedded, has_duplicates=has_duplicates)
    assert found is state


def test_pieces_are_cut_at_white_space_and_neither_too_short_nor_too_long() -> None:
    words = "The daily limit for wires of a retail customer is twenty-five thousand dollars and ends at noon."
    short, long = "Too short.", "x" * (LONGEST + 1)
    found = list(candidate_shingles([f"{words}\n{short}\n{short} {long} {words}"]))
    assert found
    assert all(SHORTEST <= len(piece) <= LONGEST for piece in found)
    assert all(piece.decode() in words for piece in found)


def test_pieces_are_sampled_evenly_each_once() -> None:
    lines = [f"Line {number:05d} of a document that was taken down" for number in range(10 * MOST_SHINGLES)]
    found = sample_shingles(["\n".join(lines), lines[0]])
    assert 2 * MOST_SHINGLES <= len(found) < 3 * MOST_SHINGLES
    assert len(set(found)) == len(found)
    assert found[-1] > lines[8 * MOST_SHINGLES].encode()
    assert sample_shingles([lines[0], lines[0]]) == (lines[0].encode(),)
    assert sample_shingles(["short"]) == ()

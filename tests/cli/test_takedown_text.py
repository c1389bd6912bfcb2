"""What a takedown's proof says to a person: what was not searched, or is not known, is never told as clean."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from pilotage.cli.corpus import render_takedown
from pilotage.control.take_down import TakedownResult
from pilotage.core.digest import Digest
from pilotage.corpus.takedown import TakedownState

PROOF: dict[str, Any] = {
    "rows": 12,
    "files_scanned": 1_204,
    "bytes_scanned": 52_400_000,
    "shingles": 32,
    "hits": 0,
    "files_with_hits": [],
}


DONE = TakedownResult(
    takedown="01M83",
    document="cards/limits.md",
    state=TakedownState.HIDDEN,
    versions_affected=(1, 3),
    also_in=(),
    derived=(),
    golden_to_review=(),
    quarantined=(),
    proof=None,
)


def told(state: TakedownState, **changes: Any) -> str:
    return shown(replace(DONE, state=state, proof=PROOF | changes))


def shown(done: TakedownResult) -> str:
    out = io.StringIO()
    render_takedown(Console(file=out, width=400), done)
    return " ".join(out.getvalue().split())


def test_a_search_that_found_nothing_says_for_what_and_where_it_looked() -> None:
    found = told(TakedownState.PURGED)
    assert found.startswith("cards/limits.md is purged in versions 1, 3. 12 rows erased.")
    assert "32 pieces of its text were searched in 1,204 files (52 MB): 0 hits." in found
    assert "Backups" not in found


def test_where_nothing_could_be_searched_for_no_hits_are_not_told_as_clean() -> None:
    found = told(TakedownState.UNPROVABLE_BY_SCAN, shingles=0)
    assert "not proven" in found
    assert "0 hits" not in found


def test_what_it_touched_besides_is_named() -> None:
    digest = Digest("sha256:" + "8" * 64)
    found = shown(replace(DONE, derived=("cards/summary.md",), golden_to_review=("limits-7",), quarantined=(digest,)))
    assert "Taken down with it, in derived corpora: cards/summary.md" in found
    assert "Golden cases to review: limits-7" in found
    assert "Quarantined, as their prompts quoted it: sha256:888888888888" in found
    assert "The same content" not in found


@pytest.mark.parametrize(
    ("until", "words"), [("2026-12-31", "hold it until 2026-12-31."), (None, "until when is not known")]
)
def test_copies_on_a_server_of_ones_own_are_told_with_their_end_or_as_unknown(until: str | None, words: str) -> None:
    assert words in told(TakedownState.PURGED_PRIMARY, copies_until=until)

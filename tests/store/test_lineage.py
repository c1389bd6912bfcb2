"""What came before by its gates is found for many releases of one line from each ancestor read once."""

from __future__ import annotations

from typing import Any

from pilotage.store.lineage import nearest


def row(digest: str, parent: str | None, *, asked: bool = False, came: bool = False) -> dict[str, Any]:
    """Return a row as the statement does: the manifest only where a line ends."""
    manifest = digest.encode().hex() if came or parent is None else None
    return {"digest": digest, "parent": parent, "is_asked": asked, "came": came, "manifest": manifest}


def found(*rows: dict[str, Any]) -> dict[str, str]:
    """Return whose nearest is which, having compared each manifest with its digest."""
    told = nearest(rows)
    assert all(manifest == digest.encode() for digest, manifest in told.values())
    return {str(asked): str(digest) for asked, (digest, _) in told.items()}


def test_each_release_of_a_line_has_its_own_nearest() -> None:
    rows = (
        row("five", "four", asked=True),
        row("three", "two", asked=True),
        row("four", "three"),
        row("three", "two", came=True),
        row("two", "one"),
        row("one", None),
    )
    assert found(*rows) == {"five": "three", "three": "one"}
    assert found(*reversed(rows)) == {"five": "three", "three": "one"}


def test_a_line_in_which_none_came_ends_at_its_first() -> None:
    rows = (row("three", "two", asked=True), row("two", "one"), row("one", None))
    assert found(*rows) == {"three": "one"}


def test_a_first_release_has_nothing_before_it() -> None:
    assert found(row("one", None, asked=True)) == {}


def test_a_release_that_came_itself_is_compared_with_what_was_before_it() -> None:
    rows = (row("two", "one", asked=True), row("one", None, asked=True), row("one", None))
    assert found(*rows) == {"two": "one"}


def test_branches_meet_where_their_lines_do() -> None:
    rows = (
        row("left", "fork", asked=True),
        row("right", "fork", asked=True),
        row("fork", "base"),
        row("base", "root", came=True),
    )
    assert found(*rows) == {"left": "base", "right": "base"}

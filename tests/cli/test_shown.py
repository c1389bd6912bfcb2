"""What commands print: ids, digests and times stay whole at every width, and records leave out what is not known."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pilotage.cli.shown import Listing, minute, print_record, short

ID = "01M83HQ44ZGEHZZTRG0DQT7AFD"
DIGEST = "sha256:" + "87b557f3eaa8" + "0" * 52


def printed(what: Listing, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def listed(cause: str = "statistical trip") -> Listing:
    listing = Listing("incident!", "workflow", "detected!", "cause")
    listing.add_row(ID, "policy-assistant", "2026-11-23 06:32", cause)
    return listing


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_ids_and_times_are_never_cut(width: int) -> None:
    shown = printed(listed("statistical trip " * 20), width)
    assert all(any(whole in line for line in shown) for whole in (ID, "2026-11-23 06:32"))
    assert "…" not in "".join(shown)
    assert max(map(len, shown)) <= width


def test_a_wide_terminal_gets_a_table_and_a_narrow_one_a_line_with_the_rest_below() -> None:
    assert printed(listed(), 120) == [
        "incident                    workflow          detected          cause",
        f"{ID}  policy-assistant  2026-11-23 06:32  statistical trip",
    ]
    assert printed(listed(), 60) == [f"{ID}  2026-11-23 06:32", "    policy-assistant  statistical trip"]


def test_only_a_last_column_of_sentences_folds_in_a_table() -> None:
    shown = printed(listed("a cause " * 20), 105)
    assert shown[0].startswith("incident")
    assert len(shown) == 5


def test_a_record_shows_what_is_known_level_by_level() -> None:
    out = io.StringIO()
    record = {
        "id": ID,
        "at": "2026-11-23T06:32:56.735Z",
        "reason": None,
        "refs": {},
        "claims": {"documents": 152.0, "is_whole": False, "share": 0.25},
        "names": ["a", "b"],
        "lines": [{"text": "[not] markup", "more": [1, 2]}, {"text": "second"}],
    }
    print_record(Console(file=out, width=30), record)
    assert out.getvalue().splitlines() == [
        f"id: {ID}",
        "at: 2026-11-23 06:32",
        "claims",
        "  documents: 152",
        "  is whole: no",
        "  share: 0.25",
        "names: a, b",
        "lines",
        "- text: [not] markup",
        "  more: 1, 2",
        "- text: second",
    ]


def test_a_record_in_which_nothing_is_known_leaves_no_line() -> None:
    out = io.StringIO()
    record = {"loss": {"why": None}, "rows": [{}, {"why": None}], "some": [{}, {"case": "a"}, {"refs": [{}]}]}
    print_record(Console(file=out), record)
    assert out.getvalue().splitlines() == ["some", "- case: a"]


def test_times_and_digests_are_as_short_as_commands_take_them() -> None:
    assert minute("2026-11-23T06:33:57.735490+00:00") == "2026-11-23 06:33"
    assert (minute(None), minute("-")) == ("-", "-")
    assert short(f"{DIGEST} was taken out") == "sha256:87b557f3eaa8 was taken out"
    assert short("sha256:87b5") == "sha256:87b5"

"""`pilotage ledger verify` and `fsck` as a person reads them: the verdict first, then what does not hold."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from pilotage.cli.ledger import render_fsck, render_verification
from pilotage.control.ledger_fsck import FsckReport
from pilotage.core.reason import Reason
from pilotage.ledger.verify import Verdict, Verification

NOTICE = Reason(code="NOT_ANCHORED", text="Not anchored.")
BROKEN = Reason(code="LEAF_CHANGED", text="An entry was [changed].", where="entry 7")


def shown(render: Callable[[Console], None]) -> list[str]:
    out = io.StringIO()
    render(Console(file=out, width=60))
    return out.getvalue().splitlines()


@pytest.mark.parametrize(
    ("failure", "first"),
    [
        (None, ["verified: 1,200 entries."]),
        (BROKEN, ["failed: 1,200 entries.", "LEAF_CHANGED An entry was [changed]. (entry 7)"]),
    ],
)
def test_a_verification_says_first_whether_it_holds(failure: Reason | None, first: list[str]) -> None:
    found = Verification(
        verdict=Verdict.VERIFIED if failure is None else Verdict.FAILED,
        entries=1_200,
        root=bytes(32),
        checkpoints=3,
        failure=failure,
        breaks=(Reason(code="KEY_LOST", text="A key was lost."),),
        notices=(NOTICE,),
    )
    lines = shown(lambda out: render_verification(out, found))
    root = f"root: sha256:{'0' * 64}"
    rest = ["KEY_LOST A key was lost.", root, "checkpoints: 3", "disclosed: 0", "NOT_ANCHORED Not anchored."]
    assert lines == [*first, *rest]


def test_a_check_of_the_store_says_first_whether_it_is_clean() -> None:
    clean = FsckReport(entries=2, checkpoints=1, findings=(), suppressed=0, notices=(NOTICE,))
    assert shown(lambda out: render_fsck(out, clean)) == [
        "clean: 2 entries, 1 checkpoints.",
        "NOT_ANCHORED Not anchored.",
    ]
    torn = FsckReport(entries=2, checkpoints=1, findings=(BROKEN,), suppressed=4, notices=())
    assert shown(lambda out: render_fsck(out, torn)) == [
        "not clean: 2 entries, 1 checkpoints.",
        "LEAF_CHANGED An entry was [changed]. (entry 7)",
        "and 4 more",
    ]

"""The list a person works through: each thing that is missing, who brings it, and by which command."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.gate.builders import NOW, SEATS, board_gate, empty, holder, roster

from pilotage.core.reason import Outcome
from pilotage.gate.counting import own_seats
from pilotage.gate.decide import decide
from pilotage.gate.missing import missing_of
from pilotage.gate.report import CriterionResult

PEAK = "there is no current result of the load test at peak traffic"
ADD = "`pilotage evidence add DIGEST FILE --kind"


def told(kind: str, *, space: str | None = None, accepted_by: str | None = None) -> list[str]:
    given = empty(replace(board_gate(), space=space))
    lacking = CriterionResult(
        id="c",
        state="missing",
        outcome=Outcome.INCONCLUSIVE,
        checks=(),
        accept="medium",
        missing=(kind,),
        accepted_by=accepted_by,
    )
    return [one.text for one in missing_of(given, [lacking], [])]


@pytest.mark.parametrize(
    ("kind", "space", "what", "who", "command"),
    [
        ("load.peak", None, PEAK, "A service key that lists the kind", f"{ADD} load.peak`"),
        ("load.peak", "qa", PEAK, "A service key that lists the kind", f"{ADD} load.peak --space qa`"),
        (
            "evaluation",
            "qa",
            "there is no current result of the evaluation on the golden set",
            "An engineer",
            "`pilotage evaluate DIGEST`",
        ),
        ("document.pia", None, "the document pia is not there yet", "The document's owner", f"{ADD} document.pia`"),
        (
            "document.pia",
            "qa",
            "the document pia is not there yet",
            "The document's owner",
            f"{ADD} document.pia --space qa`",
        ),
    ],
)
def test_missing_evidence_names_who_brings_it_and_the_command(
    kind: str, space: str | None, what: str, who: str, command: str
) -> None:
    (text,) = told(kind, space=space)
    assert text.startswith(f"c: {what}. {who}")
    assert text.endswith(f"provides it: {command}.")


def test_what_an_acceptance_covers_is_not_missing() -> None:
    assert told("load.peak", accepted_by="risk-1") == []


def test_missing_sign_offs_name_the_people_who_may_give_them() -> None:
    found = [one.text for one in decide(empty(board_gate()), NOW).missing]
    assert (
        found[0]
        == f"Sign-off missing: seat {SEATS[0].value} (0 of 1). {holder(SEATS[0])}, {holder(SEATS[0], 1)} may sign."
    )
    assert found[-1].endswith("sponsor may sign after the board.")


def test_a_board_s_snapshot_holds_its_own_seats_alone() -> None:
    board = board_gate().pre.board
    assert board is not None
    smaller = replace(board, seats=SEATS[:2])
    assert [one.role for one in own_seats(roster().seats, smaller)] == list(SEATS[:2])
    assert own_seats((), board) == ()

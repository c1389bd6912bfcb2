"""What a gate compares: every operator at its edge, and counts of several suites that never hide a gap."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.gate.builders import evidence

from pilotage.gate.comparing import holds, summed
from pilotage.workspace.gate import Operator

HOLDS: Mapping[Operator, tuple[bool, bool, bool]] = {
    Operator.EQ: (False, True, False),
    Operator.NE: (True, False, True),
    Operator.LT: (True, False, False),
    Operator.LE: (True, True, False),
    Operator.GT: (False, False, True),
    Operator.GE: (False, True, True),
}


@pytest.mark.parametrize("operator", list(Operator))
def test_every_operator_holds_below_at_and_above_its_limit_as_written(operator: Operator) -> None:
    assert tuple(holds(observed, operator, 0.3) for observed in (0.3 - 1e-9, 0.3, 0.3 + 1e-9)) == HOLDS[operator]


def suites(*claims: Mapping[str, float]) -> dict[str, float]:
    return summed([evidence("tests.unit", one, suite=str(number)) for number, one in enumerate(claims)])


def test_suites_are_added_up_and_what_one_of_them_does_not_say_is_not_said() -> None:
    found = suites({"executed": 10.0, "failed": 1.0, "errors": 0.0}, {"executed": 5.0, "failed": 2.0})
    assert found == {"executed": 15.0, "failed": 3.0}


def test_the_share_of_skipped_tests_is_of_all_and_of_nothing_it_is_everything() -> None:
    one = {"executed": 9.0, "skipped": 1.0, "skipped_share": 0.1}
    two = {"executed": 0.0, "skipped": 10.0, "skipped_share": 1.0}
    none = {"executed": 0.0, "skipped": 0.0, "skipped_share": 0.0}
    assert suites(one, two)["skipped_share"] == pytest.approx(11 / 20)
    assert suites(none, none)["skipped_share"] == 1.0

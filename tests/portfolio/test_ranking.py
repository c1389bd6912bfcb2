"""The ranking follows its formula to the cent, and never ranks on what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.portfolio.inventory import DAY, MEASURED, NAMED, TODAY, assessed, number, ready, use_case

from pilotage.corpus.settings import Classification
from pilotage.portfolio.measures import Measure
from pilotage.portfolio.ranking import Assessed, Ranked, cents, rank
from pilotage.workspace.portfolio import NumberSource

TABLE = (
    ("claims letters", "42000 11 48 0.5 0.04 35", (MEASURED,), "0.82", "214200.00", "175644.00", 1),
    ("policy questions", "90000 6 40 0.6 0.02 60", (MEASURED,), "0.55", "270000.00", "148500.00", 2),
    ("code drafting", "8000 20 70 0.3 0.01 100", (NAMED,), "0.90", "60000.00", "27000.00", 3),
    ("archive search", "30000 4 40 0.5 0 0", (), "0.20", "40000.00", "0.00", None),
)
"""Operations.md 8."""


def row(name: str, numbers: str, measures: tuple[Measure, ...], d: str) -> Assessed:
    volume, minutes, hourly, share, errors, per_error = map(number, numbers.split())
    case = use_case(
        name,
        volume=volume,
        minutes=minutes,
        hourly_cost=hourly,
        share=share,
        error_rate=errors,
        cost_per_error=per_error,
    )
    return Assessed(case=case, measures=measures, readiness=ready(d))


def only(one: Assessed) -> Ranked:
    (found,) = rank([one], today=TODAY)
    return found


def codes(found: Ranked) -> list[str]:
    return [reason.code for reason in found.reasons]


@pytest.mark.feature("R1.7")
def test_the_ranking_gives_every_number_of_the_specification() -> None:
    found = rank([row(*line[:4]) for line in reversed(TABLE)], today=TODAY)
    assert [(one.case.name, str(one.value), str(one.index), one.rank) for one in found] == [
        (name, value, index, place) for name, _, _, _, value, index, place in TABLE
    ]
    assert codes(found[-1]) == ["NO_KPI"]


def test_an_estimate_counts_with_four_fifths_of_its_value() -> None:
    known = only(assessed())
    guessed = only(assessed(use_case(volume=number("42000", NumberSource.ESTIMATE))))
    assert known.value == Decimal(214_200)
    assert guessed.value == Decimal("171360.00")
    assert guessed.inputs[0].as_json() == {
        "name": "volume",
        "value": "42000",
        "source": "estimate",
        "date": "2026-10-01",
        "counted": "33600",
        "old": False,
    }


@pytest.mark.parametrize(("days", "is_old"), [(180, False), (181, True)])
def test_an_estimate_of_more_than_180_days_is_marked_and_a_measurement_is_not(days: int, *, is_old: bool) -> None:
    then = TODAY - timedelta(days=days)
    guessed = only(assessed(use_case(share=number("0.5", NumberSource.ESTIMATE, then))))
    assert [mark.code for mark in guessed.marks] == ["ESTIMATE_OLD"] * is_old
    assert guessed.inputs[-1].is_old is is_old
    assert guessed.rank == 1
    measured = only(assessed(use_case(share=number("0.5", NumberSource.LOG, then))))
    assert measured.marks == ()


@pytest.mark.feature("R1.1")
def test_a_number_nobody_knows_leaves_the_row_unranked_and_its_value_unknown() -> None:
    found = only(assessed(use_case(minutes=None)))
    assert (found.rank, found.value, found.index, codes(found)) == (None, None, None, ["NUMBER_UNKNOWN"])
    shown = found.as_json("USD", TODAY)
    assert (shown["value"], shown["index"], shown["rank"]) == (None, None, None)
    inputs = [one.as_json() for one in found.inputs]
    assert [one["counted"] is None for one in inputs] == [False, True, False, False, False, False]
    assert [(one["source"], one["date"]) for one in inputs] == [
        *[("measured", "2026-10-01")],
        (None, None),
        *[("measured", "2026-10-01")] * 4,
    ]


def test_a_number_of_the_future_counts_as_unknown() -> None:
    found = only(assessed(use_case(volume=number("1", day=TODAY + timedelta(days=1)))))
    assert (found.value, codes(found)) == (None, ["NUMBER_AHEAD"])
    assert "2026-11-03" in found.reasons[0].text


@pytest.mark.parametrize(("measures", "d"), [((), "1"), ((MEASURED,), "0")])
def test_an_unknown_value_gives_an_unknown_index_whatever_it_is_weighed_with(
    measures: tuple[Measure, ...], d: str
) -> None:
    found = only(Assessed(case=use_case(minutes=None), measures=measures, readiness=ready(d)))
    assert (found.value, found.index) == (None, None)


def test_readiness_nobody_answered_is_unknown_and_not_zero() -> None:
    found = only(assessed(d=None))
    assert (found.rank, found.index, found.value, codes(found)) == (None, None, Decimal(214_200), ["READINESS_UNKNOWN"])
    assert "between 0 and 1" in found.reasons[0].text


def test_readiness_of_zero_is_not_ranked_and_says_by_what() -> None:
    vetoed = only(assessed(d="0"))
    assert (vetoed.rank, vetoed.index, codes(vetoed)) == (None, Decimal(0), ["READINESS_ZERO"])
    assert vetoed.reasons[0].where == "lineage, access policy, owners"


def test_numbers_that_give_no_value_are_not_ranked() -> None:
    found = only(assessed(use_case(volume=number("0"))))
    assert (found.rank, found.index, codes(found)) == (None, Decimal(0), ["NO_VALUE"])


@pytest.mark.parametrize(("d", "marks"), [("0.25", ["DISCOVERY_ONLY"]), ("0.5", [])])
def test_below_half_readiness_only_discovery_may_be_funded(d: str, marks: list[str]) -> None:
    found = only(assessed(d=d))
    assert [mark.code for mark in found.marks] == marks
    assert found.rank == 1


def test_ties_go_to_the_readier_data_and_then_to_the_name() -> None:
    half = assessed(use_case("half", volume=number("84000")), d="0.25")
    rows = [
        replace(half, case=replace(half.case, name="aa")),
        assessed(use_case("b"), d="0.5"),
        assessed(use_case("a"), d="0.5"),
    ]
    assert [one.case.name for one in rank(rows, today=TODAY)] == ["a", "b", "aa"]


def test_rows_that_are_not_ranked_stand_last_by_name() -> None:
    rows = [assessed(use_case("z"), d=None), assessed(use_case("a"), d=None), assessed(use_case("m"))]
    assert [one.case.name for one in rank(rows, today=TODAY)] == ["m", "a", "z"]


def test_money_is_rounded_to_the_cent_half_to_even_and_never_a_float() -> None:
    assert [str(cents(one)) for one in (Fraction(1, 200), Fraction(3, 200), Fraction(2, 3))] == ["0.00", "0.02", "0.67"]
    found = only(assessed())
    assert isinstance(found.value, Decimal)
    assert isinstance(found.index, Decimal)


amounts = st.decimals(0, 10**6, places=2)
shares = st.decimals(0, 1, places=3)
quarters = st.sampled_from(["0.25", "0.5", "0.75", "1"])
GRADES: tuple[tuple[Measure, ...], ...] = ((), (NAMED,), (MEASURED,))


FIELDS = st.fixed_dictionaries(
    {"minutes": amounts, "hourly_cost": amounts, "error_rate": shares, "cost_per_error": amounts, "share": shares}
)


@given(amounts, FIELDS, st.data())
def test_ranking_monotone(volume: Decimal, fields: dict[str, Decimal], data: st.DataObject) -> None:
    """More volume, readiness or KPI quality never lowers the index."""
    more = volume + data.draw(amounts)
    low, high = sorted((data.draw(quarters), data.draw(quarters)), key=Decimal)
    worse, better = sorted((data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))))
    rest: dict[str, Any] = {name: number(str(value)) for name, value in fields.items()}

    def index(count: Decimal, d: str, grade: int, source: NumberSource = NumberSource.LOG) -> Decimal:
        case = use_case(volume=number(str(count), source), **rest)
        found = only(Assessed(case=case, measures=GRADES[grade], readiness=ready(d))).index
        assert found is not None
        return found

    least = index(volume, low, worse)
    assert least <= index(more, low, worse)
    assert least <= index(volume, high, worse)
    assert least <= index(volume, low, better)
    assert index(volume, low, worse, NumberSource.ESTIMATE) <= least


def test_the_record_holds_everything_a_rank_rests_on() -> None:
    shown = only(assessed(use_case(sensitivity=Classification.INTERNAL), MEASURED)).as_json("EUR", DAY)
    assert shown["sensitivity"] == "internal"
    assert {"rank", "index", "value", "k", "kpis", "inputs", "readiness", "reasons", "marks"} <= shown.keys()
    assert shown["currency"] == "EUR"

"""The cost report says what is known, with its reason what is not, and never prints a free answer that was not free."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pilotage.core.digest import digest_of
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.portfolio.cost_report import CostFacts, cost_report, money
from pilotage.portfolio.spending import Spent
from pilotage.space.settings import Tier
from pilotage.workspace.operations import CostClass, CostLine, Costs, CostSource, Per

FLOW = WorkflowName("assistant")
LIVE, UAT, DEV = SpaceName("production-space"), SpaceName("uat-space"), SpaceName("dev-space")
TIERS = {LIVE: Tier.PRODUCTION, UAT: Tier.STAGING, DEV: Tier.DEV}
NOW = datetime(2026, 6, 11, 9, 30, tzinfo=UTC)
WEEK = (100, 110, 105, 120, 115, 60, 55)


def row(day: date, nano: int, **more: Any) -> Spent:
    fields: dict[str, Any] = {
        "day": day,
        "space": LIVE,
        "release": digest_of(b"r"),
        "kind": "user",
        "outcome": "ok",
        "was_slow": False,
        "requests": 1,
        "nano": nano,
        "without_price": 0,
    }
    return Spent(**(fields | more))


def line(name: str, amount: int, **more: Any) -> CostLine:
    fields: dict[str, Any] = {
        "id": name,
        "cost_class": CostClass.TOOL,
        "phase": "run",
        "amount": Decimal(amount),
        "per": Per.MONTH,
        "source": CostSource.PLAN,
        "workflow": FLOW,
    }
    return CostLine(**(fields | more))


def known(*lines: CostLine, **more: Any) -> CostFacts:
    days = [date(2026, 6, 10) - timedelta(days=number) for number in range(28)]
    facts = CostFacts(
        organisation="Bank",
        workflow=FLOW,
        first=date(2026, 6, 1),
        now=NOW,
        costs=Costs(lines=lines),
        tiers=TIERS,
        rows=[row(day, WEEK[day.weekday()] * 10**9, requests=WEEK[day.weekday()]) for day in days],
        before=(),
        currencies=frozenset({"USD"}),
        runs=0,
        runs_ever=0,
        shadows=0,
        share=Decimal(1),
        live_since=date(2026, 5, 1),
    )
    return replace(facts, **more)


def only(facts: CostFacts) -> Any:
    report: Any = cost_report(facts)
    [found] = report["lines"]
    return found


def reasons(facts: CostFacts) -> dict[str, str]:
    report: Any = cost_report(facts)
    return {one["what"]: one["why"] for one in report["unknown"]}


def test_a_month_under_way_is_told_with_its_end_and_the_cost_of_a_question() -> None:
    found: Any = cost_report(known(line("a", 300), line("b", 50, starts_month=3)))
    assert found["plan"] == {
        "phases": [],
        "all_phases": "0.00",
        "each_month": "350.00",
        "this_month": "300.00",
        "first_year": "4100.00",
        "first_year_and_phases": "4100.00",
    }
    assert (found["month"], found["month_number"], found["live_since"]) == ("2026-06", 2, "2026-05-01")
    assert found["spent"]["people"] == "980.00"
    assert found["per_query"] == {
        "requests": 980,
        "answers": 980,
        "left_out": 0,
        "each_request": "1.00",
        "each_answer": "1.00",
    }
    assert found["forecast"] == {
        "month_ends_at": "2870.00",
        "low": "2870.00",
        "high": "2870.00",
        "how": "mean of each weekday",
        "days": 28,
        "through": "2026-06-10",
    }
    assert found["unknown"] == []


@pytest.mark.feature("DC.14")
def test_a_monthly_usage_line_stands_beside_what_answers_cost_that_month() -> None:
    usage = line("models", 10_000, cost_class=CostClass.USAGE)
    assert only(known(usage))["actual"] == "980.00"
    assert only(known(replace(usage, space=UAT)))["actual"] == "0.00"
    assert only(known(replace(usage, space=LIVE)))["actual"] == "980.00"


def test_a_usage_line_is_metered_beside_lines_of_something_else() -> None:
    usage = line("models", 10_000, cost_class=CostClass.USAGE)
    once = replace(usage, id="before", per=Per.ONCE, phase="development")
    invoice = replace(usage, id="paid", source=CostSource.INVOICE)
    rows: Any = cost_report(known(usage, line("tool", 1), once, invoice))["lines"]
    assert [one["actual"] for one in rows] == ["980.00", None, "0.00", "10000.00"]


def test_two_lines_of_one_spending_are_both_unknown_until_each_has_its_space() -> None:
    first, second = line("a", 1, cost_class=CostClass.USAGE), line("b", 1, cost_class=CostClass.USAGE, space=LIVE)
    rows: Any = cost_report(known(first, second))["lines"]
    assert [(one["actual"], one["why_unknown"]) for one in rows] == [
        (None, "another usage line is of the same spending: give each its space")
    ] * 2
    rows = cost_report(known(replace(first, space=UAT), second))["lines"]
    assert [one["actual"] for one in rows] == ["0.00", "980.00"]


@pytest.mark.feature("DC.2", "DC.6")
def test_what_was_paid_before_going_live_is_metered_by_the_spaces_of_its_phase() -> None:
    before = [row(NOW.date(), 2 * 10**9, space=DEV), row(NOW.date(), 3 * 10**9, space=UAT)]
    usage = line("models", 2_000, cost_class=CostClass.USAGE, per=Per.ONCE, phase="development")
    assert only(known(usage, before=before, runs_ever=10**8))["actual"] == "2.10"
    assert only(known(replace(usage, phase="testing"), before=before, runs_ever=10**8))["actual"] == "3.00"
    assert only(known(replace(usage, phase="testing", space=DEV), before=before))["actual"] == "0.00"
    found = only(known(replace(usage, phase="hypercare"), before=before))
    assert (found["actual"], found["per"]) == (None, "once")
    assert found["why_unknown"] == "phase hypercare is not metered: only development and testing are"


@pytest.mark.feature("DC.1")
def test_a_plan_without_an_invoice_has_no_actual_and_an_invoice_is_one() -> None:
    planned = line("people", 50_000, cost_class=CostClass.PEOPLE, per=Per.ONCE, phase="development")
    assert (only(known(planned))["actual"], only(known(planned))["why_unknown"]) == (None, "no invoice entered")
    assert only(known(replace(planned, source=CostSource.INVOICE)))["actual"] == "50000.00"


def test_a_common_line_is_shared_by_tokens() -> None:
    common = line("tool", 1000, workflow=None)
    assert only(known(common, share=Decimal("0.25")))["own_part"] == "250.00"
    assert only(known(common, share=None))["own_part"] is None
    assert reasons(known(common, share=None)) == {"share of common lines": "no workflow used a token this month."}
    assert cost_report(known(common, share=None))["plan"] is None
    plan: Any = cost_report(known(common, line("own", 10), share=Decimal("0.25")))["plan"]
    assert (plan["each_month"], plan["first_year"]) == ("260.00", "3120.00")
    assert cost_report(known(line("x", 1, workflow=WorkflowName("other"))))["lines"] == []


def test_two_one_time_lines_of_a_phase_are_not_both_told_the_same_spending() -> None:
    first = line("a", 1, cost_class=CostClass.USAGE, per=Per.ONCE, phase="development")
    before = [row(NOW.date(), 2 * 10**9, space=DEV)]
    rows: Any = cost_report(known(first, replace(first, id="b", space=DEV), before=before, runs_ever=10**9))["lines"]
    assert [one["actual"] for one in rows] == [None, None]
    apart = replace(first, space=DEV), replace(first, id="b", space=UAT)
    rows = cost_report(known(*apart, before=before, runs_ever=10**9))["lines"]
    assert [one["actual"] for one in rows] == ["2.00", "0.00"]
    rows = cost_report(known(first, replace(first, id="b", phase="testing"), before=before))["lines"]
    assert [one["actual"] for one in rows] == ["2.00", "0.00"]


def test_what_is_not_kept_any_more_is_not_told_as_nothing() -> None:
    usage = line("models", 10_000, cost_class=CostClass.USAGE)
    old = known(usage, rows=(), is_kept=False, is_whole=False)
    assert "spent" not in cost_report(old)
    assert only(old)["why_unknown"] == "requests of this month are not kept any more"
    assert reasons(old) == {"spent": "requests of this month are not kept any more."}
    before = [row(NOW.date(), 2 * 10**9, space=DEV)]
    once = replace(usage, per=Per.ONCE, phase="development")
    assert only(known(once, before=before, is_whole=False))["actual"] == ">= 2.00"


def test_an_answer_without_a_price_makes_every_sum_the_least_it_can_be() -> None:
    usage = line("models", 10_000, cost_class=CostClass.USAGE)
    facts = known(usage, rows=[row(NOW.date(), 10**9, requests=4, without_price=3)])
    found: Any = cost_report(facts)
    assert found["spent"]["people"] == ">= 1.00"
    assert found["spent"]["unpriced_answers"] == 3
    assert found["per_query"]["each_request"] == ">= 0.25"
    assert found["lines"][0]["actual"] == ">= 1.00"
    assert found["forecast"]["month_ends_at"].startswith(">= ")
    assert "Answers without a price: 3." in reasons(facts)["part of what was spent"]


def test_probes_and_drills_are_told_apart_from_people() -> None:
    rows = [row(NOW.date(), 10**9), row(NOW.date(), 5 * 10**9, kind="probe"), row(NOW.date(), 0, outcome="rejected")]
    found: Any = cost_report(known(line("a", 1), rows=rows, shadows=2 * 10**9, runs=3 * 10**9))
    assert found["spent"] == {
        "people": "1.00",
        "other_traffic": "5.00",
        "shadow": "2.00",
        "evaluation_under_a_cap": "3.00",
        "unpriced_answers": 0,
    }
    assert (found["per_query"]["requests"], found["per_query"]["left_out"]) == (1, 1)


def test_a_workflow_that_never_went_live_says_what_is_missing() -> None:
    facts = known(rows=(), live_since=None)
    found: Any = cost_report(facts)
    assert found["forecast"] is None
    assert found["plan"]["this_month"] is None
    assert (found["per_query"]["each_request"], found["per_query"]["each_answer"]) == (None, None)
    assert set(reasons(facts)) == {"plan", "this month's plan", "cost of a question", "end of the month"}


def test_days_without_a_question_since_going_live_cost_nothing_and_are_known() -> None:
    facts = known(line("a", 1), rows=[row(date(2026, 6, 9), 10 * 10**9)], live_since=date(2026, 6, 9))
    found: Any = cost_report(facts)
    assert found["forecast"]["month_ends_at"] == "110.00"
    assert found["forecast"]["how"] == "run rate of 2 days, fewer than 14"


def test_a_month_that_is_over_ends_at_what_it_cost() -> None:
    facts = known(line("a", 1), first=date(2026, 5, 1), rows=[row(date(2026, 5, 20), 7 * 10**9)])
    found: Any = cost_report(facts)
    assert (found["forecast"]["month_ends_at"], found["forecast"]["through"]) == ("7.00", "2026-05-31")


def test_prices_in_another_currency_leave_what_was_spent_unknown() -> None:
    facts = known(line("models", 1, cost_class=CostClass.USAGE), currencies=frozenset({"EUR"}))
    found = cost_report(facts)
    assert "spent" not in found
    assert only(facts)["why_unknown"] == "another currency"
    assert reasons(facts) == {"spent": "model prices are in EUR, the costs in USD: write one currency."}


def test_money_has_two_decimals_and_up_to_six_where_it_has_them() -> None:
    shown = [money(Decimal(text)) for text in ("0", "2870", "0.0084", "0.02181", "1234.5", "0.0000004")]
    assert shown == ["0.00", "2870.00", "0.0084", "0.02181", "1234.50", "0.00"]

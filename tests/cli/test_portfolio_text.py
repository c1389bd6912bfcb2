"""`pilotage portfolio rank` as a person reads it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

from rich.console import Console
from tests.portfolio.inventory import NOW, TODAY, assessed, number, use_case

from pilotage.cli.portfolio import _render, _render_advice
from pilotage.control.view_portfolio import AdviceView, PortfolioView
from pilotage.core.errors import Problem
from pilotage.portfolio.bands import fund, plan_findings
from pilotage.portfolio.decision_aid import advise, facts_of
from pilotage.portfolio.measures import Measure
from pilotage.portfolio.ranking import rank
from pilotage.workspace.portfolio import Band, Needs, NumberSource

OLD = number("35", NumberSource.ESTIMATE, date(2026, 1, 1))
CASES = (use_case(cost_per_error=OLD), use_case("archive [x]", minutes=None))
BANDS = (Band(name="all", minimum=Decimal(1), maximum=Decimal(1_000), released_by="cab", signer="business-sponsor"),)
VIEW = PortfolioView(
    at=NOW,
    currency="EUR",
    is_declared=True,
    rows=rank([assessed(CASES[0]), assessed(CASES[1], Measure(name="days", title="days"), d=None)], today=TODAY),
    advice={case.name: advise(facts_of(case)) for case in CASES},
    bands=fund(BANDS, (), "EUR"),
    findings=plan_findings(BANDS),
    problems=(Problem(file="portfolio.yaml", line=4, what="It is wrong", hint="Write it right."),),
)


def told(render: Callable[[Console], None]) -> str:
    out = io.StringIO()
    render(Console(file=out, width=120))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_the_ranking_shows_each_number_with_its_source_and_what_is_missing() -> None:
    text = told(lambda out: _render(out, VIEW))
    lines = text.splitlines()
    assert lines[0] == "left out portfolio.yaml:4: It is wrong. Write it right."
    assert lines[1] == "What to fund next, in EUR a year, as of 2026-11-02 12:00 UTC"
    assert "1     letters      156,240  208,320  1    0.75    open" in lines
    assert "-     archive [x]  unknown  unknown  0.5  0 to 1  open" in lines
    assert "  cost_per_error  35      estimate  2026-01-01 (old)  28" in lines
    assert "  minutes         unknown  -         -           nothing: unknown" in lines
    assert "  KPI Days: from 9 to 3 days (log, 2026-10-01)" in lines
    assert "  KPI days: no unit, baseline or target is written" in lines
    assert "  NUMBER_UNKNOWN Nobody knows minutes yet. Measure it, or write an estimate with its date." in lines
    assert "all   1     1,000  cab          business-sponsor  unknown  unknown" in lines
    assert "ONE_BAND" in text


def test_nothing_declared_says_what_to_write() -> None:
    assert told(lambda out: _render(out, replace(VIEW, rows=(), problems=()))).startswith("Nothing to rank: write")


def test_advice_says_reasons_open_questions_and_what_would_change_it() -> None:
    case = use_case(needs=Needs(takedown_duty=True, adapt_for=None), update_frequency="quarterly")
    text = told(lambda out: _render_advice(out, AdviceView(case=case, advice=advise(facts_of(case)))))
    assert text.splitlines()[:2] == [
        "letters: build on retrieval (hybrid possible)",
        "  A document may have to disappear: weights do not forget. takedown_duty",
    ]
    assert "  open nobody answered adapt for" in text

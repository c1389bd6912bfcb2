"""A rollout's charts show what matters most first, and their numbers can be taken away; a card tells who serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import Engine, text
from tests.console.conftest import Bank, make_bank

from pilotage.console.pages.rollout import _rows, charts_of
from pilotage.console.pages.workflows import Place
from pilotage.core.digest import digest_of
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.store.rollout_history import PastVerdict
from pilotage.store.served import Served

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def told(purpose: str, standing: str, x: int, n: int) -> dict[str, Any]:
    return {"purpose": purpose, "standing": standing, "x": x, "n": n, "limit": "< 1 %"}


def past(hours: int, tests: Mapping[str, Mapping[str, Any]]) -> PastVerdict:
    body = json.dumps({"tests": tests}).encode()
    at = NOW + timedelta(hours=hours)
    return PastVerdict(
        digest=digest_of(body), wave=0, step=0, outcome="no_go", effect="none", body=body, at=at, is_decision=False
    )


TESTS = {
    "check.split": told("check", "proved", 5, 10),
    "go.error": told("go", "proved", 0, 900),
    "go.policy": told("go", "open", 0, 100),
    "hold.feedback": told("hold", "absent", 0, 0),
    "hold.slow": told("hold", "quiet", 1, 100),
    "trip.ungrounded": told("trip", "fired", 30, 100),
    "trip.ungrounded_late": told("trip", "fired", 30, 100),
}


def test_what_fired_stands_first_in_the_table_and_among_the_charts() -> None:
    assert [row.name for row in _rows(TESTS)] == [
        "trip ungrounded",
        "trip ungrounded late",
        "go policy",
        "hold feedback",
        "check split",
        "go error",
        "hold slow",
    ]
    drawn = charts_of("R", [past(0, TESTS), past(1, TESTS)])
    titles = [LexborHTMLParser(str(one)).css_first("figcaption") for one in drawn]
    assert [one.text() for one in titles if one is not None] == ["Trip ungrounded", "Go error", "Go policy"]
    assert charts_of("R", [past(0, TESTS)]) == []


@pytest.mark.store
def test_the_numbers_of_a_chart_are_those_of_its_table(bank: Bank) -> None:
    rollout = bank.roll_out()
    browser = bank.browser("omar.haddad")
    page = browser.get(f"/rollouts/{rollout}").page
    figures = page.css("figure")
    assert figures
    for figure in figures:
        link = figure.css_first("a[download]")
        assert link is not None
        answer = browser.get(link.attributes["href"] or "")
        assert answer.header("content-type").startswith("text/csv")
        assert answer.header("content-disposition").startswith("attachment")
        rows = [row.split(",") for row in answer.text.split("\r\n")[1:-1]]
        assert [row[1] for row in rows] == [cell.attributes["data-y"] for cell in figure.css("td[data-y]")]
    unknown = browser.get(f"/rollouts/{rollout}/numbers/feedback.hold")
    assert [row.partition(",")[2] for row in unknown.text.split("\r\n")[1:-1]] == ["", ""]
    assert browser.get(f"/rollouts/{rollout}/numbers/none").status == 404


@pytest.mark.store
def test_a_rollout_that_was_taken_back_where_nothing_served_says_so(own_engine: Engine, tmp_path: Path) -> None:
    bank = make_bank(own_engine, tmp_path)
    rollout = bank.roll_out()
    step = text("INSERT INTO rollout_step VALUES (:id, 0, 0, 1, 50000, 1, :at, :at)")
    over = text("UPDATE rollout SET state = 'rolled_back', flipped_at = :at WHERE id = :id")
    with bank.instance.engine.begin() as connection:
        for statement in (step, over):
            connection.execute(statement, {"id": rollout, "at": bank.clock.now()})
    page = bank.browser("omar.haddad").get(f"/rollouts/{rollout}").page
    steps = [one.text(deep=False) for one in page.css("ol.way li > span:last-child")]
    assert (steps[0], set(steps[1:])) == ("taken back", {"later"})
    said = page.css_first(".notice.nogo")
    assert said is not None
    assert said.text().startswith("Taken back to no release, since none may serve there, ")


def test_a_space_whose_row_names_no_release_serves_nobody() -> None:
    route = Served(
        space=SpaceName("production-eu-space"),
        workflow=WorkflowName("loans"),
        stable=None,
        candidate=None,
        fraction_ppm=0,
        paused=False,
        reason="rolled back",
        changed_at=NOW,
    )
    place = Place(name=route.space, tier="production", route=route)
    assert not place.serves
    assert not replace(place, route=None).serves
    assert replace(place, route=replace(route, candidate=digest_of(b"one"))).serves
    assert replace(place, route=replace(route, stable=digest_of(b"one"))).serves

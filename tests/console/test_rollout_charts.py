"""A rollout's charts show what matters most first, and their numbers can be taken away; a card tells who serves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import Engine, text
from tests.console.conftest import Bank, make_bank

from pilotage.console.pages.rollout_charts import verdict_charts
from pilotage.console.pages.rollout_tests import rows_of
from pilotage.console.pages.workflows import Place
from pilotage.core.digest import digest_of
from pilotage.core.ids import SpaceName, WorkflowName
from pilotage.rollout.assignment import Arm
from pilotage.rollout.course import Slot
from pilotage.store.rollout_course import add_course
from pilotage.store.rollout_history import PastVerdict
from pilotage.store.rollouts import save_wave, waves_of
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
    assert [row.name for row in rows_of(TESTS)] == [
        "trip ungrounded",
        "trip ungrounded late",
        "go policy",
        "hold feedback",
        "check split",
        "go error",
        "hold slow",
    ]
    drawn = verdict_charts([past(0, TESTS), past(1, TESTS)], "/R")
    titles = [LexborHTMLParser(str(one)).css_first("figcaption") for one in drawn]
    assert [one.text() for one in titles if one is not None] == ["Trip ungrounded", "Go error", "Go policy"]
    assert verdict_charts([past(0, TESTS)], "/R") == []


@pytest.mark.store
def test_the_numbers_of_a_chart_are_those_of_its_table(bank: Bank) -> None:
    rollout = bank.roll_out()
    course(bank, rollout)
    browser = bank.browser("omar.haddad")
    page = browser.get(f"/rollouts/{rollout}").page
    figures = page.css("figure")
    assert len(figures) == 3
    for figure in figures:
        link = figure.css_first("a[download]")
        assert link is not None
        answer = browser.get(link.attributes["href"] or "")
        assert answer.header("content-type").startswith("text/csv")
        assert answer.header("content-disposition").startswith("attachment")
        rows = [row.split(",") for row in answer.text.split("\r\n")[1:-1]]
        assert [cell for row in rows for cell in row[1:]] == [
            cell.attributes["data-y"] for cell in figure.css("td[data-y]")
        ]
    unknown = browser.get(f"/rollouts/{rollout}/numbers/feedback.hold")
    assert [row.partition(",")[2] for row in unknown.text.split("\r\n")[1:-1]] == ["", ""]
    assert browser.get(f"/rollouts/{rollout}/numbers/none").status == 404


def course(bank: Bank, rollout: str, *, candidate_ms: int = 1260, failed: int = 0) -> None:
    """Give the first wave two days of both arms, two hours of which the candidate met nobody."""
    sums: dict[tuple[Arm, datetime], Slot] = {}
    began = bank.clock.now() - timedelta(days=2)
    for place in range(24):
        for arm, latency_ms in ((Arm.STABLE, 1210), (Arm.CANDIDATE, candidate_ms)):
            if arm is Arm.STABLE or place != 5:
                number = math.ceil(math.log(latency_ms) / math.log(1.02))
                lost = failed if arm is Arm.CANDIDATE else 0
                sums[arm, began + timedelta(hours=2 * place)] = Slot(
                    requests=100, failed=lost, scored=50, ungrounded=1, bins={number: 100 - lost}
                )
    with bank.instance.engine.begin() as connection:
        add_course(connection, rollout, 0, sums)
        wave = waves_of(connection, rollout)[0]
        ratings = {bank.release: (25, 3)}
        save_wave(connection, replace(wave, started_at=began, ratings=ratings))


def arm_cells(bank: Bank, rollout: str) -> dict[str, list[str]]:
    page = bank.browser("omar.haddad").get(f"/rollouts/{rollout}").page
    rows = page.css("[aria-label='Both arms'] tbody tr")
    return {
        (row.css_first("th") or row).text(): [" ".join(cell.text().split()) for cell in row.css("td")] for row in rows
    }


@pytest.mark.feature("D13.14", "D13.31")
@pytest.mark.store
def test_both_arms_stand_side_by_side_with_their_limits_and_the_verdict_on_each_metric(
    own_engine: Engine, tmp_path: Path
) -> None:
    bank = make_bank(own_engine, tmp_path)
    rollout = bank.roll_out()
    assert arm_cells(bank, rollout) == {}
    course(bank, rollout)
    bank.judge(
        rollout, x=3, n=2300, more={"go.p95": told("go", "proved", 0, 2300), "hold.p95": told("hold", "quiet", 0, 2300)}
    )
    assert arm_cells(bank, rollout) == {
        "errors": ["0 of 2,400", "0 of 2,300", "< 0.1 %", "UNKNOWN"],
        "p95 ms": ["1,223", "1,273", "< 2,000", "GO"],
        "grounded": ["98 % of 1,200", "98 % of 1,150", "> 98 %", "UNKNOWN"],
        "rated helpful": ["unknown", "88 % of 25", ">= 80 %", "UNKNOWN"],
    }
    charts = bank.browser("omar.haddad").get(f"/rollouts/{rollout}").page.css("[data-charts] figure")
    assert [(one.css_first("figcaption") or one).text() for one in charts][:2] == [
        "Error rate by arm",
        "p95 latency by arm, ms",
    ]
    latency = charts[1]
    assert [one.text() for one in latency.css(".limit-word")] == ["go below 2 s", "back above 5 s"]
    assert [one.attributes["data-series"] for one in latency.css("path.series[data-series]")] == ["stable", "candidate"]
    drawn = latency.css("path.series[data-series]")
    assert [(one.attributes["d"] or "").count("M") for one in drawn] == [1, 2]
    assert {cell.text() for cell in latency.css("td[data-y='']")} == {"unknown"}


@pytest.mark.store
def test_where_too_many_requests_failed_there_is_no_latency_to_show(own_engine: Engine, tmp_path: Path) -> None:
    bank = make_bank(own_engine, tmp_path)
    rollout = bank.roll_out()
    course(bank, rollout, failed=6)
    cells = arm_cells(bank, rollout)
    assert cells["errors"][1] == "6 % of 2,300"
    assert cells["p95 ms"][:2] == ["1,223", "none: too many failed"]
    with bank.instance.engine.begin() as connection:
        connection.execute(text("DELETE FROM rollout_course"))
        few = {(Arm.CANDIDATE, bank.clock.now()): Slot(requests=19, bins={10: 19})}
        add_course(connection, rollout, 0, few)
    cells = arm_cells(bank, rollout)
    assert cells["p95 ms"][:2] == ["unknown", "unknown: 19 requests, 20 needed"]
    assert cells["errors"][:2] == ["unknown", "0 of 19"]


@pytest.mark.store
def test_a_rollout_that_was_taken_back_where_nothing_served_says_so(own_engine: Engine, tmp_path: Path) -> None:
    bank = make_bank(own_engine, tmp_path)
    rollout = bank.roll_out()
    step = text("INSERT INTO rollout_step VALUES (:id, 0, 0, 1, 50000, 1, :at, :at)")
    measured = "zero_s = 0.5, zero_streams_s = 7.25, clock_offset_s = 0.75"
    over = text(f"UPDATE rollout SET state = 'rolled_back', flipped_at = :at, {measured} WHERE id = :id")
    with bank.instance.engine.begin() as connection:
        for statement in (step, over):
            connection.execute(statement, {"id": rollout, "at": bank.clock.now()})
    page = bank.browser("omar.haddad").get(f"/rollouts/{rollout}").page
    steps = [one.text(deep=False) for one in page.css("ol.way li > span:last-child")]
    assert (steps[0], set(steps[1:])) == ("taken back", {"not reached"})
    said = page.css_first(".notice.nogo")
    assert said is not None
    assert said.text().startswith("Taken back to no release, since none may serve there, ")
    measured = "; after 0.50 s no request met the candidate any more; after 7.25 s its last stream had ended"
    assert f"{measured} (clocks are off by up to 0.75 s)." in said.text()


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

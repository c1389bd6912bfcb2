"""Leadership reads what to fund next on a page and over HTTP, every number with its source, and nothing made up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from selectolax.lexbor import LexborNode
from sqlalchemy import text
from tests.api.test_api import api, client
from tests.console.conftest import Bank

from pilotage.api.app import Api
from pilotage.console.pages.portfolio import TEMPLATE
from pilotage.control.view_portfolio import _scans, view_portfolio
from pilotage.core.ids import CorpusName
from pilotage.store.engine import make_engine, url_of
from pilotage.workspace.portfolio_file import read_rows

__all__ = ["api"]

pytestmark = pytest.mark.store


@pytest.fixture(autouse=True)
def late(bank: Bank) -> None:
    """The numbers of the sample are of autumn; nothing was refreshed since spring."""
    bank.clock.advance(datetime(2026, 11, 27, 9, tzinfo=UTC) - bank.clock.now())


@pytest.fixture
def file(bank: Bank) -> Iterator[Path]:
    """The file, put back as it was."""
    path = bank.instance.root / "portfolio.yaml"
    kept = path.read_bytes()
    yield path
    path.unlink(missing_ok=True)
    path.write_bytes(kept)


def words(node: LexborNode | None) -> str:
    assert node is not None
    return " ".join(node.text(separator=" ").split())


def region(bank: Bank, label: str) -> list[str]:
    (found,) = bank.browser("omar.haddad").get("/portfolio").page.css(f'[aria-label="{label}"]')
    return [words(row) for row in found.css("tbody tr")]


@pytest.mark.feature("R1.1", "R1.7")
def test_the_page_ranks_with_every_input_its_source_and_its_date(bank: Bank) -> None:
    ranking = region(bank, "Ranking of use cases")
    assert [row.split(" ")[0] for row in ranking] == ["1", "2", "3", "not", "not"]
    assert ranking[0] == "1 policy questions Nadia Brooks 342,562.50 438,480 1 0.78125 retrieval"
    assert "branch onboarding Nadia Brooks unknown unknown" in ranking[3]
    inputs = region(bank, "Inputs of dispute letters")
    assert inputs[0] == "volume (letters a year) 42,000 log 2026-09-30 42,000"
    assert inputs[4] == "cost per error 35 estimate 2026-03-31 old 28"
    assert region(bank, "Inputs of branch onboarding")[1] == "minutes each unknown nobody never unknown"


@pytest.mark.feature("R1.2")
def test_readiness_comes_from_the_refreshed_corpus_and_elsewhere_from_named_people(bank: Bank) -> None:
    scanned = region(bank, "Data readiness of policy questions")
    assert scanned[0].startswith("quality 0.75 scan, ")
    assert scanned[0].endswith("policies@1: 76 of 77 items are readable, no duplicate and not empty")
    assert scanned[1].endswith("policies@1: 72 of 76 documents have the address they came from")
    assert scanned[3].endswith("policies@1: 76 of 76 documents have an ACL")
    assert scanned[4].endswith("policies@1: refreshed 270 days ago, due every 7 days")
    assert scanned[7].startswith("classification 0.75 answer of Chloe Martin")
    answered = region(bank, "Data readiness of dispute letters")
    assert answered[6].startswith("exclusions 0.5 answer of Daniel Reyes, 2026-10-14")
    assert region(bank, "Data readiness of release notes for internal tools")[0].startswith("quality unknown nothing")


def test_a_version_nobody_accepted_is_not_scored(bank: Bank) -> None:
    with bank.instance.engine.connect() as connection, connection.begin() as undone:
        settings = [bank.instance.workspace.corpora[CorpusName("policies")]]
        assert [one.report is None for one in _scans(connection, settings).values()] == [False]
        connection.execute(text("UPDATE corpus_version SET summary = summary - 'quality' WHERE corpus = 'policies'"))
        assert [one.report for one in _scans(connection, settings).values()] == [None]
        connection.execute(text("UPDATE corpus_version SET state = 'proposed' WHERE corpus = 'policies'"))
        assert _scans(connection, settings) == {}
        undone.rollback()


def test_counting_that_takes_too_long_leaves_the_page_and_says_so(bank: Bank) -> None:
    with bank.instance.engine.connect() as locking:
        locking.execute(text("LOCK TABLE document IN ACCESS EXCLUSIVE MODE"))
        engine = make_engine(url_of(bank.instance.engine), pool_size=1, statement_timeout_ms=200)
        found = view_portfolio(replace(bank.instance, engine=engine))
        engine.dispose()
    (row,) = [one for one in found.rows if one.case.name == "policy questions"]
    assert {one.value for one in row.readiness.unknown} == {"lineage", "access_policy", "freshness"}
    assert "counting the documents took too long" in row.readiness.scores[3].text
    assert [one.rank for one in found.rows if one.case.name != "policy questions"][:2] == [1, 2]


@pytest.mark.feature("R1.9", "R2.1")
def test_bands_and_the_decision_aid_stand_on_the_page(bank: Bank) -> None:
    bands = region(bank, "Bands by gate")
    assert bands[2] == "first workflow 53,000 130,000 cab business-sponsor 73,000 unknown"
    page = words(bank.browser("omar.haddad").get("/portfolio").page.css_first("main"))
    assert "Build adverse action reasons on: fine-tuning" in page
    assert "sensitivity: restricted would make it prompt only" in page


def test_a_wrong_row_is_told_by_line_and_the_others_are_ranked(bank: Bank, file: Path) -> None:
    text = file.read_text()
    line = text[: text.index("source: log, date: 2026-09-30}\n    minutes: {value: 11,")].count("\n") + 1
    file.write_text(text.replace("value: 42000, source: log", "value: 42000, source: rumour"))
    page = bank.browser("omar.haddad").get("/portfolio").page
    assert f"portfolio.yaml:{line}: 'use_cases[1].volume.source' cannot be 'rumour'." in words(
        page.css_first(".notice.nogo")
    )
    assert [row.split(" ")[1] for row in region(bank, "Ranking of use cases")] == [
        "policy",
        "adverse",
        "ranked",
        "ranked",
    ]


def test_without_a_file_the_page_shows_a_template_that_is_valid(bank: Bank, file: Path) -> None:
    file.unlink()
    page = bank.browser("omar.haddad").get("/portfolio").page
    shown = page.css_first('[aria-label="Template of portfolio.yaml"]')
    assert shown is not None
    assert shown.text().strip() == TEMPLATE.strip()
    portfolio, problems = read_rows(TEMPLATE.replace("PERSON", "nadia.brooks").encode(), bank.instance.workspace)
    assert problems == ()
    file.write_text(TEMPLATE.replace("PERSON", "nadia.brooks"))
    assert [one.rank for one in view_portfolio(bank.instance).rows] == [1, None]
    assert len(portfolio.use_cases) == 2


def test_a_file_that_is_no_regular_file_is_told_and_not_followed(bank: Bank, file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/hostname")
    found = view_portfolio(bank.instance)
    assert (found.rows, [one.file for one in found.problems]) == ((), ["portfolio.yaml"])


def test_the_api_gives_the_same_ranking_and_advice(bank: Bank, api: Api, file: Path) -> None:
    caller = client(bank, api, "omar.haddad")
    status, found = caller.get("/api/v1/portfolio")
    assert status == 200
    assert found == view_portfolio(bank.instance).as_json() | {"at": found["at"]}
    assert [one["rank"] for one in found["use_cases"]] == [1, 2, 3, None, None]
    assert found["use_cases"][0]["index"] == "342562.50"
    status, advice = caller.get("/api/v1/portfolio/advice?use_case=policy%20questions")
    assert (status, advice["choice"]) == (200, "retrieval")
    status, error = caller.get("/api/v1/portfolio/advice?use_case=none")
    assert (status, error["error"]["code"]) == (404, "USE_CASE_UNKNOWN")
    file.write_text("use_cases: 7\n")
    status, error = caller.get("/api/v1/portfolio/advice?use_case=none")
    assert (status, error["error"]["code"]) == (422, "INVALID_FILES")

"""Pages judge in the fixed words of console.md 1.2 only, and what is not known never looks met, gone or zero."""

from __future__ import annotations

import re
from typing import Final

import pytest
from sqlalchemy import Engine
from tests.console.browser import Answer
from tests.console.conftest import Bank, make_bank
from tests.console.test_every_page import PAGES, address, filled, viewer

from pilotage.console.pages.gate import word_of
from pilotage.console.pages.rollout_tests import row_of
from pilotage.console.words import Status, criterion_status, gate_status
from pilotage.core.reason import Outcome
from pilotage.gate.report import CriterionResult
from pilotage.gate.vocabulary import GateStatus

__all__ = ["filled"]
FIXED: Final = {"GO", "NO-GO", "INCONCLUSIVE", "MET", "NOT MET", "UNKNOWN", "STALE", "EXPIRED"}
GOOD: Final = {"GO", "MET"}


def words_of(answer: Answer) -> list[tuple[str, str]]:
    """Every status of a page: its word and its look."""
    return [
        (" ".join(node.text().split()), (node.attributes["class"] or "").removeprefix("status "))
        for node in answer.page.css(".status")
    ]


@pytest.mark.store
def test_every_status_on_every_page_is_one_of_the_fixed_words_in_its_own_look(
    bank: Bank, filled: dict[str, str]
) -> None:
    seen: set[str] = set()
    for entry in PAGES:
        answer = bank.browser(viewer(entry)).get(address(entry, filled))
        if not answer.header("content-type").startswith("text/html"):
            continue
        for word, look in words_of(answer):
            assert word in FIXED, (entry.path, word)
            assert look == Status(word).look, (entry.path, word)
            seen.add(word)
    assert {"UNKNOWN", "NOT MET", "INCONCLUSIVE"} <= seen, seen


@pytest.mark.store
def test_a_gate_of_which_nothing_is_known_shows_no_number_and_nothing_met_but_what_is(
    bank: Bank, filled: dict[str, str]
) -> None:
    page = bank.browser("omar.haddad").get(f"/releases/{filled['digest']}/gates/qa").page
    table = page.css_first(".scroll[aria-label=Criteria] tbody")
    assert table is not None
    rows = table.css("tr")
    assert len(rows) > 3
    for row in rows:
        cells = [" ".join(cell.text().split()) for cell in row.css("td")]
        if "missing:" in " ".join(cells):
            assert "UNKNOWN" in cells
            assert not GOOD & set(cells)
            assert re.fullmatch(r"-?", cells[0]), cells


@pytest.mark.store
def test_a_workspace_that_knows_nothing_yet_shows_nothing_good(
    own_engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = make_bank(own_engine, tmp_path_factory.mktemp("empty"))
    digest = empty.release.removeprefix("sha256:")[:12]
    browser = empty.browser("anita.rao")
    for path in ("/", "/workflows", f"/releases/{digest}", "/rollouts", "/cab", "/ledger"):
        answer = browser.get(path)
        assert answer.status == 200, path
        assert not GOOD & {word for word, _ in words_of(answer)}, (path, words_of(answer))


@pytest.mark.parametrize("state", GateStatus, ids=str)
def test_a_gate_is_met_only_where_it_is_approved(state: GateStatus) -> None:
    word = gate_status(state.value)
    assert (word is Status.MET) is state.is_approved
    assert gate_status("unknown") is Status.UNKNOWN
    assert gate_status("a word of tomorrow") is Status.NOT_MET


@pytest.mark.parametrize("outcome", Outcome, ids=str)
def test_a_criterion_is_met_only_where_it_holds(outcome: Outcome) -> None:
    assert (criterion_status(outcome) is Status.MET) is (outcome is Outcome.OK)
    one = CriterionResult(id="c", state="missing", outcome=outcome, checks=(), accept="low")
    assert (word_of(one) is Status.MET) is (outcome is Outcome.OK)


@pytest.mark.parametrize("standing", ["quiet", "fired", "absent", "broken", "open", "a word of tomorrow", None])
def test_a_test_that_saw_nothing_is_unknown_and_shows_no_zero(standing: str | None) -> None:
    row = row_of("error_rate.trip", {"purpose": "trip", "standing": standing, "n": 0, "x": 0, "limit": "5 s"})
    assert row.status.value not in GOOD
    assert "0" not in row.seen

"""Lists go on by key: rollouts and corpus versions fifty at a time, by page, API and CLI alike; one space at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.console.conftest import Bank

from pilotage.control.corpus_reports import VERSIONS, list_versions
from pilotage.control.rollout_status import ROLLOUTS, list_status
from pilotage.core.ids import CorpusName
from pilotage.store.rollouts import RolloutFilter

pytestmark = pytest.mark.store

_MORE = text("""
INSERT INTO corpus_version SELECT (row).* FROM (
  SELECT jsonb_populate_record(one, jsonb_build_object('number', made.n, 'state', 'superseded')) AS row
  FROM corpus_version one, generate_series(100, :last) AS made (n) WHERE one.corpus = 'policies' AND one.number = 1
) AS rows
""")


@pytest.fixture(scope="module")
def rollouts(bank: Bank) -> list[str]:
    """Two more rollouts than a page holds, newest first; one is on the way, the others are over."""
    found = []
    for _ in range(ROLLOUTS + 2):
        with bank.instance.engine.begin() as connection:
            connection.execute(text("UPDATE rollout SET state = 'completed'"))
            connection.execute(text("UPDATE rollout_wave SET state = 'done'"))
        bank.clock.advance(timedelta(minutes=1))
        found.append(bank.roll_out())
    return found[::-1]


def rows(page: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page["rollouts"]
    return found


def test_rollouts_go_on_by_key_and_no_rollout_is_lost_or_twice(bank: Bank, rollouts: list[str]) -> None:
    first = list_status(bank.instance, RolloutFilter())
    second = list_status(bank.instance, RolloutFilter(before=str(first["next_page"])))
    pages = [[one["rollout"] for one in rows(page)] for page in (first, second)]
    assert [len(page) for page in pages] == [ROLLOUTS, 2]
    assert pages[0] + pages[1] == rollouts
    assert second["next_page"] is None
    assert list_status(bank.instance, RolloutFilter(before="no such key")) == first
    assert list_status(bank.instance, RolloutFilter(workflow="other"))["rollouts"] == []


def test_the_page_of_rollouts_counts_them_all_and_leads_on(bank: Bank, rollouts: list[str]) -> None:
    browser = bank.browser("omar.haddad")
    page = browser.get("/rollouts")
    assert "1 rollout is on the way." in page.words
    assert f"{ROLLOUTS + 1} are over." in page.words
    assert f'href="/rollouts?page={rollouts[ROLLOUTS - 1]}"' in page.text
    older = browser.get(f"/rollouts?page={rollouts[ROLLOUTS - 1]}")
    assert [rollout for rollout in rollouts if f'href="/rollouts/{rollout}"' in older.text] == rollouts[ROLLOUTS:]
    assert "Older rollouts" not in older.words


def test_a_space_filters_rollouts_and_workflows_and_follows_the_links(bank: Bank, rollouts: list[str]) -> None:
    browser, space = bank.browser("omar.haddad"), "production-eu-space"
    page = browser.get(f"/rollouts?space={space}")
    assert f"1 rollout is on the way in {space}." in page.words
    assert f"page={rollouts[ROLLOUTS - 1]}&amp;space={space}" in page.text
    assert f'href="/workflows?space={space}"' in page.text
    assert page.page.css_first("option[selected]").text() == space  # type: ignore[union-attr]
    assert "No rollout yet in qa-deployment-space." in browser.get("/rollouts?space=qa-deployment-space").words
    assert "No workflow is served in" in browser.get(f"/workflows?space={space}").words
    assert "Policy assistant" in browser.get("/workflows?space=sandbox").words
    for path in ("/rollouts", "/workflows"):
        told = browser.get(f"{path}?space=%3Cb%3E")
        assert "Ignored, because no space is called that: <b>." in told.words
        assert told.page.css_first("option[selected]") is None


def test_versions_of_a_corpus_go_on_by_key(bank: Bank) -> None:
    corpus = CorpusName("policies")
    with bank.instance.engine.begin() as connection:
        connection.execute(_MORE, {"last": 99 + VERSIONS})
    first = list_versions(bank.instance, corpus=corpus)
    second = list_versions(bank.instance, corpus=corpus, before=first.more)
    assert [one.number for one in first.versions] == list(range(99 + VERSIONS, 99, -1))
    assert ([one.number for one in second.versions], second.more) == ([1], None)
    assert list_versions(bank.instance, corpus=corpus, before="newest") == first
    browser = bank.browser("omar.haddad")
    page = browser.get("/corpora/policies")
    assert f"The newest version is {99 + VERSIONS}: superseded." in page.words
    assert "/corpora/policies?page=100" in links_of(page.text)
    older = browser.get("/corpora/policies?page=100")
    assert "Versions 1 to 1." in older.words
    assert "Older versions" not in older.words


def links_of(page: str) -> set[str]:
    return {part.partition('"')[0] for part in page.split('href="')[1:]}

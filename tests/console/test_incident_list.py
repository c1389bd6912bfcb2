"""The list of incidents: filters in the address, fifty by key, and what it says when none is open."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from tests.console.browser import Answer, Browser
from tests.console.conftest import Bank, make_bank

from pilotage.control.incident_reports import LISTED, incident_list
from pilotage.control.view_incidents import PAGE
from pilotage.incident.records import IncidentState, Severity

pytestmark = pytest.mark.store
_MADE = text("""
INSERT INTO incident (id, workflow, space, spaces, cause, severity, state, summary, detected_by, started_at,
  detected_at)
SELECT 'I-' || lpad(n::text, 4, '0'), 'policy-assistant', 'sandbox', '{sandbox}', 'made', 'SEV' || (n % 4 + 1),
  CASE WHEN n % 2 = 0 THEN 'closed' ELSE 'resolved' END, 'Slow ' || n, 'machine',
  CAST(:at AS timestamptz) + make_interval(mins => n), CAST(:at AS timestamptz) + make_interval(mins => n)
FROM generate_series(1, :many) AS one (n)
""")
_DRILL = text("""
INSERT INTO drill (id, kind, workflow, space, release, space_digest, state, started_by, started_at, valid_until)
VALUES ('D-1', 'rollback', 'policy-assistant', 'production-us-east-space', :release, 'sha256:0', 'passed',
  'hanna.virtanen', :at, CAST(:at AS timestamptz) + interval '90 days')
""")
_SERVED = text("""
INSERT INTO routing (space, workflow, generation, stable, reason, changed_at)
VALUES ('production-us-east-space', 'policy-assistant', 1, :release, 'test', :at)
""")


@pytest.fixture
def bank(own_engine: Engine, tmp_path: Path) -> Bank:
    return make_bank(own_engine, tmp_path)


def listed(page: Answer) -> list[str]:
    return [(one.attributes["href"] or "").rpartition("/")[2] for one in page.page.css("tbody th a")]


def assert_sorted(browser: Browser) -> None:
    """Every order lists each of the 53 once over its pages, by the column that says so, whatever it was led to by."""
    sizes = range(1, PAGE + 4)
    expected = {
        "detected": sorted(sizes),
        "severity": sorted(sizes, key=lambda number: (number % 4, -number)),
        "-severity": sorted(sizes, key=lambda number: (-(number % 4), -number)),
    }
    for order, numbers in expected.items():
        first = browser.get(f"/incidents?sort={order}")
        more = first.page.css_first("a[href*='&page=']")
        assert more is not None
        second = browser.get(more.attributes["href"] or "")
        assert listed(first) + listed(second) == [f"I-{number:04}" for number in numbers], order
        (sorted_by,) = first.page.css("th[aria-sort]")
        assert sorted_by.attributes["aria-sort"] == ("descending" if order.startswith("-") else "ascending")
        assert order.removeprefix("-").capitalize() in sorted_by.text()
    chosen = browser.get("/incidents?severity=SEV1&sort=detected")
    turned = chosen.page.css_first("th[aria-sort] a")
    assert turned is not None
    assert turned.attributes["href"] == "/incidents?severity=SEV1&sort=-detected"
    assert listed(chosen) == [f"I-{number:04}" for number in sizes if number % 4 == 0]
    told = browser.get("/incidents?sort=<b>")
    assert "Ignored, because nothing is called that: sort <b>." in told.words
    assert listed(told)[0] == f"I-{PAGE + 3:04}"


def test_incidents_go_on_by_key_are_filtered_by_the_address_and_none_open_is_said(bank: Bank) -> None:
    browser, at = bank.browser("omar.haddad"), bank.clock.now() - timedelta(days=1)
    empty = browser.get("/incidents").words
    assert "None is open. There was none yet." in empty
    assert "No drill is planned" in empty
    with bank.instance.engine.begin() as connection:
        connection.execute(_MADE, {"at": at, "many": PAGE + 3})
        connection.execute(_DRILL, {"at": at, "release": bank.release})
        connection.execute(_SERVED, {"at": at, "release": bank.release})
    every = [f"I-{number:04}" for number in range(PAGE + 3, 0, -1)]
    first = browser.get("/incidents")
    assert "None is open. The last one was found" in first.words
    assert "Next drill: policy-assistant in production-us-east-space, by" in first.words
    older = first.page.css_first("a[href^='/incidents?page=']")
    assert older is not None
    second = browser.get(older.attributes["href"] or "")
    assert (len(listed(first)), listed(first) + listed(second)) == (PAGE, every)
    assert "Older incidents" not in second.words
    assert listed(browser.get("/incidents?page=none")) == every[:PAGE]
    chosen = browser.get("/incidents?state=closed&severity=SEV1&workflow=policy-assistant")
    assert listed(chosen) == [name for name in every if int(name[2:]) % 4 == 0]
    assert "No incident matches." in browser.get("/incidents?state=unresolved").words
    told = browser.get("/incidents?state=%3Cb%3E&severity=SEV9")
    assert "Ignored, because nothing is called that: state <b>, severity SEV9." in told.words
    assert listed(told) == every[:PAGE]
    assert_sorted(browser)
    named = incident_list(bank.instance, state=IncidentState.CLOSED, severity=Severity.SEV1)["incidents"]
    assert [one["incident"] for one in named] == listed(chosen)  # type: ignore[union-attr,index,call-overload]
    assert incident_list(bank.instance, state=IncidentState.CLOSED, only_open=True)["incidents"] == []
    assert LISTED > PAGE
    with bank.instance.engine.begin() as connection:
        connection.execute(text("UPDATE incident SET state = 'mitigated' WHERE id = 'I-0001'"))
    page = browser.get("/incidents")
    assert "1 incident is open." in page.words
    assert listed(browser.get("/incidents?state=unresolved")) == ["I-0001"]

"""Go-live is confirmed after its first traffic on its own page: the other half, with its own criteria and votes."""

from __future__ import annotations

import pytest
from tests.console.conftest import Bank

pytestmark = pytest.mark.store
LEAD = "elena.marchetti"


def test_the_half_after_the_first_traffic_is_shown_and_voted_on_by_itself(bank: Bank) -> None:
    digest = bank.release.removeprefix("sha256:")[:12]
    path = f"/releases/{digest}/gates/go-live"
    browser = bank.browser(LEAD)
    before = browser.get(path)
    link = before.page.css_first('a.button[href*="half=post"]')
    assert link is not None
    assert "no-freeze" in before.words
    assert "recording" not in before.words
    after = browser.get(link.attributes["href"] or "")
    assert "after the first traffic" in after.words
    assert "recording" in after.words
    assert "no-freeze" not in after.words
    fields = after.fields(path)
    assert fields["half"] == "post"
    assert fields["bind.operations-lead"] != before.fields(path)["bind.operations-lead"]
    typed = {
        "role": "operations-lead",
        "decision": "reject",
        "comment": "It answers too slowly.",
        "confirmed": digest[:8],
    }
    answer = browser.post(path, fields | typed)
    assert (answer.status, answer.header("location")) == (303, f"{path}?half=post#votes"), answer.words
    with bank.instance.engine.connect() as connection:
        votes = connection.exec_driver_sql("SELECT gate, half, decision FROM gate_vote").all()
    assert [tuple(row) for row in votes] == [("go-live", "post", "reject")]
    assert "It answers too slowly." in browser.get(f"{path}?half=post").words
    assert "It answers too slowly." not in browser.get(path).words


@pytest.mark.parametrize("gate", ["qa", "cab"])
def test_a_gate_without_a_second_half_offers_none(bank: Bank, gate: str) -> None:
    page = bank.browser(LEAD).get(f"/releases/{bank.release.removeprefix('sha256:')[:12]}/gates/{gate}").page
    assert page.css_first('a[href*="half=post"]') is None

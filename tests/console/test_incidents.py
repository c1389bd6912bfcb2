"""The page of an incident shows all of a post-mortem, loses none of it, and binds an approval to what was read."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from tests.console.browser import Answer
from tests.console.conftest import Bank
from tests.console.test_every_page import open_incident

from pilotage.control.incident_reports import incident_detail
from pilotage.control.manage_incident import Change, update_incident
from pilotage.core.reason import Refusal
from pilotage.store.pseudonyms import pseudonym_of

pytestmark = pytest.mark.store
WRITER, READER, LEADER = "dina.kowalski", "elena.marchetti", "hanna.virtanen"
ACTIONS = [{"text": f"Deed {number}", "owner": "maria.chen", "due": "2026-04-30", "aim": "detect"} for number in "1234"]
WHOLE: dict[str, Any] = {
    "cause": "A rule.",
    "informed": "All were.",
    "went_well": "Seen at once.",
    "went_badly": "The page was late.",
    "lucky": "It was night.",
    "golden_cases": ["case-7"],
    "actions": ACTIONS,
}


def written(bank: Bank, incident: str, account: dict[str, Any]) -> None:
    change = Change(post_mortem=account)
    done = update_incident(bank.instance, actor=bank.person(WRITER), incident=incident, change=change)
    assert not isinstance(done, Refusal)


def kept(bank: Bank, incident: str) -> Any:
    return incident_detail(bank.instance, incident)["postmortem"]


def shown_fields(page: Answer, form: str) -> dict[str, str]:
    found = page.page.css_first(f'form[action="{form}"]')
    assert found is not None
    typed = {one.attributes["name"] or "": one.attributes.get("value") or "" for one in found.css("input")}
    typed |= {one.attributes["name"] or "": one.text() for one in found.css("textarea")}
    for one in found.css("select"):
        chosen = one.css_first("option[selected]") or one.css_first("option")
        assert chosen is not None
        typed[one.attributes["name"] or ""] = chosen.text()
    return typed


def test_an_account_written_with_the_command_is_shown_whole_and_kept_whole_when_it_is_written_anew(bank: Bank) -> None:
    incident = open_incident(bank)
    written(bank, incident, WHOLE)
    before, browser = kept(bank, incident), bank.browser(WRITER)
    page = browser.get(f"/incidents/{incident}")
    for told in ("Seen at once.", "The page was late.", "It was night.", "case-7", "Deed 4"):
        assert told in page.words
    form = f"/incidents/{incident}/post-mortem"
    fields = shown_fields(page, form) | {"cause": "Another rule."}
    assert browser.post(form, fields).status == 303
    assert kept(bank, incident) == {**before, "cause": "Another rule."}


def test_an_action_without_its_deed_is_not_dropped_in_silence(bank: Bank) -> None:
    incident, browser = open_incident(bank), bank.browser(WRITER)
    before, form = kept(bank, incident), f"/incidents/{incident}/post-mortem"
    fields = browser.get(f"/incidents/{incident}").fields(form)
    answer = browser.post(
        form, {**fields, "cause": "A rule.", "action.2.owner": "maria.chen", "action.2.aim": "detect"}
    )
    assert answer.status == 422
    assert "Action 2 does not say what will be done." in answer.words
    assert kept(bank, incident) == before


def test_an_account_that_was_written_anew_is_not_approved_by_who_read_the_one_before(bank: Bank) -> None:
    incident, browser = open_incident(bank), bank.browser(READER)
    written(bank, incident, WHOLE)
    here = f"/incidents/{incident}"
    fields = browser.get(here).fields(here)
    written(bank, incident, {**WHOLE, "cause": "Nobody read this."})
    answer = browser.post(here, {**fields, "do": "approve"})
    assert answer.status == 409
    assert "POST_MORTEM_CHANGED" in answer.words
    assert kept(bank, incident)["approved_by"] is None
    assert browser.post(here, {**browser.get(here).fields(here), "do": "approve"}).status == 303
    assert kept(bank, incident)["approved_by"] == READER


def test_who_wrote_the_account_sees_why_somebody_else_approves_it(bank: Bank) -> None:
    incident = open_incident(bank)
    written(bank, incident, WHOLE)
    button = bank.browser(WRITER).get(f"/incidents/{incident}").page.css_first("button[value=approve]")
    assert button is not None
    assert button.attributes.get("aria-disabled") == "true"
    other = bank.browser(READER).get(f"/incidents/{incident}").page.css_first("button[value=approve]")
    assert other is not None
    assert "aria-disabled" not in other.attributes


def test_an_incident_is_found_by_its_id_and_all_of_them_from_every_page(bank: Bank) -> None:
    incident, browser = open_incident(bank), bank.browser(WRITER)
    for path, to in ((f"/search?q={incident}", f"/incidents/{incident}"), ("/rollouts", "/incidents")):
        assert to in [one.attributes["href"] for one in browser.get(path).page.css("main a, nav a")], path


def moved(bank: Bank, incident: str, name: str, **typed: str) -> Answer:
    browser, here = bank.browser(name), f"/incidents/{incident}"
    return browser.post(here, browser.get(here).fields(here) | typed)


def test_an_incident_is_graded_handed_to_a_commander_and_opened_again_on_its_page(bank: Bank) -> None:
    incident = open_incident(bank)
    assert moved(bank, incident, WRITER, do="severity", severity="SEV2").status == 303
    lowered = moved(bank, incident, WRITER, do="severity", severity="SEV3")
    assert (lowered.status, "REASON_NEEDED" in lowered.words) == (409, True)
    assert moved(bank, incident, WRITER, do="severity", severity="SEV3", note="Nobody was met.").status == 303
    assert moved(bank, incident, WRITER, do="commander", commander=LEADER).status == 303
    assert moved(bank, incident, WRITER, do="resolved").status == 303
    assert moved(bank, incident, WRITER, do="open").status == 303
    found = incident_detail(bank.instance, incident)
    assert (found["severity"], found["commander"], found["state"]) == ("SEV3", LEADER, "open")
    for typed, said in (
        ({"do": "severity", "severity": ""}, "SEVERITY_MISSING"),
        ({"do": "commander", "commander": ""}, "COMMANDER_MISSING"),
        ({"do": "commander", "commander": "nobody.known"}, "PERSON_UNKNOWN"),
        ({"do": "dance"}, "STATE_MISSING"),
    ):
        answer = moved(bank, incident, WRITER, **typed)
        assert answer.status in {404, 422}
        assert said in answer.words
    assert incident_detail(bank.instance, incident)["commander"] == LEADER


def test_a_line_tells_who_wrote_it_by_name_and_a_pseudonym_that_was_typed_names_nobody(bank: Bank) -> None:
    incident = open_incident(bank)
    moved(bank, incident, WRITER, do="commander", commander=LEADER)
    with bank.instance.engine.begin() as connection:
        asker = pseudonym_of(connection, "local|omar.haddad")
    moved(bank, incident, WRITER, do="note", note=f"Seen with {asker}.")
    page = bank.browser("omar.haddad").get(f"/incidents/{incident}").page
    lines = [" ".join(one.text().split()) for one in page.css("#region ol.line li")]
    assert [", Dina Kowalski" in line for line in lines[-2:]] == [True, True]
    assert lines[-2].endswith("commander: Hanna Virtanen")
    assert lines[-1].endswith(f"Seen with {asker}.")


def test_naming_oneself_commander_does_not_lift_a_freeze_in_the_same_change(bank: Bank) -> None:
    incident = open_incident(bank)
    with bank.instance.engine.begin() as connection:
        connection.execute(text("UPDATE incident SET freezes = true WHERE id = :id"), {"id": incident})
    assert moved(bank, incident, WRITER, do="commander", commander=LEADER).status == 303
    both = Change(commander=WRITER, lift_freeze=True)
    done = update_incident(bank.instance, actor=bank.person(WRITER), incident=incident, change=both)
    assert isinstance(done, Refusal)
    assert [one.code for one in done.reasons] == ["NOT_PERMITTED"]
    handed = update_incident(bank.instance, actor=bank.person(LEADER), incident=incident, change=both)
    assert not isinstance(handed, Refusal)


def test_whoever_led_an_incident_once_does_not_approve_its_account_and_is_told_by_name(bank: Bank) -> None:
    incident = open_incident(bank)
    written(bank, incident, WHOLE)
    for name in (LEADER, "felix.braun"):
        assert moved(bank, incident, WRITER, do="commander", commander=name).status == 303
    refused = moved(bank, incident, LEADER, do="approve")
    assert (refused.status, "SECOND_PERSON_NEEDED" in refused.words) == (403, True)
    assert kept(bank, incident)["approved_by"] is None
    page = bank.browser(LEADER).get(f"/incidents/{incident}").page
    lines = [" ".join(one.text().split()) for one in page.css("#region ol.line li")]
    assert [one.rsplit("commander: ")[-1] for one in lines[-2:]] == ["Hanna Virtanen", "Felix Braun"]
    button = page.css_first("button[value=approve]")
    assert button is not None
    assert button.attributes.get("aria-disabled") == "true"

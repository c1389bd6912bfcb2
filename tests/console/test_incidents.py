"""The page of an incident shows all of a post-mortem, loses none of it, and binds an approval to what was read."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from tests.console.browser import Answer
from tests.console.conftest import Bank
from tests.console.test_every_page import open_incident

from pilotage.console.pages.incident import shown_of
from pilotage.control.incident_reports import incident_detail
from pilotage.control.manage_incident import Change, open_by_person, update_incident
from pilotage.control.view_incident import view_incident
from pilotage.core.reason import Refusal
from pilotage.incident.records import Severity
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


def opened_in(bank: Bank, place: int) -> str:
    """Open one that no other test of this file changes; return its id."""
    space = sorted(one for one in bank.instance.workspace.spaces if one != "sandbox")[place]
    actor, severity = bank.person(WRITER), Severity.SEV3
    opened = open_by_person(
        bank.instance, actor=actor, workflow="policy-assistant", space=space, severity=severity, summary="Slow."
    )
    assert not isinstance(opened, Refusal)
    return opened.id


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
    incident = opened_in(bank, 0)
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


def test_an_incident_that_is_open_again_closes_on_an_account_that_is_approved_again(bank: Bank) -> None:
    incident = opened_in(bank, 1)
    written(bank, incident, WHOLE)
    moved(bank, incident, WRITER, do="severity", severity="SEV1")
    moved(bank, incident, READER, do="approve")
    assert [moved(bank, incident, WRITER, do=one).status for one in ("closed", "open", "closed")] == [303, 303, 403]
    assert kept(bank, incident)["approved_by"] is None


def test_a_note_and_an_account_longer_than_is_taken_stay_in_their_form(bank: Bank) -> None:
    incident, long = open_incident(bank), "x" * 4_001
    answer = moved(bank, incident, WRITER, do="note", note=long)
    assert (answer.status, shown_fields(answer, f"/incidents/{incident}")["note"]) == (422, long)
    browser, form = bank.browser(WRITER), f"/incidents/{incident}/post-mortem"
    fields = browser.get(f"/incidents/{incident}").fields(form)
    for name in ("cause", "lucky"):
        answer = browser.post(form, {**fields, name: long})
        assert (answer.status, shown_fields(answer, form)[name]) == (422, long)
    deed = {"action.1.text": long, "action.1.owner": "maria.chen", "action.1.due": "2026-04-30"}
    assert browser.post(form, {**fields, **deed}).status == 422
    assert moved(bank, incident, WRITER, do="note", note="x" * 4_000).status == 303


def test_the_state_of_the_region_is_another_when_the_rollback_is_verified(bank: Bank) -> None:
    incident, rollout, states = opened_in(bank, 2), bank.roll_out(), []
    with bank.instance.engine.begin() as connection:
        at = {"rollout": rollout, "id": incident}
        connection.execute(text("UPDATE incident SET rollout = :rollout WHERE id = :id"), at)
        for one in ("rolling_back", "rolled_back"):
            connection.execute(text("UPDATE rollout SET state = :one WHERE id = :rollout"), {**at, "one": one})
            view = view_incident(connection, bank.instance, incident)
            states.append(shown_of(bank.instance.workspace, view).state)
    assert states[0] != states[1]

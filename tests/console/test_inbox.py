"""Inbox: what waits for exactly this person, what is due first, what could not be read, and what is done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.console.browser import Answer
from tests.console.conftest import Bank

from pilotage.control import inbox as tasks
from pilotage.core.errors import NotFound
from pilotage.core.reason import Refusal

pytestmark = pytest.mark.store

_INCIDENT = text("""
INSERT INTO incident (id, workflow, space, spaces, cause, severity, state, summary, is_drill, detected_by, started_at,
  detected_at, responders, rollout)
VALUES (:id, 'policy-assistant', 'sandbox', ARRAY['sandbox'], :cause, 'SEV2', 'open', 'x', :drill, 'system:x', :at, :at,
  ARRAY['hanna.virtanen', 'dina.kowalski'], :rollout)
""")


def inbox(bank: Bank, name: str) -> Answer:
    bank.clock.advance(timedelta(seconds=20))
    return bank.browser(name).get("/")


def set_incident(bank: Bank, identifier: str, changes: str) -> None:
    with bank.instance.engine.begin() as connection:
        values: dict[str, Any] = {"id": identifier}
        assert connection.execute(text(f"UPDATE incident SET {changes} WHERE id = :id"), values).rowcount == 1


def proposed(bank: Bank) -> int:
    """Change a document; return the version that waits for its review."""
    source = next((bank.instance.root / "corpora" / "policies" / "documents").rglob("*.md"))
    source.write_text(f"{source.read_text()}\n\nA line for the inbox at {bank.clock.now()}.\n")
    number = bank.refresh("policies").version
    assert number is not None
    return number


@pytest.fixture(scope="module")
def rollout(bank: Bank) -> str:
    return bank.roll_out()


@pytest.fixture(scope="module")
def incident(bank: Bank, rollout: str) -> str:
    with bank.instance.engine.begin() as connection:
        for number, (cause, drill) in enumerate((("wrong answers", False), ("a rehearsal", True))):
            values = {"id": f"task-{number}", "cause": cause, "drill": drill, "at": bank.clock.now()}
            connection.execute(_INCIDENT, values | {"rollout": rollout})
    return "task-0"


def test_an_incident_waits_for_those_it_calls_then_for_its_commander(bank: Bank, incident: str) -> None:
    for name in ("hanna.virtanen", "dina.kowalski"):
        page = inbox(bank, name)
        assert "Take on the SEV2 incident of policy-assistant: wrong answers" in page.words
        assert "You are called for it. Acknowledge it." in page.words
        assert "pilotage incident" not in page.words, "the page of the incident has a form for it"
        (task,) = [
            one for one in tasks.list_tasks(bank.instance, bank.person(name)).tasks if one.key == f"incident/{incident}"
        ]
        assert task.as_json()["command"] == f"pilotage incident update {incident} --state acknowledged"
        assert f'href="/incidents/{incident}"' in page.text
        assert "a rehearsal" not in page.words
    assert "wrong answers" not in inbox(bank, "omar.haddad").words
    set_incident(bank, incident, "acknowledged_at = detected_at, state = 'acknowledged', commander = 'hanna.virtanen'")
    assert "Resolve the SEV2 incident of policy-assistant: wrong answers" in inbox(bank, "hanna.virtanen").words
    assert "wrong answers" not in inbox(bank, "dina.kowalski").words
    set_incident(bank, incident, "state = 'resolved', commander = NULL")
    for name in ("hanna.virtanen", "dina.kowalski"):
        page = inbox(bank, name)
        assert "Write the post-mortem of the SEV2 incident of policy-assistant: wrong answers" in page.words
        assert ", due " in page.words
    set_incident(bank, incident, "state = 'closed'")
    assert "wrong answers" not in inbox(bank, "hanna.virtanen").words


def test_a_step_waits_for_those_who_may_sign_its_verdict_until_they_did(bank: Bank, rollout: str) -> None:
    def waits(name: str) -> bool:
        return f"Decide about step {step}" in inbox(bank, name).words

    with bank.instance.engine.begin() as connection:
        values = {"id": rollout, "digest": "sha256:" + "a" * 64}
        plan: Any = connection.execute(text("SELECT plan FROM rollout WHERE id = :id"), values).scalar_one()
        step = plan["waves"][0]["steps"][0]["name"]
        assert not waits("elena.marchetti"), "the step is still observed"
        deciding = "UPDATE rollout SET state = 'deciding', decision = :digest, decision_outcome = 'go' WHERE id = :id"
        connection.execute(text(deciding), values)
    assert waits("elena.marchetti")
    assert not waits("omar.haddad")
    with bank.instance.engine.begin() as connection:
        signed = (
            "INSERT INTO rollout_signature (rollout, verdict, kind, role, person, at)"
            " VALUES (:id, :digest, 'go', 'operations-lead', 'elena.marchetti', :at)"
        )
        connection.execute(text(signed), values | {"at": bank.clock.now()})
    page = inbox(bank, "elena.marchetti")
    assert f"Decide about step {step}" not in page.words
    assert "Step of a rollout: you signed its verdict" in page.words


def test_a_source_that_cannot_be_read_is_named_and_the_others_are_shown(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = proposed(bank)

    def broken(connection: Connection, _person: str) -> object:
        return connection.execute(text("SELECT nothing FROM nowhere"))

    shown = f"Review version {number} of policies"
    assert shown in inbox(bank, "grace.okafor").words
    monkeypatch.setattr(tasks, "incidents_of", broken)
    page = inbox(bank, "grace.okafor")
    assert "Could not be read: incidents." in page.words
    assert shown in page.words
    assert ">?<" in page.text
    assert "Nothing waits for you." not in inbox(bank, "omar.haddad").words
    put_off = tasks.snooze_task(bank.instance, actor=bank.person("grace.okafor"), task=f"version/policies/{number}")
    assert not isinstance(put_off, Refusal)
    assert shown not in inbox(bank, "grace.okafor").words.partition("Put off until later")[0]


def test_what_was_decided_in_the_last_seven_days_stands_below(bank: Bank) -> None:
    line = "Version 1 of policies: you reviewed it, and it is accepted"
    with bank.instance.engine.begin() as connection:
        at = bank.clock.now() - timedelta(days=6)
        first = text("UPDATE corpus_version SET decided_at = :at WHERE corpus = 'policies' AND number = 1")
        connection.execute(first, {"at": at})
    assert line in inbox(bank, "grace.okafor").words
    assert line not in inbox(bank, "omar.haddad").words
    bank.clock.advance(timedelta(days=1, minutes=1))
    assert line not in inbox(bank, "grace.okafor").words


def test_an_empty_inbox_names_the_next_hours_on_duty(bank: Bank) -> None:
    on_call, nobody = inbox(bank, "ravi.menon").words, inbox(bank, "omar.haddad").words
    assert "Nothing waits for you." in on_call
    assert "Your next hours on duty begin" in on_call
    assert "hours on duty" not in nobody


def test_a_task_is_put_off_for_a_day_for_oneself_and_an_urgent_one_is_not(bank: Bank) -> None:
    number = proposed(bank)
    task, line = f"version/policies/{number}", f"Review version {number} of policies"
    browser = bank.browser("grace.okafor")
    page = browser.get("/")
    assert page.page.css_first(f'button[form="put-off"][value="{task}"]') is not None
    assert browser.post("/inbox/snooze", page.fields("/inbox/snooze") | {"task": task}).status == 303
    later = browser.get("/")
    assert line not in later.words.partition("Put off until later")[0]
    assert line in later.words.partition("Put off until later")[2]
    bank.clock.advance(timedelta(days=1, minutes=1))
    assert line in bank.browser("grace.okafor").get("/").words.partition("Put off until later")[0]
    with bank.instance.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT subject FROM ledger_entry WHERE kind = 'task.put_off'").scalars()
        assert list(kept).count(task) == 1


def test_what_nobody_took_on_is_not_put_off_nor_what_is_not_ones_own(bank: Bank, incident: str) -> None:
    set_incident(bank, incident, "state = 'open', acknowledged_at = NULL, commander = NULL")
    mine, other = bank.person("hanna.virtanen"), bank.person("omar.haddad")
    refused = tasks.snooze_task(bank.instance, actor=mine, task=f"incident/{incident}")
    assert isinstance(refused, Refusal)
    assert refused.reasons[0].code == "TASK_URGENT"
    with pytest.raises(NotFound):
        tasks.snooze_task(bank.instance, actor=other, task=f"incident/{incident}")
    assert "Put off for a day" not in inbox(bank, "hanna.virtanen").words
